"""The DAGs as a PipelineSpec.

Its messages: ``api/v2alpha1/pipeline_spec.proto`` in https://github.com/kubeflow/pipelines.
"""

from __future__ import annotations

from levada_compiler.origin import made_from
from levada_compiler.program.ir import Loop

from ..block_yaml import Key, comment, dump
from . import artifacts, executors, parameters
from .channels import Channels
from .dags import INDEX, OUTPUT, PROGRAM_KINDS, Builder, Given, channel, reduce_edges
from .names import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada_compiler.program.ir import Call, Program

    from .dags import Dag, Taken, Task
    from .options import Options

SCHEMA_VERSION = "2.1.0"
CALL, STATUS = "levada-call", "levada-status"
#: The input of a sub-DAG that has nothing but artifacts to give to its tasks.
ARTIFACTS = "levada-artifacts"
#: Fields of a request whose fields have an order.
_ORDERED = ("sources", "outputs")
_TYPES = {INDEX: "STRING"}
_OUTPUT_TYPES = {"decide": "STRING", "stage": "STRING", "items": "LIST"}
_LISTS = {artifacts.PARAMETER: "LIST", "Artifact": "Artifacts"}
_PARAMETERS = {artifacts.PARAMETER: "STRING", "STRING": "STRING", "LIST": "LIST"}


class Spec:
    """The documents of a program."""

    def __init__(self, program: Program, options: Options) -> None:
        self.program = program
        self.builder = Builder(program)
        self.executors = executors.Executors(program, options, self.builder.definitions)
        self._options = options
        self._step_outputs = artifacts.Outputs(options.artifacts)
        channels = Channels(program, self.builder, self._step_outputs, collecting=options.collected)
        for task in list(self.builder.root.all_tasks()):
            if task.call is not None:
                channels.lay(task, task.call)
        reduce_edges(self.builder.root)
        self._declared = {
            task: self._outputs(task)
            for task in self.builder.root.all_tasks()
            if task.inner is None
        }
        self.executors.name(self._declared, self.builder.components)
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
        made = made_from(self.program, self._options.compiler)
        lines = comment(_HEADER.format(name=self.program.name, made=made))
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
        names = self._declared[last] if last.kind == "outputs" else {}
        given = {name: Given(((last, name),), is_parameter=False) for name in names}
        content |= _given(content["dag"], given)
        if names:
            content["outputDefinitions"] = {"artifacts": artifacts.declared_by_root(names)}
        return content

    def _dag(self, dag: Dag) -> dict[str, Any]:
        return {"tasks": {Key(task.name, self._said(task)): self._task(task) for task in dag.tasks}}

    def _said(self, task: Task) -> str:
        """Say what a task is for, and which file calls it if that is not the pipeline's own."""
        file = task.node.span.file if task.node else self.program.file
        place = "" if file == self.program.file else file
        return "  ".join(text for text in (place, task.comment) if text)

    # ------------------------------------------------------------------ tasks

    def _task(self, task: Task) -> dict[str, Any]:
        settings = self.executors.settings(task.called) if task.called else {}
        if task.inner is None:
            task.component = f"comp-{self.executors.named(task)}"
        content: dict[str, Any] = {
            "taskInfo": {"name": task.name},
            "componentRef": {"name": task.component},
        }
        inputs = self._inputs(task)
        if task.component not in self._components:
            self._component(task, inputs)
        if task.after:
            content["dependentTasks"] = [above.name for above in task.after]
        if given := self._given_to(task, inputs):
            content["inputs"] = given
        content |= _trigger(task)
        if task.listed is not None:
            content |= self._iterator(task, task.listed)
        if policy := executors.retry_policy(settings):
            content["retryPolicy"] = policy
        # No `cachingOptions`: KFP would skip a task without a look at what it reads from the store.
        return content

    def _given_to(self, task: Task, inputs: dict[str, tuple[Any, str]]) -> dict[str, Any]:
        taken = {n: _taken_artifact(t) for n, t in task.taken.items() if not t.is_parameter}
        parameters = {name: given for name, (given, _) in inputs.items()}
        found = {"parameters": parameters, "artifacts": taken}
        return {kind: given for kind, given in found.items() if given}

    def _iterator(self, task: Task, listed: Task) -> dict[str, Any]:
        items = {"inputParameter": channel(listed.name)}
        content: dict[str, Any] = {"parameterIterator": {"itemInput": INDEX, "items": items}}
        own = task.node.max_parallel if isinstance(task.node, Loop) else None
        limits = filter(None, (own, executors.values(self.program.settings).get("max_parallel")))
        if limit := min(limits, default=None):
            content["iteratorPolicy"] = {"parallelismLimit": limit}
        return content

    def _inputs(self, task: Task) -> dict[str, tuple[Any, str]]:
        """The inputs of a task: what it is given, and of which type that is."""
        found: dict[str, tuple[Any, str]] = {}
        if task.inner is None and task.kind != "program":
            found[CALL] = _constant(self._request(task)), "STRUCT"
        for above in filter(None, (task.decided, task.listed)):
            given = {"producerTask": above.name, "outputParameterKey": OUTPUT}
            kind = _OUTPUT_TYPES[above.kind]
            found[channel(above.name)] = {"taskOutputParameter": given}, kind
        for name, taken in task.taken.items():
            if taken.is_parameter:
                found[name] = _taken_parameter(taken), "LIST" if taken.is_list else "STRING"
        for name in task.needs():
            found[name] = {"componentInputParameter": name}, self._type(name)
        if task.exit_of is not None:
            status = {"taskFinalStatus": {"producerTask": task.exit_of.name}}
            found[STATUS] = status, "TASK_FINAL_STATUS"
        is_dag = task.inner is not None
        if is_dag and any(not one.is_list for one in task.taken.values()) and not found:
            # KFP's local runner drops the artifacts of such a DAG.
            found[ARTIFACTS] = _constant("passed on"), "STRING"
        return found

    def _request(self, task: Task) -> dict[str, Any]:
        """What the request of a task has beside what its component says."""
        own = self.executors.told(task.called) if task.called else {}
        parts = (own, self._of_program(task), task.told, _collected(task))
        kubeflow = {n: value for part in parts for n, value in part.get("kubeflow", {}).items()}
        found = {n: value for part in parts for n, value in part.items() if n != "kubeflow"}
        # KFP keeps no order in an object: of what has one, each field is an object in a list.
        lists = {n: [{k: v} for k, v in found[n].items()] for n in _ORDERED if found.get(n)}
        return found | lists | ({"kubeflow": kubeflow} if kubeflow else {})

    def _of_program(self, task: Task) -> dict[str, Any]:
        """Where KFP's local runner has the files of a program, or under which name its log is."""
        if task.program is None:
            return {}
        is_stage = task.kind == "stage"
        name = self.executors.named(task.program) if is_stage else task.program.name
        return {"kubeflow": {"program": name}}

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
            content["executorLabel"] = f"exec-{self.executors.named(task)}"
        types = {name: kind for name, (_, kind) in inputs.items()}
        if task.listed is not None:
            types[INDEX] = "STRING"
        if definitions := _inputs_of(task, types):
            content["inputDefinitions"] = definitions
        if task.inner is not None:
            content |= _given(content["dag"], task.given)
        elif outputs := self._declared[task]:
            content["outputDefinitions"] = _outputs_of(outputs)

    def _outputs(self, task: Task) -> dict[str, str]:
        if task.call is not None:
            return self._of_call(task.call)
        if task.kind in PROGRAM_KINDS and task.called is not None:
            files = dict.fromkeys(self.executors.files(task, task.called).values(), "Artifact")
            return files | ({OUTPUT: _OUTPUT_TYPES["stage"]} if task.kind == "stage" else {})
        if task.kind in _OUTPUT_TYPES:
            return {OUTPUT: _OUTPUT_TYPES[task.kind]}
        result = self.program.result
        if task.kind == "outputs":
            return {artifacts.output_name(name): "Artifact" for name in result.names}
        return {}

    def _of_call(self, call: Call) -> dict[str, str]:
        return self._step_outputs.of(self.executors.step(call))


_HEADER = """\
{name} for Kubeflow Pipelines 2. {made}.
Do not edit it: change the pipeline and compile it again. A task does what its `levada-call` says.
Values go through Levada's store, and its cache is asked: KFP's cannot see them, and is off."""


def _collected(task: Task) -> dict[str, Any]:
    """What a task has to know of lists that KFP makes of what it gives."""
    if task.is_never_empty:
        return {"kubeflow": {"never_empty": True}}
    return {"kubeflow": {"collected": dict(task.collected)}} if task.collected else {}


def _constant(value: str | dict[str, Any]) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


def _parameter(kind: str) -> dict[str, Any]:
    optional = {"isOptional": True} if kind == "TASK_FINAL_STATUS" else {}
    return {"parameterType": kind} | optional


def _inputs_of(task: Task, types: dict[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if types:
        content["parameters"] = {name: _parameter(kind) for name, kind in types.items()}
    taken = {name: taken for name, taken in task.taken.items() if not taken.is_parameter}
    if taken:
        content["artifacts"] = {
            name: artifacts.declared("Artifact", is_list=taken.is_list)
            for name, taken in taken.items()
        }
    return content


def _outputs_of(kinds: dict[str, str]) -> dict[str, Any]:
    """Definitions of outputs, by KFP's types of parameters and of artifacts."""
    content: dict[str, Any] = {}
    for name, kind in kinds.items():
        if kind in _PARAMETERS:
            content.setdefault("parameters", {})[name] = _parameter(_PARAMETERS[kind])
        else:
            is_list = kind == "Artifacts"
            own = artifacts.declared("Artifact" if is_list else kind, is_list=is_list)
            content.setdefault("artifacts", {})[name] = own
    return content


def _taken_parameter(taken: Taken) -> dict[str, Any]:
    if taken.task is None:
        return {"componentInputParameter": taken.key}
    given = {"producerTask": taken.task.name, "outputParameterKey": taken.key}
    return {"taskOutputParameter": given}


def _taken_artifact(taken: Taken) -> dict[str, Any]:
    if taken.task is None:
        return {"componentInputArtifact": taken.key}
    given = {"producerTask": taken.task.name, "outputArtifactKey": taken.key}
    return {"taskOutputArtifact": given}


def _given(dag: dict[str, Any], outputs: dict[str, Given]) -> dict[str, Any]:
    """Definitions of what a DAG gives; where it comes from is said in the DAG."""
    if not outputs:
        return {}
    for name, given in outputs.items():
        kind = "parameters" if given.is_parameter else "artifacts"
        dag.setdefault("outputs", {}).setdefault(kind, {})[name] = _source(given)
    kinds = {n: artifacts.PARAMETER if g.is_parameter else "Artifact" for n, g in outputs.items()}
    kinds |= {name: _LISTS[kinds[name]] for name, given in outputs.items() if given.is_list}
    return {"outputDefinitions": _outputs_of(kinds)}


def _source(given: Given) -> dict[str, Any]:
    key = "outputParameterKey" if given.is_parameter else "outputArtifactKey"
    found = [{"producerSubtask": task.name, key: name} for task, name in given.sources]
    if not given.is_parameter:
        return {"artifactSelectors": found}
    if len(found) == 1:
        return {"valueFromParameter": found[0]}
    return {"valueFromOneof": {"parameterSelectors": found}}


def _trigger(task: Task) -> dict[str, Any]:
    if task.exit_of is not None:
        return {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}
    return {"triggerPolicy": {"condition": task.condition}} if task.condition else {}
