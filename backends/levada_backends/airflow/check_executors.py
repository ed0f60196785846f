"""What would go wrong with where steps run."""

from __future__ import annotations

import json

from levada_compiler.diagnostics.diagnostic import Diagnostic, Severity, Span
from levada_compiler.program.ir import Call, Program, Setting, walk
from levada_compiler.slotted import replace

from .options import DOCKER, EXECUTORS, KUBERNETES, PROCESS, Options
from .placement import Placement
from .settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_TABLE = "[tool.levada.targets.airflow]"
_ON_THE_WORKER = "a step is a process of the worker"
#: What people call the executors elsewhere.
_ALSO_CALLED = {
    PROCESS: ("local", "subprocess", "worker"),
    DOCKER: ("container", "containers"),
    KUBERNETES: ("pod", "pods", "k8s", "job"),
}
#: For each executor what has no effect there, and why.
_UNUSED = {
    PROCESS: {
        "resources": "the worker's own size is what a step gets",
        "image": "a step runs in the worker's own environment (or that of LEVADA_PYTHON)",
        "node_selector": _ON_THE_WORKER,
        "tolerations": _ON_THE_WORKER,
    },
    DOCKER: {
        "node_selector": "a container runs where the Docker engine is",
        "tolerations": "a container runs where the Docker engine is",
    },
    KUBERNETES: {},
}


def check(program: Program, table: Mapping[str, object]) -> Iterator[Diagnostic]:
    """Yield what is wrong with executors, images, the store, volumes and what pods are made of."""
    options = Options(table)
    checking = _Check(program, options)
    yield from checking.executors()
    yield from checking.images()
    yield from checking.store()
    yield from checking.unused()
    yield from checking.containers()


class _Check:
    def __init__(self, program: Program, options: Options) -> None:
        self._program = program
        self._options = options
        placement = Placement(program, Settings(program, options.airflow), options)
        calls = [node for node in walk(program.body) if isinstance(node, Call)]
        self._placed = {call.id: placement.of_step(call) for call in calls}
        self._calls = calls
        self._steps = {step.key: step for step in program.steps}
        self._spans = {step.span for step in program.steps}
        self._spans |= {
            setting.span
            for step in program.steps
            if step.container
            for setting in step.settings
            if setting.name == "image"
        }
        self._used: dict[str, set[str]] = {}
        for call in calls:
            self._used.setdefault(call.step, set()).add(self._placed[call.id][0])

    def executors(self) -> Iterator[Diagnostic]:
        """Names of executors that there are none of."""
        for setting in self._settings():
            name = json.loads(setting.value)
            if setting.name == "executor" and name not in EXECUTORS:
                yield Diagnostic(
                    "airflow-executor",
                    f"Airflow has no executor `{name}` for a step",
                    setting.span,
                    help=_executor_advice(name),
                )

    def images(self) -> Iterator[Diagnostic]:
        """Steps in containers that have no image."""
        missing = {
            call.step: None
            for call in self._calls
            if self._placed[call.id][0] in (DOCKER, KUBERNETES) and self._placed[call.id][1] is None
        }
        if not missing:
            return
        from ..pods.check import no_image, no_levada

        functions = [self._steps[key] for key in missing if self._steps[key].container is None]
        if not functions:
            yield from no_levada("airflow-no-image", self._program, "", _TABLE)
        yield from no_image(
            "airflow-no-image",
            functions,
            "build them with `levada build` and commit levada.lock, or name one as `image`",
        )

    def store(self) -> Iterator[Diagnostic]:
        """A store that containers cannot share."""
        used = {executor for executor, _ in self._placed.values()}
        if not used & {DOCKER, KUBERNETES}:
            return
        message, place = "", self._options.store
        if place is None:
            message = "steps in containers need a store that all containers reach"
        elif _is_unmounted(place, self._options.volumes):
            message = f"the store `{place}` is in none of the volumes that all containers have"
        if message:
            yield Diagnostic(
                "airflow-no-store",
                message,
                self._program.span,
                label="one step writes its outputs there, and the next one reads them",
                help=f"in {_TABLE} set `store` to a URL, or to a folder of one of its `volumes`",
            )

    def unused(self) -> Iterator[Diagnostic]:
        """Settings without an effect where their step runs."""
        for executors, setting in self._placed_settings():
            value = json.loads(setting.value)
            if not value or self._is_of_the_lock(setting):
                continue
            if setting.name == "volumes" and executors == {PROCESS}:
                yield _no_volumes(setting.span)
            reasons = [_UNUSED.get(executor, {}).get(setting.name) for executor in executors]
            if reasons and all(reasons):  # a step that nothing calls runs nowhere
                yield _no_effect(f"`{setting.name}`", str(reasons[0]), setting.span)
            elif setting.name == "resources" and value.get("disk") and executors == {DOCKER}:
                yield _no_effect("`disk`", "Docker has no limit for it", setting.span)

    def _is_of_the_lock(self, setting: Setting) -> bool:
        """Whether it is an image that nobody wrote down: where steps are processes it is unused."""
        return setting.name == "image" and setting.span in self._spans

    def containers(self) -> Iterator[Diagnostic]:
        """What Docker or Kubernetes would refuse."""
        if self._options.executor == PROCESS and not self._beside_processes():
            return
        from ..pods.check import SettingsCheck

        taken = ["/tmp", *(volume["path"] for volume in self._options.volumes)]  # noqa: S108
        yield from SettingsCheck(self._options.secret, taken).of(self._of(KUBERNETES))
        in_docker = self._of(DOCKER)
        limits = [replace(s, settings=_only("resources", s.settings)) for s in in_docker.steps]
        yield from SettingsCheck().of(replace(in_docker, steps=tuple(limits), body=()))
        for setting in (s for step in in_docker.steps for s in step.settings):
            if setting.name == "volumes":
                yield from _docker_volumes(json.loads(setting.value), setting.span)

    def _beside_processes(self) -> bool:
        return any(executor != PROCESS for executor, _ in self._placed.values())

    def _of(self, executor: str) -> Program:
        """The steps and calls that run by an executor, as a program of their own."""
        steps = tuple(s for s in self._program.steps if executor in self._used.get(s.key, ()))
        calls = tuple(call for call in self._calls if self._placed[call.id][0] == executor)
        return replace(self._program, steps=steps, body=calls)

    def _settings(self) -> Iterator[Setting]:
        yield from self._program.settings
        for _, setting in self._placed_settings():
            yield setting

    def _placed_settings(self) -> Iterator[tuple[set[str], Setting]]:
        """The settings of steps and calls, with the executors that these run by."""
        for step in self._program.steps:
            yield from ((self._used.get(step.key, set()), one) for one in step.settings)
        for call in self._calls:
            yield from (({self._placed[call.id][0]}, one) for one in call.settings)


def _executor_advice(name: str) -> str:
    meant = next((one for one, words in _ALSO_CALLED.items() if name.lower() in words), None)
    return f'write `"{meant}"`' if meant else 'write `"process"`, `"docker"` or `"kubernetes"`'


def _only(name: str, settings: Iterable[Setting]) -> tuple[Setting, ...]:
    return tuple(setting for setting in settings if setting.name == name)


def _is_unmounted(store: str, volumes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it is a folder that is in none of the volumes."""
    inside = store.removeprefix("file://").rstrip("/") + "/"
    is_in = any(inside.startswith(volume["path"].rstrip("/") + "/") for volume in volumes)
    return "://" not in inside and not is_in


def _no_effect(what: str, why: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "airflow-unused-setting",
        f"{what} has no effect on Airflow",
        span,
        Severity.WARNING,
        label=why,
        help='run the step by `executor="kubernetes"`, or remove it',
    )


def _no_volumes(span: Span) -> Diagnostic:
    return Diagnostic(
        "airflow-volume",
        "a step that runs as a process cannot have volumes",
        span,
        label="the step would not find its files",
        help='mount them on the workers, or use `executor="docker"` or `"kubernetes"`',
    )


def _docker_volumes(volumes: Iterable[Mapping[str, Any]], span: Span) -> Iterator[Diagnostic]:
    for volume in volumes:
        if problem := docker_volume_problem(volume):
            yield Diagnostic(
                "airflow-volume",
                f"Docker cannot mount `{volume['claim']}` at `{volume['path']}`: {problem}",
                span,
                help='write `Volume("name-or-/folder", "/data")`',
            )


def docker_volume_problem(volume: Mapping[str, Any]) -> str:
    """Why Docker would refuse a volume; empty if it would not."""
    claim, path = volume["claim"], volume["path"]
    if not path.startswith("/") or path == "/":
        return "the path must be absolute, and not `/` itself"
    named = claim.replace("_", "").replace(".", "").replace("-", "")
    if not claim.startswith("/") and not (named.isascii() and named.isalnum() and len(claim) > 1):
        return "a volume's name has letters, digits, `_`, `.` and `-`"
    return ""
