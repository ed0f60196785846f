"""The containers of a pipeline and what Kubernetes gives them.

Tasks that are alike share a container, and the component that has it: which step it is says the
task, and the container knows the code of each. So a step that changes is a changed line, however
often it is called. KFP keeps a component under a digest of its container
(``hashComponentContainer`` of the Argo compiler), so whatever the component's inputs and outputs
depend on is among its arguments.
"""

from __future__ import annotations

import json
import re

from levada.programs import FOLDER
from levada.task_request import FOR_THE_COMMAND
from levada_compiler.program.ir import Call, walk
from levada_compiler.program.plan import merged_settings

from ..pods import container as pod
from ..pods import quantity
from . import artifacts, parameters
from .artifacts import PARAMETER
from .dags import INDEX
from .escaping import escape
from .readable_json import readable_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from levada_compiler.program.ir import Container, Program, Setting, Step

    from .dags import Taken, Task
    from .names import Names
    from .options import Options

    _Parts = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]

IN, OUT = f"{FOLDER}/in/", f"{FOLDER}/out/"
#: A file of a program in its command.
FILE = re.compile(rf"(?:{re.escape(IN)}|{re.escape(OUT)})\w+")
COMMAND = ["python", "-m", "levada.kubeflow"]
#: What tasks ask of Levada that are not called as that; what they are besides is their role.
_DO = {"stage": "step", "collect": "step", "failure": "step", "end": "check"}
#: Fields that all requests have.
_ALWAYS = ("run_id", "kubeflow")
#: KFP's local runner fills it in; on a cluster it stays as it is, and the pod's label says the run.
RUN_ID = "{{$.pipeline_job_uuid}}"
RUN_LABEL = "metadata.labels['pipeline/runid']"
#: Seconds that a pod has beyond a step's timeout: to be scheduled, to pull, to write its record.
GRACE = 300
#: Seconds after the start of the first attempt in which Argo makes others, and after which it ends
#: one that runs. Without it KFP says 0, and nothing is tried again (`getTaskRetryParameters`).
_ALL_ATTEMPTS = 10 * 365 * 86400
_GIGABYTE = 10**9
#: Bytes of what a container knows of its steps: a driver gets all of it as one argument.
_STEPS_BYTES = 48 * 1024


class Executors:
    """The executors, made as tasks ask for them."""

    def __init__(self, program: Program, options: Options, definitions: Mapping[str, str]) -> None:
        self._definitions = definitions
        self.containers: dict[str, dict[str, Any]] = {}
        self.kubernetes: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._keys: dict[Task, str] = {}
        #: container -> step -> what it knows of that, and how many bytes that is in all
        self._known: dict[str, dict[str, dict[str, Any]]] = {}
        self._bytes: dict[str, int] = {}
        self._options = options
        self._program = program
        self._steps = {step.key: step for step in program.steps}
        nodes = walk(program.body)
        self._calls: dict[object, Call] = {n.id: n for n in nodes if isinstance(n, Call)}
        #: the calls that run in images of Levada
        self._functions = {i: c for i, c in self._calls.items() if not self._container_of(c)}
        self._pipeline = values(program.settings)
        settings = [self.settings(call) for call in self._calls.values()]
        #: the variables of the secrets of all steps: a process may have them, as in a local run
        self._secrets = sorted({name for each in settings for name in each.get("secrets") or ()})
        self._kinds = {p.name: parameters.kind(p) for p in program.parameters}

    def step(self, call: Call) -> Step:
        """The step that a call is of."""
        return self._steps[call.step]

    def settings(self, call: Call) -> dict[str, Any]:
        """A call's own settings, then its step's, then the pipeline's."""
        if call.id not in self._settings:
            own, step = values(call.settings), values(self._steps[call.step].settings)
            self._settings[call.id] = merged_settings(self._pipeline, step, own)
        return self._settings[call.id]

    def name(self, outputs: Mapping[Task, dict[str, str]], names: Names) -> None:
        """Name what each task shares with others: as its step, if it is the only one.

        ``outputs`` has those that each task declares, with their kinds.
        """
        made: dict[str, _Parts] = {}
        steps: dict[str, set[str]] = {}
        for task, kinds in outputs.items():
            parts = self._parts(task, kinds)
            key = self._with_room(json.dumps(parts), task.called)
            self._keys[task] = key
            made[key] = parts
            steps.setdefault(key, set()).add(self._title(task, task.called))
        for key, (request, container, kubernetes) in made.items():
            name = self._names[key] = names.new("step" if len(steps[key]) > 1 else min(steps[key]))
            if request:
                container["args"] = [readable_json(self._completed(request, key)), "{{$}}"]
            self.containers[f"exec-{name}"] = {"container": container}
            self.kubernetes[f"exec-{name}"] = kubernetes

    def _parts(self, task: Task, outputs: dict[str, str]) -> _Parts:
        """The request of a task, its container, and what Kubernetes gives that."""
        call = task.called
        settings = self.settings(call) if call else {}
        if call is not None and task.kind == "program":
            return {}, self._program_container(call, settings), self._of_program(settings)
        settings = _around_program(settings) if self._container_of(call) else settings
        request = self._request(task, settings, outputs)
        return request, self._container(task, settings), self._of_kubernetes(settings)

    def _completed(self, request: dict[str, Any], key: str) -> dict[str, Any]:
        """The request with what a container knows for all of its tasks; KFP's own comes last."""
        values, steps = escape(self._values(key)), escape(self._known.get(key, {}))
        kubeflow = request["kubeflow"] | ({"steps": steps} if steps else {})
        rest = {name: value for name, value in request.items() if name != "kubeflow"}
        rest |= {"values": values} if values else {}
        return rest | ({"kubeflow": kubeflow} if kubeflow else {})

    def _title(self, task: Task, call: Call | None) -> str:
        if call is None:
            return task.kind
        function = self.step(call).function
        return function if task.kind == "step" else f"{function}-{task.kind}"

    def _container_of(self, call: Call | None) -> Container | None:
        return None if call is None else self.step(call).container

    def files(self, task: Task, call: Call) -> dict[str, str]:
        """The outputs of a task that are files: the inputs of a program, or what it writes."""
        container = self._container_of(call)
        if task.kind == "stage":
            return {a.name: artifacts.staged(a.name) for a in call.arguments}
        if task.kind == "program" and container is not None:
            return {output.name: output.name for output in container.outputs}
        return {}

    def _values(self, key: str) -> dict[str, str]:
        """The named values that the tasks of a container use."""
        wanted = {name for task, own in self._keys.items() if own == key for name in task.values}
        return {name: text for name, text in self._definitions.items() if name in wanted}

    def _with_room(self, parts: str, call: Call | None) -> str:
        """The key of a container of these parts that knows the step of a call, or may yet."""
        if call is None:
            return parts
        step, number = self._steps[call.step], 1
        said = {"code": step.code} | ({"imports": list(step.imports)} if step.imports else {})
        while True:
            key = f"{parts} {number}"
            known = self._known.setdefault(key, {})
            if step.key in known:
                return key
            if self._bytes.get(key, 0) < _STEPS_BYTES:
                known[step.key] = said
                size = len(json.dumps(json.dumps({step.key: said})))  # as a driver gets it
                self._bytes[key] = self._bytes.get(key, 0) + size
                return key
            number += 1

    def named(self, task: Task) -> str:
        """The name of a task's executor and component."""
        return self._names[self._keys[task]]

    def told(self, call: Call) -> dict[str, Any]:
        """What the request of a call says beside what it is given."""
        step = self._steps[call.step]
        node = {"node": call.id} if call.id != step.function else {}
        count = (self.settings(call).get("retry") or {}).get("count")
        retries = {"kubeflow": {"retries": count}} if count else {}
        return {"step": step.key} | node | retries

    # ------------------------------------------------------------------ containers

    def _request(
        self, task: Task, settings: dict[str, Any], outputs: dict[str, str]
    ) -> dict[str, Any]:
        """What all tasks of a container have in their requests."""
        call, kind = task.called, task.kind
        container = self._container_of(call)
        role = kind if kind in _DO else "publish" if container else ""
        kubeflow = {
            "role": role,
            "gives": outputs,
            "takes": {name: _kind(taken) for name, taken in task.taken.items()},
            "parameters": {name: self._kinds[name] for name in task.parameters},
            "item": INDEX if task.indexed else "",
        }
        request = {
            "do": _DO.get(kind, kind),
            "pipeline": self._program.name,
            "pipeline_file": self._program.file,
            "run_id": "",
            "paths": list(self._program.search),
            "step": _of_step(self._steps[call.step], settings) if call else {},
            "stage": kind == "stage",
            "look_up": kind == "stage",
            "source": self._program.source if task.is_first else "",
            "secrets": self._secrets,
            "kubeflow": {name: value for name, value in kubeflow.items() if value},
        }
        found: dict[str, Any] = escape(
            {name: value for name, value in request.items() if value or name in _ALWAYS}
        )
        found["run_id"] = RUN_ID
        if call is not None and (places := self._paths(task, call)):
            found["kubeflow"]["files"] = places
        return found

    def _container(self, task: Task, settings: dict[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = {
            "image": self._image(task, task.called),
            "command": list(COMMAND),
            "args": [],
            "env": self._store_environment(),
        }
        wanted = _resources(settings.get("resources") or {})
        return content | ({"resources": wanted} if wanted else {})

    def _store_environment(self) -> list[dict[str, str]]:
        options = self._options
        variables = {"LEVADA_STORE": options.store_url, **options.store_environment}
        if options.environment:
            variables["LEVADA_ENVIRONMENT"] = options.environment
        return [{"name": name, "value": value} for name, value in variables.items()]

    def _paths(self, task: Task, call: Call) -> dict[str, str]:
        """Where KFP has the files of a program: for what stages, or for what collects them."""
        side, files = "outputs", self.files(task, call)
        if task.kind == "collect":
            outputs = getattr(self._container_of(call), "outputs", ())
            side, files = "inputs", {o.name: artifacts.written(o.name) for o in outputs}
        return {name: _path(side, key) for name, key in files.items()}

    def _program_container(self, call: Call, settings: dict[str, Any]) -> dict[str, Any]:
        """The program itself, told where KFP has its files: there is no ``/levada`` in its pod."""
        container = self.step(call).container
        places = {f"{IN}{a.name}": _path("inputs", a.name) for a in call.arguments}
        outputs = container.outputs if container else ()
        places |= {f"{OUT}{o.name}": _path("outputs", o.name) for o in outputs}
        words = (container.command or (), container.args or ()) if container else ((), ())
        command, args = ([_replaced(word, places) for word in each] for each in words)
        variables = settings.get("environment") or {}
        content: dict[str, Any] = {
            "image": str(settings.get("image")),
            "command": command,
            "args": args,
            "env": [{"name": name, "value": text} for name, text in variables.items()],
        }
        wanted = _resources(settings.get("resources") or {})
        return content | ({"resources": wanted} if wanted else {})

    def _image(self, task: Task, call: Call | None) -> str:
        """The image of a call. What decides has that of a step whose value it looks at."""
        asked = (self._functions[want] for want in task.wants if want in self._functions)
        called = None if self._container_of(call) else call
        one = called or next(asked, None) or next(iter(self._functions.values()), None)
        own = self.settings(one).get("image") if one else None
        return str(own or self._options.image)

    # ------------------------------------------------------------------ Kubernetes

    def _of_program(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The same for a program, which does not see the store."""
        content = self._of_kubernetes(settings)
        if settings.get("secrets"):
            content["secretAsEnv"] = _secrets(settings["secrets"], self._options.secret)
        else:
            content.pop("secretAsEnv", None)
        del content["fieldPathAsEnv"]
        mounts = [_mount(volume) for volume in settings.get("volumes") or []]
        content.pop("pvcMount", None)
        return content | ({"pvcMount": mounts} if mounts else {})

    def _of_kubernetes(self, settings: dict[str, Any]) -> dict[str, Any]:
        options = self._options
        content: dict[str, Any] = {
            "fieldPathAsEnv": [{"name": "LEVADA_RUN_ID", "fieldPath": RUN_LABEL}]
        }
        claims = [{"claim": options.claim, "path": options.store_url}] if options.claim else []
        mounts = [*claims, *(settings.get("volumes") or [])]
        if mounts:
            content["pvcMount"] = [_mount(volume) for volume in mounts]
        if secrets := {**options.store_secrets, **(settings.get("secrets") or {})}:
            content["secretAsEnv"] = _secrets(secrets, options.secret)
        if settings.get("node_selector"):
            content["nodeSelector"] = {"labels": settings["node_selector"]}
        if settings.get("tolerations"):
            content["tolerations"] = [_toleration(each) for each in settings["tolerations"]]
        if settings.get("timeout"):
            content["activeDeadlineSeconds"] = str(int(settings["timeout"]) + GRACE)
        metadata = {"labels": options.labels, "annotations": options.annotations}
        if given := {name: table for name, table in metadata.items() if table}:
            content["podMetadata"] = given
        if options.image_pull_secrets:
            names = options.image_pull_secrets
            content["imagePullSecret"] = [{"secretName": name} for name in names]
        if options.image_pull_policy:
            content["imagePullPolicy"] = options.image_pull_policy
        return content


def _around_program(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a container step for what stages and collects: the rest is its program's."""
    kept = ("cache", "retry", "environment", "image")
    return {name: settings[name] for name in kept if name in settings}


def _path(side: str, name: str) -> str:
    """What KFP replaces by the path of an artifact."""
    return f"{{{{$.{side}.artifacts['{name}'].path}}}}"


def _replaced(word: str, places: Mapping[str, str]) -> str:
    """A word of a program's command, with KFP's paths in it."""
    return FILE.sub(lambda found: places.get(found[0], found[0]), word)


def values(settings: tuple[Setting, ...]) -> dict[str, Any]:
    """Settings by name, as JSON values."""
    return {setting.name: json.loads(setting.value) for setting in settings}


def retry_policy(settings: dict[str, Any]) -> dict[str, Any]:
    """KFP's ``retryPolicy``; nothing without retries."""
    retry = settings.get("retry") or {}
    if not retry.get("count"):
        return {}
    return {
        "maxRetryCount": retry["count"],
        "backoffDuration": _seconds(retry.get("delay", 1)),
        "backoffFactor": float(round(retry.get("backoff", 2))),  # Argo fails on a fraction
        "backoffMaxDuration": _seconds(_ALL_ATTEMPTS),
    }


def _of_step(step: Step, settings: dict[str, Any]) -> dict[str, Any]:
    """What a request has of a step, beside what a container knows of all of its steps."""
    wanted = (*FOR_THE_COMMAND, "image") if step.container else FOR_THE_COMMAND
    found = {
        "outputs": [output.name for output in step.outputs],
        "settings": {name: settings[name] for name in wanted if name in settings},
        "container": step.container.as_json() if step.container else None,
    }
    return {name: value for name, value in found.items() if value}


def _kind(taken: Taken) -> str:
    if not taken.is_parameter:
        return "Artifact"
    return "LIST" if taken.is_list else PARAMETER


def _seconds(value: float) -> str:
    """A ``google.protobuf.Duration``; KFP keeps whole seconds of it."""
    return f"{max(round(value), 0)}s"


def _resources(wanted: dict[str, Any]) -> dict[str, Any]:
    """Limits, which Kubernetes takes as requests too; older backends read the numbers."""
    content: dict[str, Any] = {}
    if wanted.get("cpu"):
        amount = quantity.parse(wanted["cpu"])
        content |= {"cpuLimit": float(amount.value), "resourceCpuLimit": str(amount)}
    if wanted.get("memory"):
        amount = quantity.parse(wanted["memory"])
        number = float(amount.value / _GIGABYTE)
        content |= {"memoryLimit": number, "resourceMemoryLimit": str(amount)}
    if wanted.get("gpu"):
        kind, count = wanted.get("gpu_type") or pod.GPU, str(wanted["gpu"])
        own = {"type": kind, "count": count, "resourceType": kind, "resourceCount": count}
        content["accelerator"] = own
    return content


# Names of claims and secrets stand in the fields that every backend reads. `pvcNameParameter` and
# `secretNameParameter` are for what is known in a run only: where they are not there, newer
# backends take the others (`backend/src/v2/driver/k8s.go`); older ones know nothing else.


def _mount(volume: dict[str, Any]) -> dict[str, Any]:
    return {"mountPath": volume["path"], "constant": volume["claim"]}


def _secrets(wanted: dict[str, str], default: str) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, str]]] = {}
    for variable, reference in wanted.items():
        place = pod.secret(reference, default)
        pair = {"envVar": variable, "secretKey": place["key"]}
        found.setdefault(place["name"], []).append(pair)
    return [{"secretName": name, "keyToEnv": pairs} for name, pairs in found.items()]


def _toleration(wanted: dict[str, Any]) -> dict[str, Any]:
    content = pod.toleration(wanted)
    seconds = content.get("tolerationSeconds")
    return content | ({} if seconds is None else {"tolerationSeconds": str(seconds)})
