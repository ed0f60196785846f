"""The compiler's longer messages: what is wrong, why, and a concrete way out."""

from __future__ import annotations

import ast
from copy import deepcopy

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import did_you_mean
from ..front import types
from .values import ANY, Lowered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..front.declare import Fields
    from ..program.ir import Type
    from .frame import Frame


# ---------------------------------------------------------------------------- computing


def report_computing(frame: Frame, node: ast.AST, value: Lowered, kind: Type) -> None:
    """Report a computation with a value that is not plain, and the step that would do it."""
    frame.reports.error(
        "compute-in-pipeline",
        frame.span(node),
        f"a pipeline cannot compute with a value of type `{types.text(kind)}`",
        label="this has to run in a step",
        labels=(Label(value.expr.span, "this is where the value comes from"),),
        help="move it into a step",
        edit=step_for(frame, node, value),
    )


def step_for(frame: Frame, node: ast.AST, value: Lowered | None = None) -> tuple[str, ...]:
    """Return the lines of a step that computes ``node``; ``value`` is given to the step."""
    if isinstance(node, ast.FormattedValue):
        node = ast.JoinedStr([node])
    if isinstance(node, ast.AugAssign):
        target = ast.Name(node.target.id, ast.Load()) if isinstance(node.target, ast.Name) else None
        node = ast.BinOp(target or ast.Constant(0), node.op, node.value)
    if not isinstance(node, ast.expr) or any(isinstance(i, ast.Starred) for i in ast.walk(node)):
        return ()
    inputs: dict[str, Type] = {}
    found = _Inputs(frame, inputs, value).visit(deepcopy(node))
    result = ast.unparse(ast.fix_missing_locations(found))
    if isinstance(found, ast.Name):
        result = f"list({result})"  # what a loop goes over
    parameters = ", ".join(
        name if kind.name == "any" else f"{name}: {types.text(kind)}"
        for name, kind in inputs.items()
    )
    name = f"compute_{frame.target}" if frame.target else "compute"
    return ("@step", f"def {name}({parameters}):", f"    return {result}")


class _Inputs(ast.NodeTransformer):
    """Replaces what the pipeline knows by parameters of a step."""

    def __init__(self, frame: Frame, inputs: dict[str, Type], value: Lowered | None) -> None:
        self.frame = frame
        self.inputs = inputs
        self.value = value

    def visit_Call(self, node: ast.Call) -> ast.AST:
        value = self.value
        if value is not None and self.frame.span(node) == value.expr.span:
            return self._input("value", value.type)  # the call of a step
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name):
            return self.generic_visit(node)
        binding = self.frame.scope.names.get(node.value.id)
        if not isinstance(binding, Lowered):
            return node
        fields = self.frame.building.declarations.fields(binding.type)
        if fields is None or node.attr not in fields.types:
            return self.generic_visit(node)
        return self._input(node.attr, fields.types[node.attr])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        binding = self.frame.scope.names.get(node.id)
        if binding is None:
            return node
        return self._input(node.id, binding.type if isinstance(binding, Lowered) else ANY)

    def _input(self, name: str, kind: Type) -> ast.Name:
        self.inputs.setdefault(name, kind)
        return ast.Name(name, ast.Load())


def report_hidden_call(frame: Frame, node: ast.AST, where: str) -> None:
    """Report a step call that Python would make only sometimes."""
    frame.reports.error(
        "unsupported-expression",
        frame.span(node),
        f"a step cannot be called within {where}: Python may skip it",
        help="call it in a statement of its own before, or under an `if`",
    )


# ---------------------------------------------------------------------------- outputs


def report_unknown_attribute(
    frame: Frame, node: ast.Attribute, value: Lowered, members: Iterable[str]
) -> None:
    """Report an attribute that a plain value such as a date does not have."""
    kind = types.text(value.type)
    listed = ", ".join(f"`{member}`" for member in sorted(members))
    frame.reports.error(
        "unknown-output",
        frame.span(node),
        f"`{kind}` has no attribute `{node.attr}` that a pipeline can use",
        labels=(Label(value.expr.span, "this is where it comes from"),),
        help=did_you_mean(node.attr, members, f"it has {listed}"),
    )


def report_unknown_output(
    frame: Frame, node: ast.Attribute, value: Lowered, fields: Fields | None
) -> None:
    """``x.name`` where there is no such output."""
    name = frame.text(node.value)
    kind = types.text(value.type)
    if fields is not None and fields.kind == "tuple":
        way_out = "unpack it: `a, b = …`, or return a NamedTuple"
        message = f"`{name}` is a tuple, so it has no output `{node.attr}`"
    elif fields is not None:
        listed = ", ".join(f"`{field}`" for field in fields.types)
        way_out = did_you_mean(node.attr, fields.types, f"it has {listed}" if listed else "")
        message = f"`{kind}` has no output `{node.attr}`"
    else:
        way_out = "let the step return a NamedTuple or a dataclass, and annotate it with that"
        message = f"`{name}` has no named outputs, so it has no `{node.attr}`"
        if value.type.name != "any":
            message = f"`{name}` is `{kind}`, which has no named outputs such as `{node.attr}`"
    frame.reports.error(
        "unknown-output",
        frame.span(node),
        message,
        labels=(Label(value.expr.span, "this is where it comes from"),),
        help=way_out,
    )
