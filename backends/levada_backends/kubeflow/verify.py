"""What a cluster would refuse of a PipelineSpec, or fail on when it gets there.

KFP's messages are read without looking at any of this: that names resolve, that there is no cycle,
that types fit. The API server finds some of it, Argo's compiler other parts, the driver in the pod
the rest. The rules are those of ``backend/src/v2/compiler`` and ``backend/src/v2/driver`` of
Kubeflow.
"""

from __future__ import annotations

import json
import math
import re

from levada_compiler.slotted import dataclass

from ..pods import quantity
from . import cel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    Json: TypeAlias = dict[str, Any]

#: Linux's limit on one argument, with room for the option's name.
ARGUMENT_BYTES = 128 * 1024 - 512
LONGEST_NAME = 128  # characters of one of Argo's templates or tasks
EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"
RESERVED_OUTPUT = "executor-logs"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_DURATION = re.compile(r"[0-9]+(?:\.[0-9]{1,9})?s")
_KINDS = {
    "STRING": str,
    "BOOLEAN": bool,
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "LIST": list,
    "STRUCT": dict,
}
_AMOUNTS = [f"resource{what}{end}" for what in ("Cpu", "Memory") for end in ("Limit", "Request")]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which component (``root`` for the outermost DAG) and task."""

    component: str
    task: str
    message: str


class Verifier:
    """Looks through one PipelineSpec."""

    def __init__(self, spec: Json) -> None:
        self._spec = spec
        self._components: Json = spec.get("components", {})
        self._executors: Json = spec.get("deploymentSpec", {}).get("executors", {})
        self._used: dict[str, tuple[str, str]] = {}
        self._component = self._task = ""

    def problems(self) -> Iterator[Problem]:
        """All of them."""
        name = str(self._spec.get("pipelineInfo", {}).get("name", ""))
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            yield self._problem(f"`{name}` is no name of a pipeline")
        if self._spec.get("schemaVersion") != "2.1.0":
            yield self._problem("it is not of schema version 2.1.0")
        users = {c.get("executorLabel"): n for n, c in reversed(self._components.items())}
        for executor in self._executors:
            self._component = users.get(executor, "")
            yield from self._executor(executor)
        self._component = ""
        yield from self._containers()
        for component, content in {"root": self._spec.get("root", {}), **self._components}.items():
            self._component, self._task = component, ""
            if "dag" in content:
                yield from self._dag(content)
            yield from self._outputs(content)

    def _problem(self, message: str) -> Problem:
        return Problem(self._component, self._task, message)

    # ------------------------------------------------------------------ executors

    def _executor(self, name: str) -> Iterator[Problem]:
        container = self._executors[name].get("container")
        if container is None:
            yield self._problem(f"the executor `{name}` is no container")
            return
        if not container.get("image", "").strip():
            yield self._problem(f"the executor `{name}` has no image")
        if not container.get("command"):
            yield self._problem(
                f"the executor `{name}` has no command, and KFP ignores its image's"
            )
        if len(json.dumps(container, ensure_ascii=False).encode()) > ARGUMENT_BYTES:
            yield self._problem(
                f"the executor `{name}` is longer than 128 KiB, in which its driver gets it"
            )
        yield from self._resources(name, container.get("resources", {}))

    def _resources(self, name: str, resources: Json) -> Iterator[Problem]:
        for field in _AMOUNTS:
            if field not in resources:
                continue
            try:
                amount = quantity.parse(resources[field])
            except quantity.QuantityError as error:
                yield self._problem(f"the executor `{name}`: {error}")
                continue
            if amount.value < 0:
                yield self._problem(f"the executor `{name}` wants less than nothing: {amount}")
        accelerator = resources.get("accelerator")
        if accelerator is not None and not (
            accelerator.get("resourceType") and accelerator.get("resourceCount", "").isdecimal()
        ):
            yield self._problem(f"the accelerator of the executor `{name}` has no type or count")

    def _containers(self) -> Iterator[Problem]:
        """KFP keeps one component for each container: others with it must be like that one."""
        kept: dict[str, tuple[str, str]] = {}
        for name, component in self._components.items():
            label = component.get("executorLabel")
            if label not in self._executors:
                continue
            container = json.dumps(self._executors[label].get("container"))
            own = json.dumps({**component, "executorLabel": ""}, sort_keys=True)
            first, content = kept.setdefault(container, (name, own))
            if content != own:
                self._component = name
                yield self._problem(
                    f"it has the container of `{first}` but other inputs or outputs"
                )

    # ------------------------------------------------------------------ DAGs

    def _dag(self, component: Json) -> Iterator[Problem]:
        tasks: Json = component["dag"].get("tasks", {})
        inputs: Json = component.get("inputDefinitions", {}).get("parameters", {})
        if all(_is_exit(task) for task in tasks.values()):
            yield self._problem("a DAG needs a task that is no exit task")
        if len(json.dumps(component).encode()) > ARGUMENT_BYTES:
            yield self._problem("the DAG is larger than the argument that its driver gets it in")
        for name, task in tasks.items():
            self._task = name
            yield from self._name(name, tasks)
            yield from self._component_of(task)
            yield from self._dependencies(task, tasks)
            yield from self._inputs(task, tasks, inputs)
            yield from self._artifacts(task, tasks, component)
            yield from self._control(task)
        self._task = ""
        yield from self._exits(tasks)
        yield from self._cycle(tasks)
        yield from self._selectors(component, tasks)

    def _name(self, name: str, tasks: Json) -> Iterator[Problem]:
        if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            yield self._problem(f"`{name}` is no name of a task")
        if name.endswith("-driver") and name.removesuffix("-driver") in tasks:
            yield self._problem(f"KFP makes a task `{name}` of its own beside the other")

    def _component_of(self, task: Json) -> Iterator[Problem]:
        name = task.get("componentRef", {}).get("name", "")
        component = self._components.get(name)
        if component is None:
            yield self._problem(f"there is no component `{name}`")
            return
        if not _NAME.fullmatch(name) or len(f"{name}-{self._task}-iterator") > LONGEST_NAME:
            yield self._problem(f"`{name}` is no name of a component")
        place = (self._component, self._task)
        if "dag" in component and self._used.setdefault(name, place) != place:
            yield self._problem(f"the component `{name}` is used twice: Argo has one template")
        if "dag" not in component and component.get("executorLabel") not in self._executors:
            yield self._problem(f"there is no executor `{component.get('executorLabel')}`")

    def _dependencies(self, task: Json, tasks: Json) -> Iterator[Problem]:
        for name in task.get("dependentTasks", ()):
            if name not in tasks:
                yield self._problem(f"it depends on `{name}`, which is no task of this DAG")
            elif _is_exit(tasks[name]):
                yield self._problem(f"it depends on `{name}`, an exit task: Argo has no such task")

    # ------------------------------------------------------------------ inputs

    def _inputs(self, task: Json, tasks: Json, of_dag: Json) -> Iterator[Problem]:
        component = self._components.get(task.get("componentRef", {}).get("name", ""), {})
        declared: Json = component.get("inputDefinitions", {}).get("parameters", {})
        given: Json = task.get("inputs", {}).get("parameters", {})
        iterated = task.get("parameterIterator", {}).get("itemInput")
        for name, definition in declared.items():
            is_optional = definition.get("isOptional") or "defaultValue" in definition
            if name not in given and name != iterated and not is_optional:
                yield self._problem(f"the input `{name}` is missing")
        for name, source in given.items():
            if name not in declared:
                yield self._problem(f"its component has no input `{name}`")
                continue
            kind = declared[name].get("parameterType")
            yield from self._source(name, source, kind, tasks, of_dag)

    def _source(
        self, name: str, source: Json, kind: str, tasks: Json, of_dag: Json
    ) -> Iterator[Problem]:
        if "runtimeValue" in source:
            yield from self._constant(name, source["runtimeValue"].get("constant"), kind)
        elif "componentInputParameter" in source:
            found = of_dag.get(source["componentInputParameter"])
            yield from self._same(name, found, kind, source["componentInputParameter"])
        elif "taskOutputParameter" in source:
            yield from self._produced(name, source["taskOutputParameter"], kind, tasks)
        elif "taskFinalStatus" in source:
            if source["taskFinalStatus"].get("producerTask") not in tasks:
                yield self._problem(f"the input `{name}` is the status of no task of this DAG")
        else:
            yield self._problem(f"the input `{name}` comes from nowhere")

    def _artifacts(self, task: Json, tasks: Json, of_dag: Json) -> Iterator[Problem]:
        component = self._components.get(task.get("componentRef", {}).get("name", ""), {})
        declared: Json = component.get("inputDefinitions", {}).get("artifacts", {})
        given: Json = task.get("inputs", {}).get("artifacts", {})
        outer: Json = of_dag.get("inputDefinitions", {}).get("artifacts", {})
        for name, definition in declared.items():
            if name not in given and not definition.get("isOptional"):
                yield self._problem(f"the input `{name}` is missing")
        for name, source in given.items():
            if name not in declared:
                yield self._problem(f"its component has no input `{name}`")
            elif "componentInputArtifact" in source:
                found = outer.get(source["componentInputArtifact"])
                if found is None:
                    yield self._problem(f"the input `{name}` comes from no input of its DAG")
                else:
                    yield from self._as_many(name, found, declared[name])
            elif "taskOutputArtifact" in source:
                own = source["taskOutputArtifact"]
                producer, key = own.get("producerTask", ""), own.get("outputArtifactKey", "")
                found = self._outputs_of(tasks.get(producer, {}), "artifacts").get(key)
                if found is None:
                    yield self._problem(f"the input `{name}` comes from no output of a task")
                else:
                    yield from self._as_many(name, found, declared[name])
            else:
                yield self._problem(f"the input `{name}` comes from nowhere")

    def _as_many(self, name: str, given: Json, wanted: Json) -> Iterator[Problem]:
        if bool(given.get("isArtifactList")) != bool(wanted.get("isArtifactList")):
            yield self._problem(
                f"the input `{name}` takes one artifact of a list, or a list of one"
            )

    def _outputs_of(self, task: Json, kind: str) -> Json:
        component = self._components.get(task.get("componentRef", {}).get("name", ""), {})
        found: Json = component.get("outputDefinitions", {}).get(kind, {})
        return found

    def _constant(self, name: str, value: Any, kind: str) -> Iterator[Problem]:
        expected = _KINDS.get(kind, object)
        is_wrong = not isinstance(value, expected) or (  # type: ignore[arg-type]
            isinstance(value, bool) and kind != "BOOLEAN"
        )
        if value is None or is_wrong:
            yield self._problem(f"the input `{name}` is a {kind}, not {json.dumps(value)[:40]}")
        elif isinstance(value, float) and not math.isfinite(value):
            yield self._problem(f"the input `{name}` is {value}, which JSON has not")

    def _produced(self, name: str, source: Json, kind: str, tasks: Json) -> Iterator[Problem]:
        producer, output = source.get("producerTask"), source.get("outputParameterKey")
        if producer not in tasks:
            yield self._problem(f"the input `{name}` comes from `{producer}`, no task of this DAG")
            return
        found = self._outputs_of(tasks[producer], "parameters").get(output or "")
        yield from self._same(name, found, kind, f"{producer}.{output}")

    def _same(self, name: str, found: Json | None, kind: str, source: str) -> Iterator[Problem]:
        if found is None:
            yield self._problem(f"the input `{name}` comes from `{source}`, which there is not")
        elif found.get("parameterType") != kind:
            yield self._problem(f"the input `{name}` is a {kind}, `{source}` is not")

    # ------------------------------------------------------------------ control

    def _control(self, task: Json) -> Iterator[Problem]:
        given: Json = task.get("inputs", {}).get("parameters", {})
        condition = task.get("triggerPolicy", {}).get("condition")
        if condition is not None and (problem := cel.problem(condition, given)):
            yield self._problem(f"the condition `{condition}`: {problem}")
        if "artifactIterator" in task:
            yield self._problem("KFP has not implemented iterators over artifacts")
        iterator = task.get("parameterIterator")
        if iterator is not None:
            yield from self._iterator(iterator, task, given)
        for field, value in task.get("retryPolicy", {}).items():
            if field.endswith("Duration") and not _DURATION.fullmatch(str(value)):
                yield self._problem(f"`{value}` is no duration")

    def _iterator(self, iterator: Json, task: Json, given: Json) -> Iterator[Problem]:
        component = self._components.get(task.get("componentRef", {}).get("name", ""), {})
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        items = iterator.get("items", {}).get("inputParameter")
        if items not in given or declared.get(items, {}).get("parameterType") != "LIST":
            yield self._problem(f"it goes over `{items}`, which is no list that it is given")
        if iterator.get("itemInput") not in declared:
            yield self._problem(f"it has no input `{iterator.get('itemInput')}` for an item")
        for definitions in component.get("outputDefinitions", {}).values():
            for name, own in definitions.items():
                if own.get("parameterType") != "LIST" and not own.get("isArtifactList"):
                    yield self._problem(f"KFP makes a list of `{name}`, which it is not")

    def _exits(self, tasks: Json) -> Iterator[Problem]:
        hooks: dict[str, str] = {}
        for name, task in tasks.items():
            if not _is_exit(task):
                continue
            self._task = name
            if not task.get("dependentTasks"):
                yield self._problem("an exit task of nothing")
            for above in task.get("dependentTasks", ()):
                other = hooks.setdefault(above, name)
                if other != name:
                    yield self._problem(f"`{above}` has the exit task `{other}` already")
        self._task = ""

    def _cycle(self, tasks: Json) -> Iterator[Problem]:
        """Take away what depends on nothing, until nothing is left, or a cycle."""
        waits = {name: {*_above(task)} & tasks.keys() for name, task in tasks.items()}
        below: dict[str, list[str]] = {}
        for name, above in waits.items():
            for one in above:
                below.setdefault(one, []).append(name)
        free = [name for name, above in waits.items() if not above]
        while free:
            name = free.pop()
            del waits[name]
            for one in below.get(name, ()):
                waits[one].discard(name)
                if not waits[one]:
                    free.append(one)
        if waits:
            yield self._problem(f"these tasks wait for each other: {', '.join(waits)}")

    # ------------------------------------------------------------------ outputs

    def _outputs(self, component: Json) -> Iterator[Problem]:
        for names in component.get("outputDefinitions", {}).values():
            if RESERVED_OUTPUT in names:
                yield self._problem(f"KFP has an output `{RESERVED_OUTPUT}` of its own")

    def _selectors(self, component: Json, tasks: Json) -> Iterator[Problem]:
        outputs: Json = component["dag"].get("outputs", {})
        for kind, key in (("artifacts", "outputArtifactKey"), ("parameters", "outputParameterKey")):
            declared = component.get("outputDefinitions", {}).get(kind, {})
            if declared.keys() != outputs.get(kind, {}).keys():
                yield self._problem(f"the {kind} that its DAG gives are not those it declares")
            for name, selected in outputs.get(kind, {}).items():
                for each in _selected(selected):
                    task = tasks.get(each.get("producerSubtask", ""), {})
                    if each.get(key) not in self._outputs_of(task, kind):
                        yield self._problem(f"the output `{name}` comes from no output of a task")
        for name, selected in outputs.get("artifacts", {}).items():
            if len(selected.get("artifactSelectors", ())) > 1:
                yield self._problem(f"of the artifacts for `{name}` KFP would take the last one")


def _is_exit(task: Json) -> bool:
    return bool(task.get("triggerPolicy", {}).get("strategy") == EXIT)


def _selected(output: Json) -> list[Json]:
    """The outputs of tasks that an output of a DAG may be."""
    if "valueFromParameter" in output:
        return [output["valueFromParameter"]]
    oneof = output.get("valueFromOneof", {}).get("parameterSelectors")
    found: list[Json] = oneof or output.get("artifactSelectors") or [{}]
    return found


def _above(task: Json) -> Iterator[str]:
    yield from task.get("dependentTasks", ())
    for given in task.get("inputs", {}).values():
        for source in given.values():
            for kind in ("taskOutputParameter", "taskOutputArtifact"):
                if kind in source:
                    yield source[kind].get("producerTask", "")
