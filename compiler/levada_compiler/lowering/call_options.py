"""The settings of one call: ``step.options(…)(…)``, where constants of the pipeline may be used.

In an unrolled loop these are the loop's variables too: ``name=f"train_{country}"``.
"""

from __future__ import annotations

import ast
import json
import keyword

from levada.operations import RESERVED

from ..diagnostics.diagnostic import Label
from ..front import settings
from ..front.constants import Folder
from ..front.not_constant import NotConstantError
from .expressions import is_local
from .lowering import expression
from .values import Lowered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnostics.diagnostic import Span
    from ..program.ir import Setting
    from .frame import Frame


class LocalFolder(Folder):
    """Evaluates constant expressions in which names of the pipeline function may stand."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.building.modules, frame.module, settings.CONSTRUCTORS)
        self._frame = frame

    def name(self, node: ast.Name) -> object:
        """Return the value of a name: of a constant of the function, or of the module."""
        frame = self._frame
        if node.id not in frame.locals and node.id not in frame.scope.names:
            return super().name(node)
        binding = frame.scope.names.get(node.id)
        if isinstance(binding, Lowered) and binding.is_static:
            return binding.static
        raise self._unknown(node)

    def attribute(self, node: ast.Attribute) -> object:
        """Return an attribute: of a value of the function too, an instance of the project say."""
        return self._of_function(node) if self._is_local_value(node) else super().attribute(node)

    def subscript(self, node: ast.Subscript) -> object:
        """Return an item: of a value of the function too."""
        return self._of_function(node) if self._is_local_value(node) else super().subscript(node)

    def _is_local_value(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        return isinstance(node, ast.Name) and is_local(self._frame, node.id)

    def _of_function(self, node: ast.Attribute | ast.Subscript) -> object:
        with self._frame.inner_region() as nodes:
            found = expression(self._frame, node)
        if found.is_static and not nodes:
            return found.static
        raise self._unknown(node)

    def _unknown(self, node: ast.expr) -> NotConstantError:
        return NotConstantError(
            node,
            f"`{ast.unparse(node)}` has no value before the run",
            module=self.module,
            help="settings are part of the compiled file: write a constant, or an `if` with a call "
            "for each value; in a loop over constants the loop's variables may be used",
        )


def read(frame: Frame, call: ast.Call) -> tuple[Setting, ...]:
    """Return the settings of an ``.options(…)``, ``name`` among them."""
    return settings.read(call, LocalFolder(frame), settings.CALL, frame.reports)


def identity(frame: Frame, function: str, given: Setting | None, span: Span) -> str:
    """Return the id of the node of a call: the name it was given, or else that of its function.

    Two calls may not be given one name, nor a name that a node has; that is reported.
    """
    names = frame.building.names
    if given is None:
        claimed = names.claimed.get(frame.prefix + function)
        if claimed is not None:
            _report_taken(frame, function, span, claimed)
        return frame.new_id(function)
    name = str(json.loads(given.value))
    problem = _name_problem(name)
    if problem:
        frame.reports.error(
            "invalid-setting",
            given.span,
            f"a call cannot be named `{name}`: {problem}",
            help='write a name as of a variable: `name="evaluate_production"`',
        )
        return frame.new_id(function)
    if not names.claim(frame.prefix + name, given.span):
        _report_taken(frame, name, given.span, names.claimed.get(frame.prefix + name))
        return frame.new_id(function)
    return frame.prefix + name


def _name_problem(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        return "it has to be a name in Python, since expressions refer to it"
    return "it has a meaning of its own in expressions" if name in RESERVED else ""


def _report_taken(frame: Frame, name: str, span: Span, claimed: Span | None) -> None:
    labels = (Label(claimed, "this call has the name"),) if claimed and claimed != span else ()
    frame.reports.error(
        "duplicate-name",
        span,
        f"there is another `{name}` in this pipeline",
        labels=labels,
        help=f'give each call its own; in a loop over constants `name=f"{name}_{{item}}"`',
    )
