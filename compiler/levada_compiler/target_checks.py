"""What a target cannot do with a program: by its capabilities and options, then by its own word."""

from __future__ import annotations

import json

from levada.settings import SETTINGS

from .diagnostics.diagnostic import Diagnostic, Label, Severity, Span
from .program.constructs import CONSTRUCTS, constructs_of, written_settings
from .program.ir import Call, walk
from .target import Capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .program.ir import Program, Setting
    from .target import Target

#: How many further places of the same thing a diagnostic shows.
_PLACES = 5
_UNKNOWN = "the target does not say what it does with this"


def check(
    target: Target, program: Program, options: Mapping[str, object]
) -> tuple[Diagnostic, ...]:
    """Return all that is wrong with a program for a target, sorted by place.

    A target is not asked itself about a program with a construct that it does not know, nor with
    options that are wrong: what it says would follow from that.
    """
    found = [*_constructs(target, program), *_options(target, options)]
    if not found:
        found += target.check(program, options)
    found += _settings(target, program)
    return tuple(sorted(found, key=lambda one: (one.span, one.id)))


def _constructs(target: Target, program: Program) -> Iterator[Diagnostic]:
    listed = {each.name: each for each in target.capabilities.constructs}
    refused = {
        name: listed[name].note if name in listed else _UNKNOWN
        for name in CONSTRUCTS
        if name not in listed or not listed[name].supported
    }
    if not refused:
        return
    places: dict[str, list[Span]] = {}
    for name, span in constructs_of(program):
        if name in refused:
            places.setdefault(name, []).append(span)
    for name, spans in places.items():
        first, *others = sorted(set(spans))
        yield Diagnostic(
            "unsupported-construct",
            f"the target `{target.name}` cannot run {CONSTRUCTS[name]}",
            first,
            label=refused[name],
            labels=tuple(Label(span, "here too") for span in others[:_PLACES]),
            help="compile the pipeline for another target, or write it without this",
        )


def _settings(target: Target, program: Program) -> Iterator[Diagnostic]:
    listed = {each.name: each for each in target.capabilities.settings}
    for setting in _all_settings(program):
        answer = listed.get(setting.name) or Capability(setting.name, False, _UNKNOWN, ignored=True)
        known = SETTINGS.get(setting.name)
        asks = known is None or known.says_something(json.loads(setting.value))
        if asks and not answer.supported:
            yield _unsupported(target, setting, answer)


def _unsupported(target: Target, setting: Setting, answer: Capability) -> Diagnostic:
    way_out = answer.way_out or "remove it, or keep it for other targets"
    if answer.ignored:
        rule, verb, severity = "ignored-setting", "has no effect on", Severity.WARNING
    else:
        rule, verb, severity = "unsupported-setting", "is not possible on", Severity.ERROR
        way_out = answer.way_out or "remove it, or compile the pipeline for another target"
    message = f"`{setting.name}` {verb} the target `{target.name}`"
    return Diagnostic(rule, message, setting.span, severity, label=answer.note, help=way_out)


def _all_settings(program: Program) -> Iterator[Setting]:
    yield from program.settings
    for step in program.steps:
        yield from step.settings
    for node in walk(program.body):
        if isinstance(node, Call):
            yield from written_settings(node)


def _options(target: Target, given: Mapping[str, object]) -> Iterator[Diagnostic]:
    table = target.capabilities.options
    if table is None:
        return
    definitions = table.definitions()
    for name, problem in table(given).problems():
        yield Diagnostic(
            "invalid-option",
            f"in [tool.levada.targets.{target.name}] {problem}",
            Span(f"pyproject.toml#{name}", 1, 1, 1, 2),
            help=f"write `{name} = {definitions[name].example}`; `levada targets {target.name}`"
            " lists the options",
        )
