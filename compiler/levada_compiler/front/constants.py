"""Evaluates constant expressions without running anything of the user's.

It is the runtime's evaluator with the names of a module: what an expression of a pipeline can
compute in a run, a constant can compute while compiling. Every evaluation has a budget, so that
neither `9**9**9` nor a chain of doublings can take the compiler's time or memory.
"""

from __future__ import annotations

import ast

from levada.operations import (
    Budget,
    ExpressionError,
    TooLargeError,
    UnorderedError,
    operators,
)
from levada.operations.plain import finished
from levada.operations.walker import Walker, dotted_parts

from ..diagnostics.diagnostic import Label
from . import modules as m
from .instances import ConstantInstance, ConstantMember
from .not_constant import NotConstantError, reads_environment, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any, Final, TypeVar

    from levada.operations import Function

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from .budget import CompilationBudget
    from .project_functions import Call

    T = TypeVar("T")

MAX_BITS: Final = 4096  #: of an integer
MAX_TEXT: Final = 1_000_000  #: characters of a string
MAX_ITEMS: Final = 100_000  #: values in a container, nested ones included
_MAX_CHAIN: Final = 20  #: constants that are evaluated within each other

#: How each operator is written.
SYMBOLS: Final[dict[type[ast.AST], str]] = {
    getattr(ast, name): symbol
    for table in (
        operators.BINARY_SYMBOLS,
        operators.UNARY_SYMBOLS,
        operators.COMPARE_SYMBOLS,
    )
    for name, symbol in table.items()
}


_HELP: Final = {
    "not-constant": "write what can be computed while compiling, or make it in a step",
    "constant-too-large": "make it in a step",
    "constant-error": "correct the expression",
    "set-order": "use a list or a tuple",
    "invalid-setting": "`levada explain invalid-setting` lists the settings",
    "undefined-name": "move the definition up",
    "environment-constant": "make it a parameter of the pipeline, with this default if it has one",
    "enum-member": "pass its `.value`, and make the member of it in the step",
}
_MESSAGES: Final = {
    "not-constant": "this has to be a constant: {}",
    "constant-too-large": "this constant is too large: {}",
    "constant-error": "this constant cannot be computed: {}",
}


def report(reports: Reports, error: NotConstantError, span: Span, way_out: str = "") -> None:
    """Report a constant expression that has no value while compiling."""
    message = _MESSAGES.get(error.rule, "{}").format(error.why)
    labels: tuple[Label, ...] = ()
    if error.stopped is not None:
        module, node, text = error.stopped
        labels = (Label(module.span(node), text),)
    way_out = way_out or error.help or _HELP.get(error.rule, "")
    reports.error(error.rule, span, message, labels=labels, help=way_out)


def size(value: object, limit: int = MAX_ITEMS) -> int:
    """Return how many values are in ``value``, counted no further than just past ``limit``."""
    count = 0
    stack = [value]
    while stack and count <= limit:
        item = stack.pop()
        count += 1
        if isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            if len(item) > limit:
                return len(item)
            stack.extend(item)
    return count


def bounded(value: T, node: ast.AST) -> T:
    """Return ``value``. Raises NotConstantError if it is too large to be a constant."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        why = f"an integer of more than {MAX_BITS} bits"
    elif isinstance(value, str | bytes) and len(value) > MAX_TEXT:
        why = f"a string of more than {MAX_TEXT:,} characters"
    elif isinstance(value, list | tuple | dict | set) and size(value) > MAX_ITEMS:
        why = f"more than {MAX_ITEMS:,} values"
    else:
        return value
    raise NotConstantError(node, why, "constant-too-large")


def failure(error: Exception, node: ast.AST, module: m.Module | None = None) -> NotConstantError:
    """Return what to report where an operation raised ``error``."""
    if isinstance(error, TooLargeError):
        return NotConstantError(node, error.what, "constant-too-large", module)
    if isinstance(error, UnorderedError):
        return NotConstantError(node, str(error), "set-order", module)
    if isinstance(error, ExpressionError):
        return NotConstantError(node, str(error), module=module)
    if isinstance(error, RecursionError | MemoryError):
        return NotConstantError(node, "it is nested too deep", "constant-too-large", module)
    why = f"there is no key {error}" if isinstance(error, KeyError) else str(error)
    return NotConstantError(node, why or type(error).__name__, "constant-error", module)


def _computed(compute: Callable[[], T], node: ast.AST, budget: CompilationBudget) -> T:
    """Return what an operation on constants gives. Raises NotConstantError."""
    try:
        with budget.evaluation():
            return bounded(compute(), node)
    except NotConstantError:
        raise
    except Exception as error:
        raise failure(error, node) from error


def binary(
    op: ast.operator, left: object, right: object, node: ast.AST, budget: CompilationBudget
) -> object:
    """Return ``left op right`` of constants."""
    symbol = SYMBOLS[type(op)]
    return _computed(lambda: operators.binary(symbol, left, right, budget), node, budget)


def unary(op: ast.unaryop, operand: object, node: ast.AST, budget: CompilationBudget) -> object:
    """Return ``op operand`` of a constant."""
    symbol = SYMBOLS[type(op)]
    return _computed(lambda: operators.unary(symbol, operand, budget), node, budget)


def compare(
    op: ast.cmpop, left: object, right: object, node: ast.AST, budget: CompilationBudget
) -> object:
    """Return ``left op right`` of constants."""
    return _computed(lambda: _compared(SYMBOLS[type(op)], left, right, budget), node, budget)


def _compared(op: str, left: object, right: object, budget: Budget) -> Any:
    certain = any(value is None or isinstance(value, bool) for value in (left, right))
    if op in ("is", "is not") and not certain:
        raise ValueError("`is` is only certain with None, True and False")
    return operators.compare(op, left, right, budget)


def subscript(value: object, index: object, node: ast.AST, budget: CompilationBudget) -> object:
    """Return ``value[index]`` of constants, or of a tuple of a pipeline's values."""
    return _computed(lambda: operators.subscript(value, index, budget), node, budget)


def formatted(
    value: object, conversion: str, spec: str, node: ast.AST, budget: CompilationBudget
) -> str:
    """Return one field of an f-string."""
    from levada.operations import text_formats

    return _computed(lambda: text_formats.formatted(value, conversion, spec, budget), node, budget)


def call(
    function: str,
    arguments: Sequence[object],
    keywords: Mapping[str, object],
    node: ast.AST,
    budget: CompilationBudget,
) -> object:
    """Return what a function gives for constants, by its name in expressions."""
    from levada.operations import call as called

    def compute() -> object:
        return finished(called(function, arguments, keywords, budget), budget)

    return _computed(compute, node, budget)


def method(
    value: object,
    name: str,
    arguments: Sequence[object],
    keywords: Mapping[str, object],
    node: ast.AST,
    budget: CompilationBudget,
) -> object:
    """Return what a method of a constant gives."""
    from levada.operations import method as called

    def compute() -> object:
        return finished(called(value, name, arguments, keywords, budget), budget)

    return _computed(compute, node, budget)


def attribute(value: object, name: str, node: ast.AST, budget: CompilationBudget) -> object:
    """Return an attribute of a constant."""
    from levada.operations import attribute as found

    return _computed(lambda: found(value, name), node, budget)


def collection(kind: str, items: list[object], node: ast.AST, budget: CompilationBudget) -> object:
    """Return a list, tuple or set of ``items``."""
    kinds: dict[str, Callable[[list[object]], object]] = {"list": list, "tuple": tuple, "set": set}
    return _computed(lambda: kinds[kind](items), node, budget)


def enum_member(name: str, problem: str = "") -> str:
    """Return what to say of a member of an enumeration where a constant is expected."""
    why = f": {problem}" if problem else ", which has no JSON form"
    return f"`{name}` is a member of an enumeration{why}"


#: What `Folder._read` returns of a call that reads nothing.
_NOT_READ: Final = object()


class _NeededFirstError(BaseException):
    """A constant at the end of a long chain: it is to be evaluated before the others."""

    def __init__(self, constant: m.Constant) -> None:
        self.constant = constant


def _key(constant: m.Constant) -> tuple[str, str]:
    return (constant.module.path, constant.name)


class Folder(Walker):
    """Evaluates the constant expressions of one module.

    ``under_call`` is the call of a function of the project whose body is being evaluated.
    """

    def __init__(
        self,
        modules: m.Modules,
        module: m.Module,
        constructors: Mapping[str, Callable[[ast.Call, Folder], object]] | None = None,
    ) -> None:
        super().__init__(modules.budget, {})
        self.modules = modules
        self.module = module
        self.constructors = constructors or {}
        self.limit: int | None = None  #: the line that module-level code may look back from
        self.owner: m.Class | None = None  #: the class whose body the expression stands in
        self.keeps_definitions = False  #: functions and classes of the project are values
        self.under_call: Call | None = None
        self.knows_place = False  #: `__file__` is known: what is evaluated is the path of a file
        self._active: list[tuple[str, str]] = []
        #: What the names in the expression under way mean: a loop asks again for each iteration.
        self._meanings: dict[ast.expr, m.Definition | None] = {}
        self._callees: dict[ast.expr, Function | None] = {}

    def fold(self, node: ast.expr, *, may_be_file: bool = False) -> object:
        """Return the value of ``node``. Raises NotConstantError."""
        try:
            with self.modules.budget.evaluation():
                value = bounded(finished(self.value(node), self.budget), node)
        except NotConstantError:
            raise
        except Exception as error:
            raise failure(error, node, self.module) from error
        if self.modules.data_files and not may_be_file:
            self._refuse_file(value, node)
        return value

    def _refuse_file(self, value: object, node: ast.AST) -> None:
        from .project_files import OpenFile

        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, OpenFile):
                why = f"`{item.name}` is an open file here, which is no value"
                help_text = "read it: `yaml.safe_load(file)`, `json.load(file)` or `file.read()`"
                raise NotConstantError(node, why, module=self.module, help=help_text)
            if isinstance(item, list | tuple | dict):
                stack.extend(item.values() if isinstance(item, dict) else item)

    def value(self, node: ast.expr) -> Any:
        """Return the value of a node. Raises NotConstantError with the innermost node at fault."""
        try:
            return super().value(node)
        except (NotConstantError, RecursionError, MemoryError):
            raise
        except Exception as error:
            raise failure(error, node, self.module) from error

    def operated(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        """Return ``left op right``, with the place of an error."""
        try:
            return super().operated(node, left, right)
        except NotConstantError:
            raise
        except Exception as error:
            raise failure(error, node, self.module) from error

    def compared(self, op: str, left: Any, right: Any) -> Any:
        """Return ``left op right``; what ``is`` gives must be the same on any Python."""
        return _compared(op, left, right, self.budget)

    def within(self, variables: dict[str, Any]) -> Folder:
        """Return the folder where there are these variables."""
        inner = self.at(self.module, self.limit)
        inner.owner, inner.under_call = self.owner, self.under_call
        inner._meanings, inner._callees = self._meanings, self._callees
        inner.variables = variables
        return inner

    def at(self, module: m.Module, limit: int | None) -> Folder:
        """Return the folder at a line of a module, as part of this evaluation."""
        inner = Folder(self.modules, module, self.constructors)
        inner.limit = limit
        inner.keeps_definitions = self.keeps_definitions
        inner.knows_place = self.knows_place
        inner._active = self._active
        return inner

    def at_place(self) -> Folder:
        """Return the folder for the path of a file, which may be that of the module itself."""
        inner = self.within(self.variables)
        inner.knows_place = True
        return inner

    def failed(self, error: Exception, node: ast.AST) -> NotConstantError:
        """Return what to report where ``error`` was raised in this module."""
        return failure(error, node, self.module)

    def is_any(self, node: ast.expr, names: Collection[str], module: m.Module) -> bool:
        """Whether an expression, or what it calls, is one of these names from outside."""
        called = node.func if isinstance(node, ast.Call) else node
        definition = self.modules.resolve(module, called)
        return isinstance(definition, m.External) and definition.name in names

    # ------------------------------------------------------------------ names

    def literal(self, node: ast.Constant) -> Any:
        """Return the value of a literal."""
        if node.value is ...:
            raise NotConstantError(node, "`...` has no JSON form", module=self.module)
        return bounded(node.value, node)

    def name(self, node: ast.Name) -> Any:
        """Return the value of a name: of a loop, of a function's own, or of the module."""
        if node.id in self.variables:
            return self.variables[node.id].value
        if self.under_call is not None:
            self.under_call.check_assigned(node)
        own = self.modules.class_member(self.owner, node.id) if self.owner else None
        if isinstance(own, m.EnumMember):  # in the body itself it is still the plain value
            own = own.value
        return self._definition(own or self.modules.lookup(self.module, node.id), node)

    def attribute(self, node: ast.Attribute) -> Any:
        """Return what a dotted name of the module means, or an attribute of a value."""
        definition = self._resolved(node)
        if definition is not None:
            return self._definition(definition, node)
        function = self.function(node)
        if function is not None:
            return function
        owner = self._resolved(node.value)
        if owner is None or isinstance(owner, m.Constant | m.External):
            return self.field(self.value(node.value), node.attr)
        return self._definition(None, node)

    def field(self, holder: Any, name: str) -> Any:
        """Return an attribute of a value, or a field of an instance of the project."""
        if isinstance(holder, ConstantInstance) and name in holder.fields:
            return holder.fields[name]
        if isinstance(holder, ConstantMember) and name in ("name", "value"):
            return holder.name if name == "name" else holder.value
        return super().field(holder, name)

    def _resolved(self, node: ast.expr) -> m.Definition | None:
        """Return what a name or a dotted name means at module level."""
        if node not in self._meanings:
            self._meanings[node] = self._resolve(node)
        return self._meanings[node]

    def _resolve(self, node: ast.expr) -> m.Definition | None:
        parts = dotted_parts(node)
        if parts is None or self._is_local(parts[0]):
            return None
        definition = self.modules.resolve(self.module, node)
        if isinstance(definition, m.External) and isinstance(node, ast.Attribute):
            from levada.operations import CONSTANTS, QUALIFIED

            owner = definition.name.rpartition(".")[0]
            if QUALIFIED.get(owner) in CONSTANTS:
                return None  # an attribute or a method of a value: `timezone.utc.tzname`
        return definition

    def _is_local(self, name: str) -> bool:
        inside = self.under_call is not None and name in self.under_call.locals
        return inside or name in self.variables

    def _definition(self, definition: m.Definition | None, node: ast.expr) -> Any:
        name = ast.unparse(node)
        if isinstance(definition, m.Constant):
            self._refuse_later(definition, node)
            value = self.constant(definition, node)
            if self.under_call is not None:
                self.under_call.keep(value)
            return value
        if isinstance(definition, m.EnumMember):
            member = self.modules.enum_member(definition) if self.keeps_definitions else None
            if member is not None:
                return member
            raise NotConstantError(node, enum_member(name), "enum-member", self.module)
        if self.keeps_definitions and isinstance(definition, m.Function | m.Class):
            return definition
        function = self.function(node)
        if function is not None:
            return function
        if isinstance(definition, m.External):
            return self._external(definition.name, name, node)
        if definition is None and name == "__file__" and self.knows_place:
            return self.module.path
        found = refusal(f"builtins.{name}") if definition is None else None
        if found is not None:
            raise NotConstantError(node, f"`{name}` {found[0]}", module=self.module, help=found[1])
        is_unknown = definition is None and name not in m.BUILTINS
        why = f"`{name}` is not {'defined as ' if is_unknown else ''}a constant"
        raise NotConstantError(node, why, module=self.module)

    def _external(self, qualified: str, name: str, node: ast.expr) -> Any:
        from levada.operations import QUALIFIED
        from levada.operations import constant as library_constant

        known = QUALIFIED.get(qualified)
        if known is not None:
            return library_constant(known)
        self._refuse_environment(qualified, name, node)
        found = refusal(qualified)
        reason, help_text = found or ("comes from outside the project, which is not imported", "")
        why = f"`{name}` {reason}"
        if found is None:
            why += " while compiling"
        raise NotConstantError(node, why, module=self.module, help=help_text)

    def _refuse_environment(self, qualified: str, name: str, node: ast.expr) -> None:
        if not reads_environment(qualified):
            return
        given = node.args if isinstance(node, ast.Call) else []
        if isinstance(node, ast.Subscript):
            given = [node.slice]
        help_text = ""
        if given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
            default = f" = {ast.unparse(given[1])}" if len(given) > 1 else ""
            written = f"{given[0].value.lower()}: str{default}"
            help_text = f"make it a parameter of the pipeline: `{written}`"
        why = f"`{name}` would be read from the environment of whoever compiles"
        raise NotConstantError(node, why, "environment-constant", self.module, help=help_text)

    def subscript(self, node: ast.Subscript) -> Any:
        """Return an item or a slice of a value."""
        definition = self._resolved(node.value)
        if isinstance(definition, m.External):
            self._refuse_environment(definition.name, ast.unparse(node), node)
        return super().subscript(node)

    def _refuse_later(self, constant: m.Constant | m.Function, node: ast.expr) -> None:
        """Module-level code is run from top to bottom."""
        later = self.limit is not None and constant.node.lineno >= self.limit
        if later and constant.module is self.module:
            why = f"`{ast.unparse(node)}` is used before it is defined"
            raise NotConstantError(node, why, "undefined-name", self.module)

    def constant(self, constant: m.Constant, node: ast.expr) -> object:
        """Return the value of a module-level constant, evaluated in its own module, once."""
        if self._active:
            return self._evaluated(constant, node)
        pending = [constant]
        while True:
            try:
                value = self._evaluated(pending[-1], node)
            except _NeededFirstError as needed:
                if any(_key(needed.constant) == _key(each) for each in pending):
                    raise self._circular(needed.constant, node) from None
                pending.append(needed.constant)
                continue
            pending.pop()
            if not pending:
                if self.modules.data_files:
                    self._refuse_file(value, node)
                return value

    def _evaluated(self, constant: m.Constant, node: ast.expr) -> object:
        module, name = constant.module, constant.name
        known = module.folded_with_definitions if self.keeps_definitions else module.folded
        known = {} if self.knows_place else known  # a path of this machine is only opened
        if name in known:
            return known[name]
        if constant.value is None:
            raise self._not_assigned_plainly(constant, node)
        if _key(constant) in self._active:
            raise self._circular(constant, node)
        if len(self._active) >= _MAX_CHAIN:
            raise _NeededFirstError(constant)
        inner = self.at(module, constant.node.lineno)
        inner._active = [*self._active, _key(constant)]
        inner.owner = constant.owner
        value = inner.fold(constant.value, may_be_file=True)
        known[name] = value
        return value

    def _circular(self, constant: m.Constant, node: ast.expr) -> NotConstantError:
        return NotConstantError(node, f"`{constant.name}` refers to itself", module=self.module)

    def _not_assigned_plainly(self, constant: m.Constant, node: ast.expr) -> NotConstantError:
        """Return the error for a name with no single value; a call that no constant may make."""
        written = getattr(constant.node, "value", None)
        if isinstance(written, ast.Call):
            inner = Folder(self.modules, constant.module)
            definition = inner._resolved(written.func)
            found = refusal(definition.name) if isinstance(definition, m.External) else None
            if found is not None:
                return inner._refused_call(written)
        why = f"`{constant.name}` is assigned more than once, or not by a plain assignment"
        return NotConstantError(node, why, module=self.module)

    # ------------------------------------------------------------------ texts and calls

    def text(self, node: ast.JoinedStr) -> str:
        """Return the text of an f-string."""
        try:
            return bounded(super().text(node), node)
        except NotConstantError as error:
            # Python 3.11 does not know the places within an f-string.
            if error.module in (None, self.module):
                error.node = node
            raise

    def function(self, node: ast.expr) -> Function | None:
        """Return the function of a library, or the builtin one, that a name means."""
        if node not in self._callees:
            self._callees[node] = self._function(node)
        return self._callees[node]

    def _function(self, node: ast.expr) -> Function | None:
        from levada.operations import QUALIFIED, named

        parts = dotted_parts(node)
        if parts is None or self._is_local(parts[0]):
            return None
        definition = self.modules.resolve(self.module, node)
        if isinstance(definition, m.External):
            known = QUALIFIED.get(definition.name)
            return None if known is None else named(known)
        is_builtin = parts[0] in m.BUILTINS and self.modules.lookup(self.module, parts[0]) is None
        return named(".".join(parts)) if is_builtin else None

    def call(self, node: ast.Call) -> Any:
        """Return the value of a call: of a constructor, a function of the project, or a library."""
        definition = self._resolved(node.func)
        if isinstance(definition, m.External) and definition.name in self.constructors:
            return self.constructors[definition.name](node, self)
        if isinstance(definition, m.Function):
            from .project_functions import evaluate

            self._refuse_later(definition, node.func)
            arguments, keywords = self.elements(node.args), self.keywords(node)
            return evaluate(self, definition, arguments, keywords, node)
        if isinstance(definition, m.Class):
            made = self.modules.instance(self, node, definition)
            if made is not None:
                return made
        if self._may_read(node, definition):
            read = self._read(node, definition)
            if read is not _NOT_READ:
                return read
        if self.function(node.func) is None and (
            definition is not None or not isinstance(node.func, ast.Attribute)
        ):
            raise self._refused_call(node)
        if self.under_call is not None and self.under_call.changes(node):
            return self.under_call.changed(self, node)
        if node.keywords:
            self._check_keywords(node)
        return super().call(node)

    def _check_keywords(self, node: ast.Call) -> None:
        from . import keyword_arguments

        function = self.function(node.func)
        if function is not None:
            keyword_arguments.check_function(node, function.name, self.module)
        elif isinstance(node.func, ast.Attribute):
            keyword_arguments.check_method(node, "", self.module)

    def _may_read(self, node: ast.Call, definition: m.Definition | None) -> bool:
        """Whether a call may read a file: most do not, and cost no import."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("load", "loads", "safe_load", "open"):
            return True
        if self.knows_place and name in ("resolve", "absolute", "abspath", "realpath"):
            return True
        return name in ("read", "read_bytes", "read_text") and definition is None

    def _read(self, node: ast.Call, definition: m.Definition | None) -> Any:
        """Return what a call reads of a file of the project, `_NOT_READ` if it is another call."""
        from . import project_files

        if isinstance(definition, m.External):
            if definition.name in project_files.READERS:
                return project_files.call(self, node, definition.name)
            if self.knows_place and definition.name.endswith((".abspath", ".realpath")):
                return self.value(node.args[0]) if node.args else _NOT_READ
            return _NOT_READ
        if isinstance(node.func, ast.Name):
            is_builtin = definition is None and node.func.id == "open"
            return project_files.opened(self, node) if is_builtin else _NOT_READ
        if definition is not None or not isinstance(node.func, ast.Attribute):
            return _NOT_READ
        place = self.at_place() if node.func.attr in project_files.METHODS else self
        receiver = place.value(node.func.value)
        if self.knows_place and node.func.attr in ("resolve", "absolute"):
            return receiver
        return project_files.of_method(self, node, receiver)

    def _refused_call(self, node: ast.Call) -> NotConstantError:
        name = ast.unparse(node.func)
        definition = self._resolved(node.func)
        qualified = definition.name if isinstance(definition, m.External) else f"builtins.{name}"
        if isinstance(definition, m.External):
            self._refuse_environment(qualified, name, node)
        found = refusal(qualified)
        if found is not None:
            return NotConstantError(
                node, f"`{name}(…)` {found[0]}", module=self.module, help=found[1]
            )
        return NotConstantError(node, f"`{name}(…)` would have to be run", module=self.module)
