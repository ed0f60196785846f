"""The compiler's longer messages: what is wrong, why, and a concrete way out."""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import closest, did_you_mean
from ..front import modules as m
from ..front import types
from ..program.ir import Sequence, Type
from .values import ANY, STR, Level, Value, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from ..front.constants import NotConstantError
    from ..front.declare import Declarations, Fields
    from .frame import Frame

__all__ = ["did_you_mean"]

NUMBERS: Final = ("bool", "int", "float")
SCALARS: Final = (*NUMBERS, "str", "None", "NoneType")

NOT_CONSTANT_HELP: Final = {
    "not-constant": "write what can be computed while compiling, or make it in a step",
    "constant-too-large": "make it in a step",
    "constant-error": "correct the expression",
    "set-order": "use a list or a tuple",
    "invalid-setting": "see the settings in docs/contracts.md",
    "undefined-name": "move the definition up",
    "environment-constant": "make it a parameter of the pipeline, with this default if it has one",
    "enum-member": "pass its `.value`, and make the member of it in the step",
}
CONSTANT_MESSAGES: Final = {
    "not-constant": "this has to be a constant: {}",
    "constant-too-large": "this constant is too large: {}",
    "constant-error": "this constant cannot be computed: {}",
}


def report_not_constant(reports: Reports, error: NotConstantError, span: Span) -> None:
    """A constant expression that has no value while compiling."""
    message = CONSTANT_MESSAGES.get(error.rule, "{}").format(error.why)
    labels: tuple[Label, ...] = ()
    if error.stopped is not None:
        module, node, text = error.stopped
        labels = (Label(module.span(node), text),)
    way_out = error.help or NOT_CONSTANT_HELP.get(error.rule, "")
    reports.error(error.rule, span, message, labels=labels, help=way_out)


# ---------------------------------------------------------------------------- types


def fits(declarations: Declarations, value: Value, wanted: Type) -> bool:
    """Whether a value may be given where ``wanted`` is expected."""
    if value.is_static and not isinstance(value.static, tuple | set | frozenset | range):
        return types.accepts(value.static, wanted, declarations.bases)
    return types.assignable(value.type, wanted, declarations.bases)


def check_argument(
    frame: Frame, parameter: object, value: Value, span: Span, function: m.Function
) -> None:
    """Report an argument whose type is not that of its parameter."""
    from ..program.ir import Parameter

    assert isinstance(parameter, Parameter)  # noqa: S101 - the caller's type
    if value.poisoned or fits(frame.building.declarations, value, parameter.type):
        return
    given, wanted = types.text(value.type), types.text(parameter.type)
    frame.reports.error(
        "type-mismatch",
        span,
        f"`{parameter.name}` of `{function.node.name}` is `{wanted}`, but this is `{given}`",
        labels=(Label(parameter.span, f"declared as `{wanted}` here"),),
        help=f"give a value of type `{wanted}`, or change the annotation of `{parameter.name}`",
    )


def report_mismatch(frame: Frame, span: Span, name: str, given: Type, wanted: Type) -> None:
    """Report a value whose type is not the declared one."""
    expected = types.text(wanted)
    frame.reports.error(
        "type-mismatch",
        span,
        f"`{name}` is `{expected}`, but this is `{types.text(given)}`",
        help=f"give a value of type `{expected}`, or change the annotation",
    )


def check_iterable(frame: Frame, node: ast.expr, value: Value) -> bool:
    """Report what cannot be looped over."""
    names = {value.type.name}
    if value.type.name == "union":
        names = {option.name for option in value.type.arguments}
    if not names <= {"int", "float", "bool", "None", "NoneType", "complex"}:
        fields = frame.building.declarations.fields(value.type)
        if fields is None or fields.kind != "object":
            return True
    if isinstance(value.expr, Sequence):
        return True
    frame.reports.error(
        "not-iterable",
        frame.span(node),
        f"a value of type `{types.text(value.type)}` cannot be looped over",
        labels=(Label(value.expr.span, "this is where it comes from"),),
        help="loop over a list, or over `range(…)`",
    )
    return False


def item_type(kind: Type, index: object) -> Type:
    """The type of ``value[index]``."""
    if kind.name == "tuple" and isinstance(index, int) and types.ELLIPSIS not in kind.arguments:
        return kind.arguments[index] if -len(kind.arguments) <= index < len(kind.arguments) else ANY
    if kind.name == "dict":
        return kind.arguments[1] if len(kind.arguments) == 2 else ANY
    return STR if kind.name == "str" else types.element(kind) if kind.name == "list" else ANY


def arithmetic_type(frame: Frame, node: ast.AST, symbol: str, left: Value, right: Value) -> Type:
    """The type of ``left symbol right``, after a report where Python would surely raise."""
    names = (left.type.name, right.type.name)
    if all(name in NUMBERS for name in names):
        return (
            Type("float", text="float")
            if symbol == "/" or "float" in names
            else Type("int", text="int")
        )
    if names == ("str", "str") and symbol == "+":
        return STR
    if "str" in names and symbol in "*%":
        return STR if symbol == "*" else ANY
    if all(name in SCALARS for name in names):
        frame.reports.error(
            "type-mismatch",
            frame.span(node),
            f"`{symbol}` does not go with `{types.text(left.type)}` and `{types.text(right.type)}`",
            help="use an f-string to put a number into a text",
        )
    return types.union((left.type, right.type)) if names[0] == names[1] else ANY


def check_comparable(frame: Frame, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> None:
    """Report an ordering that Python would surely refuse."""
    names = (left.type.name, right.type.name)
    ordered = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    if not ordered or not all(name in SCALARS for name in names):
        return
    if all(name in NUMBERS for name in names) or names == ("str", "str"):
        return
    frame.reports.error(
        "type-mismatch",
        frame.span(node),
        f"`{types.text(left.type)}` and `{types.text(right.type)}` cannot be compared",
        help="compare values of the same kind",
    )


# ---------------------------------------------------------------------------- computing


def report_computing(frame: Frame, node: ast.expr | ast.AugAssign) -> Value:
    """A computation with a step's output, and the step that would do it."""
    labels = tuple(
        Label(value.expr.span, f"`{name}` is a step output, so it has no value until the run")
        for name, value in outputs_in(frame, node)[:3]
    )
    frame.reports.error(
        "compute-in-pipeline",
        frame.span(node),
        "a pipeline passes step outputs around but cannot compute with them",
        label="this would have to run inside the orchestrator",
        labels=labels,
        help="move it into a step",
        edit=step_for(frame, node),
    )
    return poison(frame.span(node))


def report_indexing(frame: Frame, node: ast.Subscript) -> Value:
    """An item of a step's output."""
    frame.reports.error(
        "index-step-output",
        frame.span(node),
        "a step output cannot be indexed in a pipeline: it has no value until the run",
        help="give the output a name (a NamedTuple or a dataclass), or take the item in a step",
        edit=step_for(frame, node),
    )
    return poison(frame.span(node))


def outputs_in(frame: Frame, node: ast.AST) -> list[tuple[str, Value]]:
    """The names in an expression whose values come from steps."""
    found: dict[str, Value] = {}
    for item in ast.walk(node):
        if isinstance(item, ast.Name):
            binding = frame.scope.names.get(item.id)
            if isinstance(binding, Value) and binding.level is Level.OUTPUT:
                found.setdefault(item.id, binding)
    return list(found.items())


def step_for(frame: Frame, node: ast.expr | ast.AugAssign) -> tuple[str, ...]:
    """The lines of a step that computes ``node``."""
    if any(isinstance(item, ast.Call | ast.Starred) for item in ast.walk(node)):
        return ()
    inputs: dict[str, Type] = {}
    renaming = _Inputs(frame, inputs)
    body = node
    if isinstance(node, ast.AugAssign):
        target = ast.Name(node.target.id, ast.Load()) if isinstance(node.target, ast.Name) else None
        body = ast.BinOp(target or ast.Constant(0), node.op, node.value)
    copied = ast.parse(ast.unparse(body), mode="eval").body
    result = ast.unparse(renaming.visit(copied))
    parameters = ", ".join(
        name if kind.name == "any" else f"{name}: {types.text(kind)}"
        for name, kind in inputs.items()
    )
    name = f"compute_{frame.target}" if frame.target else "compute"
    return ("@step", f"def {name}({parameters}):", f"    return {result}")


class _Inputs(ast.NodeTransformer):
    """Replaces what the pipeline knows by parameters of a step."""

    def __init__(self, frame: Frame, inputs: dict[str, Type]) -> None:
        self.frame = frame
        self.inputs = inputs

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if not isinstance(node.value, ast.Name):
            return self.generic_visit(node)
        binding = self.frame.scope.names.get(node.value.id)
        if not isinstance(binding, Value):
            return node
        fields = self.frame.building.declarations.fields(binding.type)
        kind = fields.types.get(node.attr, ANY) if fields else ANY
        return self._input(node.attr, kind)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        binding = self.frame.scope.names.get(node.id)
        if binding is None:
            return node
        return self._input(node.id, binding.type if isinstance(binding, Value) else ANY)

    def _input(self, name: str, kind: Type) -> ast.Name:
        self.inputs.setdefault(name, kind)
        return ast.Name(name, ast.Load())


def report_hidden_call(frame: Frame, node: ast.AST, where: str) -> None:
    """A step call that Python would make only sometimes."""
    frame.reports.error(
        "unsupported-expression",
        frame.span(node),
        f"a step cannot be called within {where}, where Python may leave it out",
        help="call it in a statement of its own before, or under an `if`",
    )


# ---------------------------------------------------------------------------- outputs


def report_unknown_output(
    frame: Frame, node: ast.Attribute, value: Value, fields: Fields | None
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


# ---------------------------------------------------------------------------- callees

BUILTIN_HELP: Final = {
    "print": "print in a step: its output is in the step's log",
    "list": "write `[]` for an empty list, or a comprehension",
    "dict": "write `{…}`",
    "len": "count in a step",
    "str": 'write an f-string: `f"{x}"`',
    "map": "write a comprehension: `[f(x) for x in xs]`",
    "filter": "write a comprehension: `[x for x in xs if …]`",
}


def report_not_a_step(
    frame: Frame, node: ast.Call, callee: ast.expr, definition: m.Definition | None
) -> None:
    """A call of something that is not a step."""
    name = frame.text(callee)
    root = callee
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(callee, ast.Name) and callee.id in frame.locals:
        _report_local_call(frame, node, callee)
    elif isinstance(definition, m.Function):
        _report_plain_function(frame, node, name, definition)
    elif isinstance(definition, m.External):
        _report_external(frame, node, name, definition)
    elif isinstance(callee, ast.Name) and definition is None and callee.id not in m.BUILTINS:
        report_undefined(frame, callee)
    elif isinstance(callee, ast.Attribute) and definition is None:
        _report_method(frame, node, callee)
    elif isinstance(callee, ast.Name) and definition is None:
        _report(
            frame,
            node,
            f"`{name}` is not a step",
            BUILTIN_HELP.get(name, f"call `{name}` in a step"),
        )
    elif isinstance(callee, ast.Name | ast.Attribute):
        _report(frame, node, f"`{name}` is not a step", "put it into a step, and call that")
    else:
        _report(
            frame,
            node,
            "only a step or a pipeline can be called here, by its name",
            "give it a name at module level",
        )


def _report(frame: Frame, node: ast.AST, message: str, way_out: str) -> None:
    frame.reports.error("not-a-step", frame.span(node), message, help=way_out)


def _report_local_call(frame: Frame, node: ast.Call, callee: ast.Name) -> None:
    frame.used.add(callee.id)
    binding = frame.scope.names.get(callee.id)
    if isinstance(binding, Value) and binding.poisoned:
        return
    if callee.id not in frame.module.bindings:
        frame.reports.error(
            "not-a-step",
            frame.span(node),
            f"`{callee.id}` is a variable of the pipeline, not a step",
            labels=(Label(frame.span(frame.locals[callee.id]), "it gets its value here"),),
            help="only a step or a pipeline, defined at module level, can be called",
        )
        return
    frame.reports.error(
        "not-a-step",
        frame.span(callee),
        f"`{callee.id}` is a variable of this pipeline, which hides the step of that name",
        labels=(Label(frame.span(frame.locals[callee.id]), f"`{callee.id}` is assigned here"),),
        help="give the variable another name",
    )


def _report_plain_function(frame: Frame, node: ast.Call, name: str, definition: m.Function) -> None:
    span = definition.module.span(definition.node)
    header = definition.module.source.line_span(span.line, span.column)
    frame.reports.error(
        "not-a-step",
        frame.span(node),
        f"`{name}` is not a step",
        labels=(Label(header, "it is an ordinary function"),),
        help="declare it as a step",
        edit=("@step", f"def {definition.node.name}(…):"),
    )


def _report_external(frame: Frame, node: ast.Call, name: str, definition: m.External) -> None:
    if definition.name == "levada.after":
        _report(frame, node, "`after(…)` gives no value", "write it as a statement of its own")
        return
    broken = frame.building.modules.broken
    if any(definition.name == item or definition.name.startswith(f"{item}.") for item in broken):
        return
    top = definition.name.partition(".")[0]
    message = (
        f"`{name}` comes from `{top}`, which is not a module of this project, so it is no step"
    )
    _report(frame, node, message, f"call it in a step; or check where `{top}` lies")


def report_undefined(frame: Frame, node: ast.Name) -> None:
    """A name that nothing defines, or that is imported from a module that does not define it."""
    name = node.id
    binding = frame.module.bindings.get(name)
    if isinstance(binding, m.Import) and binding.member is not None:
        owner = frame.building.modules.load(binding.target)
        listed = owner.bindings if owner else ()
        message = f"`{binding.target}` has no `{binding.member}`"
        way_out = did_you_mean(binding.member, listed, f"define it in `{binding.target}`")
    else:
        found = closest(name, (*frame.module.bindings, *frame.scope.names))
        message = f"`{name}` is not defined"
        way_out = f"did you mean `{found}`?" if found else "import or define it before it is used"
    frame.reports.error("undefined-name", frame.span(node), message, help=way_out)


def _report_method(frame: Frame, node: ast.Call, callee: ast.Attribute) -> None:
    from . import expressions

    if callee.attr in ("after", "options"):
        way_out = f"call it: `{frame.text(node)}(…)`"
        frame.reports.error(
            "step-as-value", frame.span(node), "this only prepares a call", help=way_out
        )
        return
    root = callee.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and not expressions.is_local(frame, root.id):
        owner = frame.building.modules.resolve(frame.module, callee.value)
        if isinstance(owner, m.Module):
            expressions.unknown_member(frame, callee, owner)
            return
        if owner is None and root.id not in m.BUILTINS:
            report_undefined(frame, root)
            return
    elif expressions.lower(frame, callee.value).poisoned:
        return
    _report(
        frame,
        node,
        f"the method `{callee.attr}` cannot be called in a pipeline: it is not a step",
        f"call `{callee.attr}` in a step",
    )


# ---------------------------------------------------------------------------- declarations


def check_function(
    reports: Reports, function: m.Function, kind: str, *, lowered: bool = True
) -> None:
    """A step or a pipeline must be an ordinary function: the decorator refuses any other.

    In a pipeline that is ``lowered``, each ``yield`` is reported where it stands.
    """
    node = function.node
    span = function.module.source.line_span(
        function.module.span(node).line, function.module.span(node).column
    )
    if isinstance(node, ast.AsyncFunctionDef):
        reports.error(
            "invalid-function",
            span,
            f"`{node.name}` is async: a {kind} is an ordinary function",
            help="write `def`; in a step, `asyncio.run(…)` runs what is async",
        )
    elif (kind == "step" or not lowered) and _yields(function):
        reports.error(
            "invalid-function",
            span,
            f"`{node.name}` yields: a {kind} returns its result",
            help="collect into a list and return it",
        )


def _yields(function: m.Function) -> bool:
    node = function.node
    lines = function.module.source.lines[node.lineno - 1 : node.end_lineno]
    if not any("yield" in line for line in lines):
        return False
    stack: list[ast.AST] = list(node.body)
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(item))
    return False


def check_decorators(reports: Reports, declarations: Declarations, function: m.Function) -> None:
    """A pipeline has no decorator beside ``@pipeline``: it would not run in an orchestrator."""
    seen = False
    for decorator in function.node.decorator_list:
        kind = declarations.decorator_kind(function.module, decorator)
        if kind == "pipeline" and not seen:
            seen = True
            continue
        reports.error(
            "invalid-decorator",
            function.module.span(decorator),
            f"`@{ast.unparse(decorator)}` cannot be used beside `@pipeline`: it would not be run",
            help="remove it",
        )
