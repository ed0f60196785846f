"""What Kubernetes cannot do with a program, or an API server would refuse of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from levada.programs import FOLDER
from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity
from levada_compiler.program.ir import Call, walk

from ..pods import container, names
from ..pods.check import SettingsCheck, no_image, no_levada, settings_of_steps
from .manifests import LARGEST_ANNOTATIONS, LARGEST_APPLIED, LARGEST_PLAN, Manifests
from .options import LONGEST, TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada_compiler.diagnostics.diagnostic import Span
    from levada_compiler.program.ir import Program, Setting, Step

_REFERENCE = re.compile(
    # https://github.com/distribution/reference/blob/main/regexp.go, in short
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-fA-F]{32,})?"
)


def check(program: Program, given: Mapping[str, object]) -> tuple[Diagnostic, ...]:
    """All that is wrong, sorted by place."""
    options = Options(given)
    mounted = [container.TEMPORARY, *([options.store_url] if options.claim else [])]
    mounted += [FOLDER] if any(step.container for step in program.steps) else []
    found = [
        *SettingsCheck(options.secret, mounted).of(program),
        *_settings(program, options),
        *_parameters(program),
        *_images(program, options),
    ]
    if not any(one.severity is Severity.ERROR for one in found):
        manifests = Manifests(program, options, "")
        found += [*_size(program, manifests), *_decisions(program, options, manifests)]
    return tuple(sorted(found, key=lambda one: (one.span, one.id)))


def _settings(program: Program, options: Options) -> Iterator[Diagnostic]:
    for setting in (*program.settings, *settings_of_steps(program)):
        yield from _setting(setting, json.loads(setting.value), options)


def _setting(setting: Setting, value: Any, options: Options) -> Iterator[Diagnostic]:
    if value is None or value is False:
        return
    span = setting.span
    if setting.name == "executor" and value != "kubernetes":
        yield Diagnostic(
            "kubernetes-executor",
            f"this target runs steps in pods, not in {value!r}",
            span,
            help='remove the setting, or write `executor="kubernetes"`',
        )
    elif setting.name == "max_active_runs" and value > 1:
        yield _unused(setting, "a CronJob has one run at a time, or any number of them")
    elif setting.name == "priority" and str(value) not in options.priority_classes:
        yield _unused(setting, f"no class is given for {value}", _class_advice(value))
    elif setting.name == "queue" and (problem := names.value_problem(value)):
        yield Diagnostic(
            "kubernetes-queue",
            f"`{value}` is not the name of a queue",
            span,
            label=problem,
            help="write the name of a Kueue LocalQueue of the namespace",
        )
    elif setting.name == "timeout" and value > LONGEST - 2 * 86400:
        yield Diagnostic(
            "kubernetes-timeout",
            f"a timeout of {value:g} s is longer than Kubernetes can count",
            span,
            help="remove it, or write at most 68 years",
        )
    elif setting.name == "volumes":
        yield from _mounts(value, options, span)


def _mounts(value: list[dict[str, Any]], options: Options, span: Span) -> Iterator[Diagnostic]:
    """A volume must not hide what a pod needs."""
    if not options.claim:
        return
    for volume in value:
        path = volume["path"].rstrip("/")
        if path != options.store_url and options.store_url.startswith(f"{path}/"):
            yield Diagnostic(
                "kubernetes-mount",
                f"a volume at `{volume['path']}` would hide the store at {options.store_url}",
                span,
                help="mount it elsewhere, or the store: by `store` and `store_claim`",
            )


def _class_advice(priority: int) -> str:
    return f'name it in {TABLE}: `priority_classes = {{ "{priority}" = "high" }}`'


def _unused(setting: Setting, why: str, help: str = "remove it") -> Diagnostic:  # noqa: A002
    return Diagnostic(
        "kubernetes-unused-setting",
        f"`{setting.name}` has no effect on Kubernetes",
        setting.span,
        Severity.WARNING,
        label=why,
        help=help,
    )


def _parameters(program: Program) -> Iterator[Diagnostic]:
    scheduled = any(s.name == "schedule" and s.value != "null" for s in program.settings)
    for parameter in program.parameters:
        if scheduled and parameter.default is None:
            yield Diagnostic(
                "kubernetes-required-parameter",
                f"`{parameter.name}` has no default, and scheduled runs cannot prompt for one",
                parameter.span,
                label="every run of the schedule would fail",
                help="give it a default, or remove the schedule",
            )
        if not parameter.name.isascii():
            yield Diagnostic(
                "pod-variable",
                f"`{parameter.name}` cannot be set for a run",
                parameter.span,
                label="it is the name of an environment variable, with `P_` before it",
                help="write it in ASCII letters",
            )


def _images(program: Program, options: Options) -> Iterator[Diagnostic]:
    steps = {step.key: step for step in program.steps}
    missing: dict[str, Step] = {}
    wrong: dict[tuple[str, str], Diagnostic] = {}
    way_out = f"run `levada build {program.file}` and commit levada.lock, set `image` on each step"
    for node in walk(program.body):
        if not isinstance(node, Call):
            continue
        step = steps[node.step]
        own = [s for s in (*step.settings, *node.settings) if s.name == "image"]
        image = json.loads(own[-1].value) if own else options.image
        if not image:
            missing[step.key] = step
        elif not _REFERENCE.fullmatch(image):
            message = f"`{step.function}` runs in `{image}`, no reference of an image"
            span = own[-1].span if own else step.span
            found = Diagnostic("kubernetes-image", message, span, help="correct the reference")
            wrong.setdefault((step.key, image), found)
    yield from no_image("kubernetes-image", missing.values(), f"{way_out}, or in {TABLE}")
    yield from wrong.values()
    if not (missing or wrong):
        yield from no_levada(
            "kubernetes-image", program, Manifests(program, options, "").levada_image(), TABLE
        )


def _decisions(program: Program, options: Options, manifests: Manifests) -> Iterator[Diagnostic]:
    """The driver evaluates conditions: it must be able to load what they look at."""
    images = manifests.deciding_images()
    if options.driver_image or len(images) < 2:
        return
    named = ", ".join(f"`{function}`" for function in images.values())
    yield Diagnostic(
        "kubernetes-driver-image",
        f"the driver has to load values of {named}, whose images differ",
        program.span,
        Severity.WARNING,
        label="conditions and computed inputs look at values of classes or libraries",
        help="have these steps return plain values for conditions, or name an image that can load"
        f" all of them in {TABLE}: `driver_image`",
    )


def _size(program: Program, manifests: Manifests) -> Iterator[Diagnostic]:
    if manifests.annotations_size > LARGEST_ANNOTATIONS:
        yield Diagnostic(
            "kubernetes-plan-too-large",
            f"what is said of the pipeline has {manifests.annotations_size:,} bytes, more than"
            " annotations can hold",
            program.span,
            label=f"its description, owner and tags: at most {LARGEST_ANNOTATIONS:,}",
            help="shorten the docstring",
        )
    if manifests.size > LARGEST_PLAN:
        yield Diagnostic(
            "kubernetes-plan-too-large",
            f"the plan has {manifests.size:,} bytes, more than a ConfigMap can hold",
            program.span,
            label=f"at most {LARGEST_PLAN:,}",
            help="divide it into pipelines of their own, or use a loop over a parameter in place"
            " of many calls",
        )
    elif manifests.applied_size > LARGEST_APPLIED:
        yield Diagnostic(
            "kubernetes-server-side",
            f"the plan has {manifests.applied_size:,} bytes, more than `kubectl apply` can keep in"
            " an annotation",
            program.span,
            Severity.WARNING,
            label=f"at most {LARGEST_APPLIED:,}",
            help="apply it with `--server-side`, as `levada deploy` does",
        )
