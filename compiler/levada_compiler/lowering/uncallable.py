"""What cannot be called in a pipeline, and what to write instead."""

from __future__ import annotations

import ast

from levada import operations

from ..diagnostics.diagnostic import Label
from ..front import modules as m
from ..front import outside, undefined
from ..front.not_constant import refusal
from .expressions import definition_of, is_local
from .values import Lowered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from .frame import Frame
    from .values import Partial

_MAKE: Final = "make a step of it at the top level of the module, and call that"
_HELP: Final = {
    "print": "log in a step: what a step prints is in its log",
    "open": "open the file in a step",
    "input": "make it a parameter of the pipeline",
    "map": "write a comprehension: `[f(x) for x in xs]`",
    "filter": "write a comprehension: `[x for x in xs if …]`",
    "iter": "loop over the list itself",
    "next": "take an item: `xs[0]`",
    "type": "only the class of a handled exception has a name here: `type(e).__name__`",
    "eval": "compute it in a step",
    "exec": "run it in a step",
}
_GETTERS: Final = {
    "operator.itemgetter": "key=lambda item: item[0]",
    "operator.attrgetter": "key=lambda item: item.score",
}


def report(frame: Frame, node: ast.AST, message: str, way_out: str, *labels: Label) -> None:
    """Report a call of something that is not a step."""
    frame.reports.error("not-a-step", frame.span(node), message, labels=labels, help=way_out)


def is_logger(frame: Frame, node: ast.expr) -> bool:
    """Return whether a name of module level stands for a logger: `logging.getLogger(…)`."""
    found = definition_of(frame, node)
    if not isinstance(found, m.Constant) or not isinstance(found.value, ast.Call):
        return False
    made = frame.building.modules.resolve(found.module, found.value.func)
    package = made.name.partition(".")[0] if isinstance(made, m.External) else ""
    return package in ("logging", "loguru", "structlog")


def report_log(frame: Frame, node: ast.Call) -> None:
    """Report a call of a logger."""
    message = f"`{frame.text(node.func)}` cannot be called in a pipeline: its body is not run"
    report(frame, node, message, "log in a step: what a step logs is in its log")


def report_external(frame: Frame, node: ast.Call, definition: m.External) -> None:
    """Report a call of something from outside of the project that is not a step."""
    name = frame.text(node.func)
    if definition.name == "levada.after":
        report(frame, node, "`after(…)` gives no value", "write it as a statement of its own")
        return
    if definition.name == "levada.Loop":
        way_out = "write `for item in Loop(items, max_parallel=1):`"
        report(frame, node, "`Loop(…)` gives no value: it is what a loop goes over", way_out)
        return
    package, _, last = definition.name.partition(".")
    if package == "builtins":
        way_out = _HELP.get(last, f"call `{name}` in a step")
        report(frame, node, f"`{name}` cannot be called in a pipeline", way_out)
        return
    if definition.name in _GETTERS:
        way_out = f"write a lambda: `{_GETTERS[definition.name]}`"
        report(frame, node, f"`{name}` cannot be called in a pipeline", way_out)
        return
    if (found := refusal(definition.name)) is not None:
        report(frame, node, f"`{name}` cannot be called in a pipeline", found[1])
        return
    broken = frame.building.modules.broken
    if any(definition.name == item or definition.name.startswith(f"{item}.") for item in broken):
        return
    # Where these may be called is said of the whole module.
    if definition not in (*m.STEP, *m.CONTAINER):
        _report_missing(frame, node, definition)


def _report_missing(frame: Frame, node: ast.Call, definition: m.External) -> None:
    """Report what is called of a package that is not there, or that nobody can look into."""
    modules, name, span = frame.building.modules, frame.text(node.func), frame.span(node)
    if not outside.is_there(modules, definition):
        outside.report_missing(modules, definition, name, span)
        return
    if (unknown := outside.unknown_member(modules, definition)) is not None:
        frame.reports.error("undefined-name", span, unknown[0], help=unknown[1])
        return
    reason = "which is outside of the project, so it is not a step"
    if outside.without_source(modules, definition):
        reason = "which has no Python source here, so nothing tells whether it is a step"
    is_class = definition.name.rpartition(".")[2][:1].isupper()
    frame.reports.error(
        "not-a-step",
        span,
        f"`{name}` comes from `{definition.name.partition('.')[0]}`, {reason}",
        help="call it in a step" if is_class else _MAKE,
        edit=() if is_class else _making(name),
    )


def report_library(frame: Frame, node: ast.Call, function: m.Function) -> None:
    """Report a call of a plain function of an installed package."""
    name = frame.text(node.func)
    header = function.module.source.line_span(*_start(function))
    frame.reports.error(
        "not-a-step",
        frame.span(node),
        f"`{name}` is a function of another package, and not a step",
        labels=(Label(header, "it is an ordinary function"),),
        help=_MAKE,
        edit=_making(name),
    )


def _start(function: m.Function) -> tuple[int, int]:
    span = function.module.span(function.node)
    return span.line, span.column


def _making(name: str) -> tuple[str, ...]:
    """Return the lines that make a step of a function of another package."""
    bound = f"{name}_step" if name.isidentifier() else name.rpartition(".")[2]
    return ("from levada import step", f"{bound} = step({name})")


def report_value(frame: Frame, node: ast.Call, callee: ast.expr) -> None:
    """Report a call of a value, or of a name that is not defined."""
    span = frame.span(node)
    if isinstance(callee, ast.Name) and is_local(frame, callee.id):
        _report_local(frame, node, callee)
    elif isinstance(callee, ast.Name):
        known = frame.building.modules.lookup(frame.module, callee.id)
        if known is None:
            undefined.report(
                frame.reports,
                frame.building.modules,
                frame.module,
                callee,
                span,
                frame.scope.names,
            )
        else:
            report(frame, node, f"`{callee.id}` is not a step", "call a step, or a pipeline")
    elif not isinstance(callee, ast.Attribute):
        message = "only a step or a pipeline can be called here, by its name"
        report(frame, node, message, "give it a name at module level")


def report_member(
    frame: Frame, node: ast.Call, callee: ast.Attribute, owner: m.Definition | Partial
) -> None:
    """Report a call of a member of a function, a class or a builtin type."""
    name = frame.text(callee)
    if isinstance(owner, m.Module):
        return  # it is said where the member is looked for
    message, way_out = f"`{name}` cannot be called in a pipeline", f"call `{name}` in a step"
    if isinstance(owner, m.Class):
        message = f"`{name}` is not a step: it belongs to a class"
        way_out += ", or write it as a function with `@step`"
    elif isinstance(owner, m.Function):
        message = f"the function `{frame.text(callee.value)}` has no method `{callee.attr}`"
        way_out = f"call it: `{frame.text(callee.value)}(…)`"
    elif any(callee.attr in methods for methods in operations.METHODS.values()):
        way_out = f"call it on the value: `value.{callee.attr}(…)`"
    report(frame, node, message, way_out)


def _report_local(frame: Frame, node: ast.Call, callee: ast.Name) -> None:
    frame.used.add(callee.id)
    binding = frame.scope.names.get(callee.id)
    if isinstance(binding, Lowered) and binding.poisoned:
        return
    if binding is None and isinstance(frame.locals.get(callee.id), ast.FunctionDef):
        frame.read(callee)
        return
    place = frame.span(frame.locals.get(callee.id, callee))
    if callee.id not in frame.module.bindings:
        report(
            frame,
            node,
            f"`{callee.id}` is a variable of the pipeline, not a step",
            "only a step or a pipeline can be called",
            Label(place, "it gets its value here"),
        )
        return
    report(
        frame,
        callee,
        f"`{callee.id}` is a variable of this pipeline, which hides the step of that name",
        "give the variable another name",
        Label(place, f"`{callee.id}` is assigned here"),
    )
