"""What Kubeflow cannot do, or would refuse when a pipeline is uploaded or run."""

from __future__ import annotations

import json

from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity, Span
from levada_compiler.program.ir import Call, Guard, walk

from ..edges import too_many
from ..pods import names
from ..pods.check import SettingsCheck, no_image, no_levada
from . import parameters
from .artifacts import WHOLE, output_name
from .escaping import is_replaced
from .executors import FILE, GRACE, IN, OUT, values
from .schedule import MOST_RUNS, same_zone
from .verify import Verifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from levada_compiler.program.ir import Container, Program, Setting, Step

    from .options import Options
    from .spec import Spec

#: About what Argo keeps for a task beside what stands in the file: two templates, three nodes.
BYTES_OF_A_TASK = 1900
#: etcd takes objects of 1.5 MiB; Argo's workflow grows while it runs.
WORKFLOW_BYTES = 1024 * 1024
#: One argument holds all that a step is called with, beside the artifacts that it declares.
CALL_BYTES = 96 * 1024
#: KFP's messages and Kubernetes count with 32 bits.
LARGEST = 2**31 - 1

#: Where a pod of KFP has its launcher, and outputs on their way to a bucket
#: (``addContainerExecutorTemplate`` in ``backend/src/v2/compiler/argocompiler/container.go``).
_KFP_MOUNTS = ("/kfp-launcher", "/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config")


def check(program: Program, options: Options, make: Callable[[], Spec]) -> tuple[Diagnostic, ...]:
    """All that is wrong, sorted by place; ``make`` makes the document."""
    if too_large := tuple(too_many(program, "Kubeflow", lists_values=True)):
        return too_large  # the document would take minutes
    mounted = [*_KFP_MOUNTS, *([options.store_url] if options.claim else [])]
    found = [
        *_artifacts(program, options),
        *_images(program, options),
        *_programs(program),
        *_parameters(program),
        *_schedule(program, options),
        *_settings(program),
        *SettingsCheck(options.secret or None, mounted).of(program),
    ]
    if not any(one.severity is Severity.ERROR for one in found):
        found += _document(program, make())
    return tuple(sorted(found, key=lambda one: (one.span, one.id)))


def _artifacts(program: Program, options: Options) -> Iterator[Diagnostic]:
    """Types for outputs that a step of the program does not have; other steps are of others."""
    known: dict[str, set[str]] = {}
    for step in program.steps:
        outputs = {output_name(output.name) for output in step.outputs}
        known.setdefault(step.function, {WHOLE}).update(outputs)
    for output in options.artifacts:
        function, _, name = output.rpartition(".")
        if name not in known.get(function, {name}):
            listed = ", ".join(f"`{function}.{each}`" for each in sorted(known[function]))
            yield Diagnostic(
                "kubeflow-artifact",
                f"`artifacts` gives a type to `{output}`, which `{function}` does not give",
                program.span,
                help=f"it gives {listed}",
            )


def _images(program: Program, options: Options) -> Iterator[Diagnostic]:
    if options.image:
        return
    functions = [step for step in program.steps if not step.container]
    if not functions:
        yield from no_levada("kubeflow-image", program, "", "[tool.levada.targets.kubeflow]")
    called = {node.step for node in walk(program.body) if isinstance(node, Call)}
    steps = [step for step in program.steps if step.key in called]
    yield from no_image(
        "kubeflow-image",
        [step for step in steps if not values(step.settings).get("image")],
        f"run `levada build {program.file} --push REGISTRY`, or set `image` on each",
    )


def _programs(program: Program) -> Iterator[Diagnostic]:
    """What KFP cannot do with programs: it has no `/levada`, and tells a program its paths."""
    steps = {step.key: step for step in program.steps if step.container}
    for step in steps.values():
        if step.container is not None:
            yield from _program(step, step.container)
    for guard in (node for node in walk(program.body) if isinstance(node, Guard) and node.handler):
        for call in (node for node in walk(guard.body) if isinstance(node, Call)):
            if call.step in steps:
                yield Diagnostic(
                    "kubeflow-program",
                    f"`{call.id}` runs a program in a `try`, and KFP cannot go on if it fails",
                    call.span,
                    help="have the program write how it went to an output, and look at that",
                )


def _program(step: Step, container: Container) -> Iterator[Diagnostic]:
    words = (*(container.command or ()), *(container.args or ()))
    name = step.function
    if not container.command:
        yield Diagnostic(
            "kubeflow-program",
            f"`{name}` has no command, and KFP ignores that of its image",
            step.span,
            help="write the image's entry point as `command`",
        )
    environment = values(step.settings).get("environment") or {}
    for text in filter(is_replaced, (*words, *environment.values())):
        yield Diagnostic(
            "kubeflow-program",
            f"KFP or Kubernetes would replace a part of {json.dumps(text, ensure_ascii=False)}",
            step.span,
            help="have no `{{`, `$(` and `$$` in it",
        )
    named = {found for word in words for found in FILE.findall(word)}
    wanted = [f"{IN}{parameter.name}" for parameter in step.parameters]
    wanted += [f"{OUT}{output.name}" for output in container.outputs]
    for path in wanted:
        if path not in named:
            yield Diagnostic(
                "kubeflow-program",
                f"the command of `{name}` does not name `{path}`",
                step.span,
                label="on Kubeflow files have other paths, which stand in the command",
                help=f"give the program the path `{path}` in `args`",
            )


def _parameters(program: Program) -> Iterator[Diagnostic]:
    scheduled = values(program.settings).get("schedule") is not None
    for parameter in program.parameters:
        if parameter.default is None:
            if scheduled:
                yield Diagnostic(
                    "kubeflow-required-parameter",
                    f"`{parameter.name}` has no default, and scheduled runs cannot prompt for one",
                    parameter.span,
                    help="give it a default, or remove the schedule",
                )
        elif parameters.kind(parameter) != "json":
            for number in parameters.inexact(json.loads(parameter.default)):
                yield Diagnostic(
                    "kubeflow-inexact-parameter",
                    f"KFP would change {number}, the default of `{parameter.name}`",
                    parameter.span,
                    label="its numbers are doubles, which have all integers up to 2**53",
                    help="annotate it as `int | None`: then it is a string that holds JSON",
                )


def _schedule(program: Program, options: Options) -> Iterator[Diagnostic]:
    own = values(program.settings)
    if not own.get("schedule"):
        return
    spans = {setting.name: setting.span for setting in program.settings}
    zone, servers = own.get("timezone") or "UTC", options.schedule_timezone
    if not same_zone(zone, servers):
        yield Diagnostic(
            "kubeflow-timezone",
            f"KFP would run `{own['schedule']}` by the time of {servers}, not by that of {zone}",
            spans.get("timezone") or spans["schedule"],
            Severity.WARNING,
            label="`levada deploy` will refuse to make a recurring run of it",
            help=f"give the schedule by {servers}; or say which zone the server has (its"
            " CRON_SCHEDULE_TIMEZONE) by `schedule_timezone` in [tool.levada.targets.kubeflow]",
        )
    runs = own.get("max_active_runs") or 1
    if runs > MOST_RUNS:
        yield Diagnostic(
            "kubeflow-max-active-runs",
            f"KFP has at most {MOST_RUNS} runs of a schedule at a time",
            spans["max_active_runs"],
            Severity.WARNING,
            label=f"a recurring run has {MOST_RUNS}, not {runs}",
            help=f"write `max_active_runs={MOST_RUNS}`",
        )


def _settings(program: Program) -> Iterator[Diagnostic]:
    groups = [program.settings, *(step.settings for step in program.steps)]
    groups += [node.settings for node in walk(program.body) if isinstance(node, Call)]
    for settings in groups:
        for setting in settings:
            yield from _setting(setting, json.loads(setting.value))


def _setting(setting: Setting, value: Any) -> Iterator[Diagnostic]:
    if not value:
        return
    if setting.name == "executor" and value != "kubernetes":
        yield _unused("executor", "each step is a pod", setting.span)
    elif setting.name == "resources" and value.get("disk"):
        yield _unused("disk", "KFP cannot ask for it: a pod gets what its node has", setting.span)
    elif setting.name == "image" and (problem := names.image_problem(value)):
        message = f"`{value}` is not the name of an image"
        yield Diagnostic("kubeflow-image", message, setting.span, help=f"correct it: {problem}")
    elif setting.name == "volumes":
        yield from _volumes(value, setting.span)
    elif setting.name == "retry":
        yield from _retry(value, setting.span)
    for name, amount, most in _counted(setting.name, value):
        if amount > most:
            yield _out_of_range(name, amount, most, setting.span)


def _volumes(value: Any, span: Span) -> Iterator[Diagnostic]:
    if any(volume.get("read_only") for volume in value):
        yield _unused("read_only", "KFP mounts a claim to be written to", span)
    for volume in value:
        claim = volume["claim"]
        if (problem := names.label_problem(claim)) and not names.subdomain_problem(claim):
            yield Diagnostic(
                "kubeflow-claim",
                f"KFP cannot mount the claim `{claim}`: it calls the pod's volume the same",
                span,
                label=problem,
                help="bind its volume to a claim with a name of lower-case letters, digits and `-`",
            )


def _retry(value: Any, span: Span) -> Iterator[Diagnostic]:
    if value["max_delay"] is not None:
        yield _unused("max_delay", "KFP's `backoffMaxDuration` is of all attempts together", span)
    if any(value[name] != int(value[name]) for name in ("delay", "backoff")):
        yield Diagnostic(
            "kubeflow-retry-delay",
            "KFP waits whole seconds between attempts, multiplied by whole numbers: "
            "this is rounded",
            span,
            Severity.WARNING,
            help="use whole numbers for `delay` and `backoff`",
        )


def _counted(setting: str, value: Any) -> Iterator[tuple[str, float, int]]:
    """What of a setting is counted with 32 bits, and the largest that there is for it."""
    if setting == "retry":
        yield from ((name, value[name], LARGEST) for name in ("count", "delay", "backoff"))
    elif setting == "timeout":
        yield setting, value, LARGEST - GRACE
    elif setting == "max_parallel":
        yield setting, value, LARGEST


def _out_of_range(name: str, amount: float, most: int, span: Span) -> Diagnostic:
    return Diagnostic(
        "kubeflow-out-of-range",
        f"`{name}` is {amount:g}, more than KFP or Kubernetes can count",
        span,
        help=f"write at most {most}",
    )


def _unused(name: str, reason: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "kubeflow-unused-setting",
        f"`{name}` has no effect on Kubeflow",
        span,
        Severity.WARNING,
        label=reason,
        help="remove it, or keep it for other targets",
    )


# ---------------------------------------------------------------------- the document


def _document(program: Program, spec: Spec) -> Iterator[Diagnostic]:
    """What is wrong with the file itself, at the place that it comes from."""
    for task in spec.builder.root.all_tasks():
        size = len(json.dumps(task.told, ensure_ascii=False).encode(errors="surrogatepass"))
        if size > CALL_BYTES:
            yield _too_long(size, task.node.span if task.node else program.span)
            return
    tasks = reversed(list(spec.builder.root.all_tasks()))  # of several calls the first
    places = {task.component: task.node.span for task in tasks if task.node}
    for problem in Verifier(spec.pipeline).problems():
        yield Diagnostic(
            "kubeflow-refused",
            f"Kubeflow would refuse this: {problem.message}",
            places.get(problem.component, program.span),
            label=problem.task,
            help="make it smaller if it is too large; else please report it with the pipeline",
        )
    yield from _workflow_size(program, spec)


def _too_long(size: int, span: Span) -> Diagnostic:
    return Diagnostic(
        "kubeflow-call-too-long",
        f"this call of {size:,} bytes does not fit in an argument of a process",
        span,
        label=f"a task gets all that it is called with as one; {CALL_BYTES:,} are sure to fit",
        help="let a step return the value, or keep it in a file of the project",
    )


def _workflow_size(program: Program, spec: Spec) -> Iterator[Diagnostic]:
    tasks = sum(1 for _ in spec.builder.root.all_tasks())
    size = len(json.dumps(spec.pipeline)) + tasks * BYTES_OF_A_TASK
    if size > WORKFLOW_BYTES:
        yield Diagnostic(
            "kubeflow-workflow-size",
            f"a run of {tasks:,} tasks is an object of about {size / 2**20:.1f} MiB",
            program.span,
            Severity.WARNING,
            label="etcd takes 1.5 MiB, and Argo's object grows while it runs",
            help="split the pipeline, or give Argo a database (nodeStatusOffLoad)",
        )
