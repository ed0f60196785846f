"""The DAGs as a PipelineSpec.

Its messages: ``api/v2alpha1/pipeline_spec.proto`` in https://github.com/kubeflow/pipelines.
"""

from __future__ import annotations

from levada_compiler.ir import Call

from ..block_yaml import Key, comment, dump
from . import artifacts, executors, parameters
from .dags import INDEX, OUTPUT, Builder, channel
from .names import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada_compiler.ir import Program

    from .dags import Dag, Task
    from .options import Options

SCHEMA_VERSION = "2.1.0"
CALL, STATUS = "levada-call", "levada-status"
_TYPES = {CALL: "STRING", INDEX: "STRING"}
_OUTPUT_TYPES = {"decide": "STRING", "items": "LIST"}


class Spec:
    """The documents of a program."""

    def __init__(self, program: Program, options: Options) -> None:
        self.program = program
        self.builder = Builder(program)
        self.executors = executors.Executors(program, options)
        self._options = options
        self._parameters = {p.name: p for p in program.parameters}
        self._components: dict[str, Any] = {}
        root = self._root()
        self.pipeline: dict[str, Any] = {
            "pipelineInfo": self._info(),
            "schemaVersion": SCHEMA_VERSION,
            "sdkVersion": f"levada-{options.compiler}",
            "root": root,
            "components": self._components,
            "deploymentSpec": {"executors": self.executors.containers},
        }

    @property
    def platform(self) -> dict[str, Any]:
        """The document for Kubernetes."""
        deployment = {"deploymentSpec": {"executors": self.executors.kubernetes}}
        return {"platforms": {"kubernetes": deployment}}

    def text(self) -> str:
        """Both documents as YAML."""
        lines = comment(_HEADER.format(program=self.program, options=self._options))
        return "\n".join(lines) + "\n" + dump(self.pipeline, self.platform)

    def _info(self) -> dict[str, Any]:
        settings = executors.values(self.program.settings)
        said = [self.program.description]
        said += [f"Owner: {settings['owner']}"] if settings.get("owner") else []
        said += [f"Tags: {', '.join(settings['tags'])}"] if settings.get("tags") else []
        description = "\n\n".join(text for text in said if text)
        info: dict[str, Any] = {"name": plain(self.program.name)}
        info |= {"displayName": self.program.name}
        return info | ({"description": description} if description else {})

    # ------------------------------------------------------------------ DAGs

    def _root(self) -> dict[str, Any]:
        content: dict[str, Any] = {"dag": self._dag(self.builder.root)}
        if self.program.parameters:
            content["inputDefinitions"] = {
                "parameters": parameters.definitions(self.program.parameters)
            }
        last = self.builder.root.tasks[-1]
        names = self._artifacts(last) if last.kind == "outputs" else {}
        if names:
            content["outputDefinitions"] = _artifact_definitions(names)
            content["dag"]["outputs"] = {
                "artifacts": {name: _selected(last, name) for name in names}
            }
        return content

    def _dag(self, dag: Dag) -> dict[str, Any]:
        return {"tasks": {Key(task.name, self._said(task)): self._task(task) for task in dag.tasks}}

    def _said(self, task: Task) -> str:
        span = task.node.span if task.node else None
        place = f"{span.file}:{span.line}" if span else ""
        return "  ".join(text for text in (place, task.comment) if text)

    # ------------------------------------------------------------------ tasks

    def _task(self, task: Task) -> dict[str, Any]:
        settings = self.executors.settings(task.node) if isinstance(task.node, Call) else {}
        content: dict[str, Any] = {
            "taskInfo": {"name": task.title if task.kind == "step" else task.name},
            "componentRef": {"name": task.component},
        }
        inputs = self._inputs(task)
        self._component(task, inputs)
        if task.after:
            content["dependentTasks"] = [above.name for above in task.after]
        if inputs:
            content["inputs"] = {"parameters": {name: given for name, (given, _) in inputs.items()}}
        content |= _trigger(task)
        if task.listed is not None:
            content |= self._iterator(task.listed)
        if policy := executors.retry_policy(settings):
            content["retryPolicy"] = policy
        # No `cachingOptions`: KFP would skip a task without a look at what it reads from the store.
        return content

    def _iterator(self, listed: Task) -> dict[str, Any]:
        items = {"inputParameter": channel(listed.name)}
        content: dict[str, Any] = {"parameterIterator": {"itemInput": INDEX, "items": items}}
        limit = executors.values(self.program.settings).get("max_parallel")
        return content | ({"iteratorPolicy": {"parallelismLimit": limit}} if limit else {})

    def _inputs(self, task: Task) -> dict[str, tuple[Any, str]]:
        """The inputs of a task: what it is given, and of which type that is."""
        found: dict[str, tuple[Any, str]] = {}
        if task.inner is None:
            found[CALL] = _constant("\n".join(task.lines)), "STRING"
        for above in filter(None, (task.decided, task.listed)):
            given = {"producerTask": above.name, "outputParameterKey": OUTPUT}
            kind = _OUTPUT_TYPES[above.kind]
            found[channel(above.name)] = {"taskOutputParameter": given}, kind
        for name in task.needs():
            found[name] = {"componentInputParameter": name}, self._type(name)
        if task.exit_of is not None:
            status = {"taskFinalStatus": {"producerTask": task.exit_of.name}}
            found[STATUS] = status, "TASK_FINAL_STATUS"
        return found

    def _type(self, name: str) -> str:
        own = self._parameters.get(name)
        return _TYPES[name] if own is None else parameters.kfp_type(own)

    # ------------------------------------------------------------------ components

    def _component(self, task: Task, inputs: dict[str, tuple[Any, str]]) -> None:
        content: dict[str, Any] = {}
        self._components[task.component] = content
        if task.inner is not None:
            content["dag"] = self._dag(task.inner)
        else:
            declared = self._artifacts(task)
            content["executorLabel"] = self.executors.label(task, list(declared))
        types = {name: kind for name, (_, kind) in inputs.items()}
        if task.listed is not None:
            types[INDEX] = "STRING"
        if types:
            definitions = {name: _parameter(kind) for name, kind in types.items()}
            content["inputDefinitions"] = {"parameters": definitions}
        if task.kind in _OUTPUT_TYPES:
            output = {OUTPUT: _parameter(_OUTPUT_TYPES[task.kind])}
            content["outputDefinitions"] = {"parameters": output}
        elif task.inner is None and declared:
            content["outputDefinitions"] = _artifact_definitions(declared)

    def _artifacts(self, task: Task) -> dict[str, str]:
        if task.kind == "step" and isinstance(task.node, Call):
            return artifacts.of_step(self.executors.step(task.node), self._options.artifacts)
        result = self.program.result
        if task.kind == "outputs" and result is not None:
            return {artifacts.output_name(name): "Artifact" for name in result.names}
        return {}


_HEADER = """\
{program.name} for Kubeflow Pipelines 2, written by Levada {options.compiler} from {program.file}.
Do not edit it: change the pipeline and compile it again. A task does what its `levada-call` says.
Values go through Levada's store, and its cache is asked: KFP's cannot see them, and is off."""


def _constant(text: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": text}}


def _parameter(kind: str) -> dict[str, Any]:
    optional = {"isOptional": True} if kind == "TASK_FINAL_STATUS" else {}
    return {"parameterType": kind} | optional


def _artifact_definitions(names: dict[str, str]) -> dict[str, Any]:
    return {"artifacts": {name: artifacts.declared(kind) for name, kind in names.items()}}


def _selected(task: Task, name: str) -> dict[str, Any]:
    return {"artifactSelectors": [{"producerSubtask": task.name, "outputArtifactKey": name}]}


def _trigger(task: Task) -> dict[str, Any]:
    if task.exit_of is not None:
        return {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}
    return {"triggerPolicy": {"condition": task.condition}} if task.condition else {}
