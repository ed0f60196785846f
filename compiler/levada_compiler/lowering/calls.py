"""Calls in a pipeline: of steps, of other pipelines, and of what a pipeline computes with."""

from __future__ import annotations

import ast

from levada import operations

from ..diagnostics.diagnostic import Label
from ..diagnostics.reports import Reports
from ..front import constants
from ..front import modules as m
from ..front.not_constant import NotConstantError
from ..program.ir import Argument, Call, Group, Member, Output, Setting
from ..program.references import awaited
from ..slotted import replace
from . import bodies, call_options, functions, members, uncallable
from .arguments import Binder, header, lower_arguments
from .expressions import definition_of, is_local, unknown_member
from .frame import Frame, TooLargeError
from .lowering import EXPRESSIONS, callable_or_value, expression
from .values import (
    ERROR,
    ERROR_CLASS,
    Lowered,
    Partial,
    callable_value,
    constant,
    detached,
    poison,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..diagnostics.diagnostic import Diagnostic, Span
    from .arguments import Bound, Given

#: What gives a value that only a run has, by its qualified name: the function of
#: ``levada.run_values``, and how many arguments it may be given (:mod:`.run_values`).
_OF_RUNS: Final = {
    "datetime.datetime.now": ("now", 1),
    "datetime.datetime.today": ("now", 0),
    "datetime.datetime.utcnow": ("utc_now", 0),
    "datetime.date.today": ("today", 0),
    "time.time": ("time", 0),
    "time.strftime": ("now", 1),
    "uuid.uuid4": ("uuid4", 0),
}
#: The methods that return all fields of an instance or change some, with the kind of class that
#: has them, and the functions that do the same (:mod:`.records`).
_OF_RECORDS: Final = {
    "_asdict": "namedtuple",
    "_replace": "namedtuple",
    "model_dump": "pydantic",
}
_RECORD_FUNCTIONS: Final = ("dataclasses.asdict", "dataclasses.replace")
#: The last names of what reads a file, as a constant (:mod:`..front.project_files`).
_READERS: Final = ("load", "safe_load", "open", "read", "read_bytes", "read_text")
#: Deepest nesting of functions that call each other.
MAX_CALLS: Final = 40


class Modifiers:
    """What `.after(…)` and `.options(…)` add to a call."""

    __slots__ = ("after", "name", "options", "settings")

    def __init__(self) -> None:
        self.after: list[str] = []
        self.settings: tuple[Setting, ...] = ()
        self.name: Setting | None = None
        self.options: ast.Call | None = None


def _call(frame: Frame, node: ast.Call) -> Lowered:
    if _reads_file(frame, node):
        folder = constants.Folder(frame.building.modules, frame.module)
        return constant(folder.fold(node), frame.span(node))
    callee, modifier_calls = peel(node.func)
    modifiers = Modifiers()
    for call in reversed(modifier_calls):
        _apply_modifier(frame, call, modifiers)
    definition = callee_of(frame, callee)
    if definition is not None:
        return dispatch(frame, node, definition, modifiers)
    if isinstance(callee, ast.Attribute):
        if uncallable.is_logger(frame, callee.value):
            uncallable.report_log(frame, node)
            lower_arguments(frame, node)
            return poison(frame.span(node))
        owner = callable_or_value(frame, callee.value)
        if owner.definition is None:
            return _method(frame, node, owner, callee.attr)
        uncallable.report_member(frame, node, callee, owner.definition)
    uncallable.report_value(frame, node, callee)
    lower_arguments(frame, node)
    return poison(frame.span(node))


def _method(frame: Frame, node: ast.Call, owner: Lowered, name: str) -> Lowered:
    if name in ("after", "options"):
        way_out = f"call it: `{frame.text(node)}(…)`"
        frame.reports.error(
            "step-as-value", frame.span(node), "this only prepares a call", help=way_out
        )
        return poison(frame.span(node))
    if name in _OF_RECORDS and ":" in owner.type.name:
        from . import records  # few pipelines have one

        made = records.method(frame, node, owner, name, _OF_RECORDS[name])
        if made is not None:
            return made
    return functions.method(frame, node, owner, name)


def _reads_file(frame: Frame, node: ast.Call) -> bool:
    """Return whether a call reads a file of the project as a constant: nothing of it is local."""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name not in _READERS or any(
        isinstance(each, ast.Name) and is_local(frame, each.id) for each in ast.walk(node)
    ):
        return False
    definition = callee_of(frame, node.func) if isinstance(node.func, ast.Name) else None
    if isinstance(node.func, ast.Attribute):
        definition = definition_of(frame, node.func)
        if definition is None:
            return name.startswith("read") and definition_of(frame, node.func.value) is None
    external = definition.name if isinstance(definition, m.External) else ""
    return external in ("builtins.open", "json.load", "tomllib.load", "yaml.safe_load")


def peel(func: ast.expr) -> tuple[ast.expr, list[ast.Call]]:
    """Return the callee under `.after(…)` and `.options(…)`, and these calls, the last first."""
    calls: list[ast.Call] = []
    while (
        isinstance(func, ast.Call)
        and isinstance(func.func, ast.Attribute)
        and func.func.attr in ("after", "options")
    ):
        calls.append(func)
        func = func.func.value
    return func, calls


def callee_of(frame: Frame, callee: ast.expr) -> m.Definition | Partial | None:
    """Return the function or class that is called; None for anything else."""
    if isinstance(callee, ast.Name) and not is_local(frame, callee.id):
        found = frame.building.modules.lookup(frame.module, callee.id)
        if found is None and callee.id in m.BUILTINS:
            return m.External(f"builtins.{callee.id}")
        if found is not None and not isinstance(found, m.Constant):
            return found
    elif isinstance(callee, ast.Attribute):
        owner = definition_of(frame, callee.value)
        if owner is not None:
            found = frame.building.modules.member(owner, callee.attr)
            if isinstance(owner, m.Module) and found is None:
                unknown_member(frame, callee, owner)
            return None if isinstance(found, m.Constant) else found
        return _of_builtin(frame, callee)
    if isinstance(callee, ast.Name | ast.Subscript | ast.Call):
        return callable_or_value(frame, callee).definition if _is_known(frame, callee) else None
    return None


def _of_builtin(frame: Frame, callee: ast.Attribute) -> m.External | None:
    """Return a function of a builtin type that the evaluator has, such as ``dict.fromkeys``."""
    owner = callee.value
    if not isinstance(owner, ast.Name) or is_local(frame, owner.id) or owner.id not in m.BUILTINS:
        return None
    name = f"builtins.{owner.id}.{callee.attr}"
    is_builtin = frame.building.modules.lookup(frame.module, owner.id) is None
    return m.External(name) if is_builtin and name in operations.QUALIFIED else None


def _is_known(frame: Frame, callee: ast.expr) -> bool:
    if not isinstance(callee, ast.Name):
        return True
    bound = is_local(frame, callee.id) and callee.id in frame.scope.names
    return bound or frame.building.modules.lookup(frame.module, callee.id) is not None


def dispatch(
    frame: Frame, node: ast.Call, definition: m.Definition | Partial, modifiers: Modifiers
) -> Lowered:
    """Lower a call of a definition."""
    match definition:
        case Partial():
            return _call_partial(frame, node, definition, modifiers)
        case m.Function():
            kind = frame.building.declarations.kind(definition)
            if kind == "step":
                return call_step(frame, node, definition, modifiers)
            if kind == "pipeline":
                return call_pipeline(frame, node, definition, modifiers)
            return _call_plain(frame, node, definition)
        case m.Class():
            return _call_class(frame, node, definition)
        case m.External():
            return _call_external(frame, node, definition)
    uncallable.report(frame, node, f"`{frame.text(node.func)}` is not a step", "call a step of it")
    lower_arguments(frame, node)
    return poison(frame.span(node))


def _apply_modifier(frame: Frame, call: ast.Call, modifiers: Modifiers) -> None:
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - peel has seen to it
    if call.func.attr == "after":
        modifiers.after.extend(after_ids(frame, call))
        return
    modifiers.options = call
    kept = {item.name: item for item in (*modifiers.settings, *call_options.read(frame, call))}
    modifiers.name = kept.pop("name", modifiers.name)
    modifiers.settings = tuple(kept[name] for name in sorted(kept))


def after_ids(frame: Frame, call: ast.Call) -> list[str]:
    """Return the nodes that the arguments of an `after(…)` come from."""
    ids: list[str] = []
    for argument in call.args:
        value = expression(frame, argument)
        found = list(waited_for(value))
        ids.extend(found)
        if not found and not value.poisoned:
            frame.reports.error(
                "after-argument",
                frame.span(argument),
                f"`{frame.text(argument)}` is not the result of a step, so nothing waits for it",
                help="give `after` the results of the steps that have to end before",
            )
    for keyword in call.keywords:
        frame.reports.error(
            "unknown-argument",
            frame.span(keyword),
            "`after` takes no keyword arguments",
            help="give it the results of the steps that have to end before",
        )
    return list(dict.fromkeys(ids))


def waited_for(value: Lowered) -> list[str]:
    """Return the ids of the nodes that a value comes from."""
    if value.origins:
        return list(value.origins)
    if value.parts is not None:
        return list(dict.fromkeys(name for part in value.parts for name in waited_for(part)))
    return list(dict.fromkeys(awaited(value.expr)))


# ---------------------------------------------------------------------------- steps


def call_step(
    frame: Frame,
    node: ast.Call,
    function: m.Function,
    modifiers: Modifiers,
    given: Given | None = None,
) -> Lowered:
    """Lower a step call: its node, and its output."""
    span = frame.span(node)
    step = frame.building.declarations.step(function)
    binder = Binder(frame, span, step.parameters, function.node.name, header(function))
    bound = _bound(frame, node, binder, given)
    if bound is None:
        return poison(span)
    identity = call_options.identity(frame, function.node.name, modifiers.name, span)
    arguments = tuple(Argument(name, value.expr, place) for name, (value, place) in bound.items())
    after = tuple(dict.fromkeys(modifiers.after))
    frame.emit(Call(identity, step.key, arguments, after, modifiers.settings, span))
    labels = tuple(output.name for output in step.outputs) if step.returns.name == "tuple" else ()
    return Lowered(Output(identity, span), step.returns, labels=labels)


def _bound(frame: Frame, node: ast.Call, binder: Binder, given: Given | None) -> Bound | None:
    """Return the arguments by parameter; None after a diagnostic of the call or of one of them."""
    given = lower_arguments(frame, node) if given is None else given
    binder.bind(given)
    if binder.failed or given.is_poisoned:
        return None
    for value, span in binder.bound.values():
        _refuse_iterator(frame, value, span)
        _refuse_exception(frame, value, span)
    return binder.collected()


def _refuse_iterator(frame: Frame, value: Lowered, span: Span) -> None:
    name = getattr(value.expr, "function", None)
    if name in functions.ITERATORS:
        frame.reports.error(
            "unsupported-expression",
            span,
            f"`{name}(…)` is an iterator, which a step cannot be given",
            help=f"pass a list: `list({name}(…))`",
        )


def _refuse_exception(frame: Frame, value: Lowered, span: Span) -> None:
    if value.type.name.startswith("exception"):
        frame.reports.error(
            "exception-value",
            span,
            "an exception itself cannot be given to a step",
            help="pass its text (`str(e)`), its arguments (`e.args`) or `type(e).__name__`",
        )


def _call_partial(frame: Frame, node: ast.Call, partial: Partial, modifiers: Modifiers) -> Lowered:
    given = lower_arguments(frame, node)
    span = frame.span(node)
    given.positional[:0] = partial.positional
    given.spans[:0] = [span] * len(partial.positional)
    later = {name for name, _ in given.keywords}
    for name, value in partial.keywords:
        if name not in later:
            given.add_keyword(name, value, span)
    function = partial.callee
    kind = frame.building.declarations.kind(function) if isinstance(function, m.Function) else None
    if isinstance(function, m.Function) and kind == "step":
        return call_step(frame, node, function, modifiers, given)
    if isinstance(function, m.Function) and kind == "pipeline":
        return call_pipeline(frame, node, function, modifiers, given)
    uncallable.report(
        frame, node, "this partial is not of a step", "make it of a step or a pipeline"
    )
    return poison(span)


# ---------------------------------------------------------------------------- pipelines


def call_pipeline(
    frame: Frame,
    node: ast.Call,
    function: m.Function,
    modifiers: Modifiers,
    given: Given | None = None,
) -> Lowered:
    """Lower a call of another pipeline, inlined as a group."""
    span = frame.span(node)
    if _is_active(frame, function):
        _report_recursion(frame, node, function)
        return poison(span)
    if modifiers.options is not None:
        frame.reports.error(
            "invalid-setting",
            frame.span(modifiers.options),
            "`options` overrides the settings of a step, not of a pipeline",
            help="give the options to the steps in it",
        )
    declared = frame.building.declarations.pipeline(function)
    binder = Binder(frame, span, declared.parameters, function.node.name, header(function))
    bound = _bound(frame, node, binder, given)
    if bound is None or binder.open is not None:
        if binder.open is not None:
            what = "a pipeline's arguments have to be known: `**` of unknown keys gives none"
            frame.reports.error("star-argument", span, what, help="write the arguments one by one")
        return poison(span)
    values = {name: frame.keep(value, name) for name, (value, _) in bound.items()}
    identity = frame.new_id(function.node.name)
    inner = Frame(frame.building, function, f"{identity}.", frame.depth)
    for name, value in {**bodies.defaults(declared), **values}.items():
        inner.bind(name, detached(value))
    result = bodies.lower(inner)
    after = tuple(dict.fromkeys(modifiers.after))
    text = declared.description
    if not inner.region:
        frame.release(identity)
        return detached(result)
    frame.emit(Group(identity, function.node.name, text, tuple(inner.region), after, span))
    return replace(detached(result), origins=(identity,))


def _is_active(frame: Frame, function: m.Function) -> bool:
    return function.key in [active.key for active in frame.building.active]


def _report_recursion(frame: Frame, node: ast.Call, function: m.Function) -> None:
    frame.reports.error(
        "pipeline-recursion",
        frame.span(node),
        f"`{function.node.name}` calls itself, directly or through another function",
        help="loop over a list, or do the recursion in a step",
    )
    lower_arguments(frame, node)


# ---------------------------------------------------------------------------- plain functions


def _call_plain(frame: Frame, node: ast.Call, function: m.Function) -> Lowered:
    """Lower a call of a plain function of the project: its body, as if it were written here."""
    span = frame.span(node)
    given = lower_arguments(frame, node)
    if given.is_poisoned:
        return poison(span)
    if not frame.building.modules.project.is_own(function.module.path):
        uncallable.report_library(frame, node, function)
        return poison(span)
    if given.is_static and given.open is None:
        folded = _folded(frame, node, function, given)
        if folded is not None:
            return folded
    if _is_active(frame, function):
        _report_recursion(frame, node, function)
        return poison(span)
    parameters = frame.building.declarations.plain_parameters(function)
    binder = Binder(frame, span, parameters, function.node.name, header(function))
    bound = _bound(frame, node, binder, given)
    if bound is None:
        return poison(span)
    return _inlined(frame, node, function, {n: value for n, (value, _) in bound.items()})


def _folded(frame: Frame, node: ast.Call, function: m.Function, given: Given) -> Lowered | None:
    """Return what a function gives for constants; None where it is more than a computation."""
    from ..front import project_functions

    folder = constants.Folder(frame.building.modules, frame.module)
    try:
        found = project_functions.evaluate(folder, function, *given.as_static(), node)
        return constant(found, frame.span(node))
    except NotConstantError as error:
        if error.rule in ("constant-error", "constant-too-large"):
            raise
        return None


def _inlined(
    frame: Frame, node: ast.Call, function: m.Function, bound: dict[str, Lowered]
) -> Lowered:
    building = frame.building
    values = {name: frame.keep(value, name) for name, value in bound.items()}
    inner = frame.within(function)
    for name, value in {**bodies.plain_defaults(inner, function), **values}.items():
        inner.bind(name, detached(value))
    outer, building.reports = building.reports, Reports()
    try:
        result = bodies.lower(inner)
        problems = building.reports.sorted(function.module.source.file)
    except TooLargeError:
        outer.add_all(building.reports)
        raise
    finally:
        building.reports = outer
    frame.rejoin(inner)
    errors = [problem for problem in problems if problem.is_error]
    if errors:
        _report_plain_function(frame, node, function, errors)
        return poison(frame.span(node))
    return detached(result)


def _report_plain_function(
    frame: Frame, node: ast.Call, function: m.Function, errors: list[Diagnostic]
) -> None:
    name = function.node.name
    first = errors[0]
    uncallable.report(
        frame,
        node,
        f"`{name}` is not a step, and a pipeline cannot compute it: {first.message}",
        f"declare it as a step (`@step` on `{name}`), or let it only compute with plain values",
        Label(first.span, "this stopped it"),
    )


# ---------------------------------------------------------------------------- classes


def _call_class(frame: Frame, node: ast.Call, definition: m.Class) -> Lowered:
    span = frame.span(node)
    found = frame.building.declarations.enumeration(definition.key)
    if found is not None and not found.problem and len(node.args) == 1 and not node.keywords:
        value = expression(frame, node.args[0])
        if value.poisoned:
            return poison(span)
        made = members.member(found, value, found.type)
        assert isinstance(made.expr, Member)  # noqa: S101 - as it says
        return replace(made, expr=replace(made.expr, span=span), raises=True)
    made_value = functions.instance(frame, node, definition)
    if made_value is not None:
        return made_value
    uncallable.report(
        frame,
        node,
        f"`{frame.text(node.func)}` is a class whose instances a pipeline cannot make",
        "make it in a step; a dataclass, a NamedTuple or a pydantic model can be made here",
        Label(definition.module.span(definition.node), "it is defined here"),
    )
    lower_arguments(frame, node)
    return poison(span)


# ---------------------------------------------------------------------------- other callees


def _call_external(frame: Frame, node: ast.Call, definition: m.External) -> Lowered:
    name = operations.QUALIFIED.get(definition.name)
    if name is not None:
        return functions.apply(frame, node, name)
    if definition.name == "functools.partial":
        return _make_partial(frame, node)
    if definition.name in _RECORD_FUNCTIONS:
        from . import records

        return records.function(frame, node, definition.name)
    if definition.name in _OF_RUNS:
        from . import run_values  # few pipelines have one

        return run_values.call(frame, node, definition.name, *_OF_RUNS[definition.name])
    given = lower_arguments(frame, node)
    values = given.values()
    if definition.name == "builtins.type" and len(values) == 1 and values[0].type == ERROR:
        return replace(values[0], type=ERROR_CLASS)
    uncallable.report_external(frame, node, definition)
    return poison(frame.span(node))


def _make_partial(frame: Frame, node: ast.Call) -> Lowered:
    span = frame.span(node)
    callee = callee_of(frame, node.args[0]) if node.args else None
    if callee is None or isinstance(callee, Partial):
        uncallable.report(
            frame, node, "`partial` is used here without a step", "write `partial(step, …)`"
        )
        return poison(span)
    rest = ast.copy_location(ast.Call(node.func, node.args[1:], node.keywords), node)
    given = lower_arguments(frame, rest)
    partial = Partial(callee, tuple(given.positional), tuple(given.keywords))
    return callable_value(partial, span)


EXPRESSIONS[ast.Call] = _call
