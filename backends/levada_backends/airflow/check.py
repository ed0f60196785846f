"""What Airflow cannot do, or would refuse when it reads the file or starts a task."""

from __future__ import annotations

import json

from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity, Span
from levada_compiler.program.expression_text import ExpressionWriter, Uses
from levada_compiler.program.ir import (
    Call,
    Expr,
    Group,
    Loop,
    Node,
    Program,
    Setting,
    has_tasks,
    walk,
)

from ..edges import too_many
from . import check_executors
from .options import PROCESS, Options
from .placement import Placement
from .settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

#: The length of a column in Airflow's database.
ID_LENGTH = 250
#: The kernel's limit on one argument of a process, with room for the rest of a request.
TEXT_BYTES = 120 * 1024
#: Airflow's own limit on a fan-out, unless its configuration raises it.
MAP_LENGTH = 1024


def check(program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
    """All that is wrong, sorted by place."""
    if too_large := tuple(too_many(program, "Airflow")):
        return too_large  # the other checks would take minutes
    found = [
        *_ids(program),
        *_parameters(program),
        *_schedule(program),
        *_settings(program),
        *_texts(program, Options(options)),
        *_loops(program),
        *_links(options),
        *_slas(program, Options(options).airflow),
        *check_executors.check(program, options),
    ]
    return tuple(sorted(found, key=lambda one: (one.span, one.id)))


def _loops(program: Program) -> Iterator[Diagnostic]:
    """Loops in order that are more than one mapped task: Airflow runs each for all items."""
    loops = [node for node in walk(program.body) if isinstance(node, Loop)]
    nested = {inner.id for loop in loops for inner in walk(loop.body) if isinstance(inner, Loop)}
    for loop in loops:
        if loop.max_parallel == 1 and (loop.id in nested or not _is_one_task(loop)):
            why = "it is in another loop" if loop.id in nested else "it has more than one step"
            yield Diagnostic(
                "airflow-loop-order",
                f"Airflow cannot run the iterations of this loop in order: {why}",
                loop.span,
                label="in Airflow a step in a loop runs for all items before the next step does",
                help="do all that an iteration does in one step, in a loop of its own",
            )


def _is_one_task(loop: Loop) -> bool:
    tasks = [node for node in walk(loop.body) if not isinstance(node, Group) and has_tasks((node,))]
    return len(tasks) == 1 and not tasks[0].parts()


def _links(options: Mapping[str, object]) -> Iterator[Diagnostic]:
    own = Options(options)
    if own.record_url and own.airflow != 3 and not own.plugins_folder:
        yield Diagnostic(
            "airflow-record-link",
            "Airflow 2 shows the button `Record` only with a plugin",
            Span("pyproject.toml#record_url", 1, 1, 1, 2),
            Severity.WARNING,
            label="in Airflow 2 the address is only in the log and in XCom",
            help="set `plugins_folder`, where `levada deploy` puts it, or `airflow = 3`",
        )


def _ids(program: Program) -> Iterator[Diagnostic]:
    yield from _id(program.name, "a DAG id", program.span, "give the pipeline a shorter name")
    for node in walk(program.body):
        # The longest suffix that a task of a node gets is `-finally`.
        yield from _id(f"{node.id}-finally", "a task id", node.span, "use shorter names")


def _id(name: str, what: str, span: Span, way_out: str) -> Iterator[Diagnostic]:
    if len(name) > ID_LENGTH:
        message = f"{what} of {len(name)} characters is longer than Airflow's {ID_LENGTH}"
        yield Diagnostic("airflow-id-too-long", message, span, help=way_out)


def _parameters(program: Program) -> Iterator[Diagnostic]:
    own = _values(program.settings)
    scheduled = own.get("schedule") is not None or bool(own.get("triggered_by"))
    for parameter in program.parameters:
        if parameter.default is None:
            if scheduled:
                yield Diagnostic(
                    "airflow-required-parameter",
                    f"`{parameter.name}` has no default, and scheduled runs cannot prompt for one",
                    parameter.span,
                    label="Airflow refuses a DAG with a schedule and such a parameter",
                    help="give it a default, or remove the schedule",
                )
            continue
        default = json.loads(parameter.default)
        if isinstance(default, list) and len(default) > MAP_LENGTH:
            yield Diagnostic(
                "airflow-map-length",
                f"a fan-out over the {len(default)} items of `{parameter.name}` may be refused",
                parameter.span,
                Severity.WARNING,
                label=f"Airflow maps over at most {MAP_LENGTH} items, unless configured otherwise",
                help="raise `core.max_map_length` in Airflow's configuration",
            )


def _schedule(program: Program) -> Iterator[Diagnostic]:
    own = _values(program.settings)
    for setting in program.settings:
        if setting.name == "triggered_by" and own.get("schedule") and own["triggered_by"]:
            yield Diagnostic(
                "airflow-two-schedules",
                "a pipeline runs by its `schedule` or when assets change, not by both",
                setting.span,
                help="remove one of them, or make a second pipeline that calls this one",
            )
        if setting.name == "catchup" and own["catchup"] and own.get("start_date") is None:
            yield Diagnostic(
                "airflow-catchup-start",
                "`catchup` needs a `start_date`, from which Airflow catches up",
                setting.span,
                help='add the date of the first run: `start_date="2026-01-01"`',
            )


def _slas(program: Program, version: int | None) -> Iterator[Diagnostic]:
    """What Airflow 3 has in place of SLAs is for whole runs, and has to call something."""
    own = {setting.name: setting for setting in program.settings}
    late, call = own.get("sla"), own.get("on_sla_miss")
    in_calls = [node.settings for node in walk(program.body) if isinstance(node, Call)]
    of_steps = [s for step in program.steps for s in step.settings if s.name == "sla"]
    of_steps += [s for settings in in_calls for s in settings if s.name == "sla"]
    if version != 2:
        for setting in of_steps:
            way_out = "give the pipeline an `sla` and an `on_sla_miss`; or `airflow = 2`"
            yield _sla("Airflow 3 has no SLA of a step", setting, way_out)
        if late and not call:
            way_out = 'add `on_sla_miss="module:function"` to the pipeline'
            yield _sla("nothing would be called in Airflow 3 when a run is late", late, way_out)
    if version == 2:
        loops = [node for node in walk(program.body) if isinstance(node, Loop)]
        slas = {step.key: s for step in program.steps for s in step.settings if s.name == "sla"}
        for node in (inner for loop in loops for inner in walk(loop.body)):
            if isinstance(node, Call) and (mapped := _own(node, "sla") or slas.get(node.step)):
                way_out = "give the pipeline an `sla`"
                yield _sla("Airflow 2 has no SLA of a step in a loop", mapped, way_out)
    if call and not late and not of_steps:
        yield _sla("there is no `sla` to miss", call, 'add one, such as `sla="2h"`')


def _own(call: Call, name: str) -> Setting | None:
    return next((setting for setting in call.settings if setting.name == name), None)


def _sla(message: str, setting: Setting, way_out: str) -> Diagnostic:
    return Diagnostic("airflow-sla", message, setting.span, Severity.WARNING, help=way_out)


def _settings(program: Program) -> Iterator[Diagnostic]:
    groups = [program.settings, *(step.settings for step in program.steps)]
    groups += [node.settings for node in walk(program.body) if isinstance(node, Call)]
    for settings in groups:
        for setting in settings:
            yield from _setting(setting, json.loads(setting.value))


def _setting(setting: Setting, value: Any) -> Iterator[Diagnostic]:
    if not value:
        return
    if setting.name == "retry" and value.get("count") and value.get("backoff", 2) not in (1, 2):
        yield Diagnostic(
            "airflow-retry-backoff",
            f"Airflow 2 cannot multiply the delay by {value['backoff']:g}: it will double it",
            setting.span,
            Severity.WARNING,
            help="use a backoff of 1 (the same delay each time) or 2 (doubled)",
        )


def _texts(program: Program, options: Options) -> Iterator[Diagnostic]:
    """What a task in a container is told has to fit in one argument; a process reads a file."""
    placement = Placement(program, Settings(program, options.airflow), options)
    in_processes = {
        node.id
        for node in walk(program.body)
        if isinstance(node, Call) and placement.of_step(node)[0] == PROCESS
    }
    calls = sum(isinstance(node, Call) for node in walk(program.body))
    if len(in_processes) == calls and (options.decisions or options.executor) == PROCESS:
        return
    writer = ExpressionWriter(program)
    uses = Uses(definitions := writer.definitions())
    all_defined = len(json.dumps(definitions))
    around: dict[str, list[str]] = {}  #: node -> the expressions of the loops that it is in
    for loop in (node for node in walk(program.body) if isinstance(node, Loop)):
        own = [writer.text(expression) for expression in loop.expressions()]
        for node in walk(loop.body):
            around.setdefault(node.id, []).extend(own)
    for node in walk(program.body):
        if node.id in in_processes:
            continue
        loops = around.get(node.id, [])
        found = [(writer.text(expression), span) for expression, span in _expressions(node)]
        texts = [*loops, *(text for text, _ in found)]
        size = len(json.dumps(texts))
        if size + all_defined > TEXT_BYTES:
            size = len(json.dumps([texts, uses.of(texts)]))
        if found and size > TEXT_BYTES >= len(json.dumps(loops)):  # else the loop is too long
            yield Diagnostic(
                "airflow-text-too-long",
                f"the constants and expressions of this task have {size:,} bytes",
                max(found, key=lambda each: len(each[0]))[1],
                label=f"they are one argument of its program, of at most {TEXT_BYTES:,} bytes",
                help="return the long value from a step, or read it from a file of the project",
            )


def _expressions(node: Node) -> Iterator[tuple[Expr, Span]]:
    if isinstance(node, Call):
        yield from ((argument.value, argument.span) for argument in node.arguments)
    else:
        yield from ((expression, node.span) for expression in node.expressions())


def _values(settings: tuple[Setting, ...]) -> dict[str, Any]:
    return {setting.name: json.loads(setting.value) for setting in settings}
