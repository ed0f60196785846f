"""mixed.

Made from tests/targets/airflow/cases/mixed.py:mixed by Levada 0.1.0.
Source: sha256:e3aa05a8a5d814c39be4f174bd9f533b1f4fb7558c717c48536ba9205a8f2569
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.providers.standard.operators.branch import BranchMixIn
    from airflow.sdk import DAG, BaseOperator, Label
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param
    from airflow.operators.branch import BranchMixIn
    from airflow.utils.edgemodifier import Label

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PIPELINE = "mixed"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]

# Where a container finds what it shares with all others.
STORE = "/store"

# What all containers have.
DOCKER = {}
MOUNTS = [Mount(target="/store", source="levada-store", type="volume")]

# What all pods have, as Kubernetes writes it.
KUBERNETES = {"startup_timeout_seconds": 600}
POD = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [
        {"name": "tmp", "emptyDir": {}},
        {"name": "claim-levada-store", "persistentVolumeClaim": {"claimName": "levada-store"}},
    ],
}
CONTAINER = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "volumeMounts": [
        {"mountPath": "/tmp", "name": "tmp"},
        {"mountPath": "/store", "name": "claim-levada-store"},
    ],
}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:e3aa05a8a5d814c39be4f174bd9f533b1f4fb7558c717c48536ba9205a8f2569",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/mixed.py",
    "LEVADA_ENGINE": (
        "{{ {'name': 'airflow', 'dag_id': dag.dag_id, 'task_id': ti.task_id,"
        " 'map_index': ti.map_index, 'try_number': ti.try_number,"
        " 'trigger': dag_run.run_type | string,"
        " 'logical_date': (dag_run.logical_date or dag_run.run_after).isoformat(),"
        " 'data_interval_start': dag_run.data_interval_start.isoformat()"
        " if dag_run.data_interval_start else none,"
        " 'data_interval_end': dag_run.data_interval_end.isoformat()"
        " if dag_run.data_interval_end else none}"
        " | tojson }}"
    ),
}


def request_of(task, **more):
    """What `python -m levada` is to do for a task, as JSON. Nothing passes through a shell."""
    loops = []
    for clause in task.loops:  # "for d in params.depths", and after it "where d > 2"
        word, text = clause.split(" ", 1)
        if word == "for":
            loops.append({"for": text})
        else:
            loops[-1].setdefault(word, []).append(text)
    place = {"pipeline": PIPELINE, "node": task.node or task.task_id, "paths": SOURCES}
    request = {**task.levada, **place, "loops": loops, "checks": task.checks, **more}
    request["caught"] = task.caught  # a failure of it does not end the run
    if task.item is not None:
        request["map_index"] = [int(number) for number in task.item["index"].split(".")]
    return json.dumps(request)


def xcom_of(result):
    """A result without the few things that Airflow's database does not take."""
    if result is None:
        raise AirflowException("it has left no result: see the log above")
    text = json.dumps(result, ensure_ascii=False).replace("\\u0000", "\\ufffd")
    text = text.encode("utf-8", "replace").decode()
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)


class Command(BaseOperator):
    """Runs `python -m levada` in a process of its own.

    Its result is JSON in a file; all that it prints is in the task's log.
    """

    template_fields = ("env",)

    def __init__(self, loops=(), checks=(), item=None, node=None, caught=False, **kwargs):
        super().__init__(**kwargs)
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        self.env = ENVIRONMENT

    def execute(self, context):
        self.process = SubprocessHook()
        env = {**os.environ, **self.env}
        with TemporaryDirectory() as folder:
            # In a file: an argument and a variable of a process are at most 128 KiB.
            request, result = Path(folder, "request.json"), Path(folder, "result.json")
            params = json.loads(env.pop("LEVADA_PARAMS"))
            request.write_text(request_of(self, params=params, result=str(result)))
            command = [PYTHON, "-m", "levada", f"@{request}"]
            code = self.process.run_command(command, env=env, cwd=PROJECT).exit_code
            if code == 65:  # it would fail again
                raise AirflowFailException("a permanent error: see the log above")
            if code != 0:
                raise AirflowException(f"exit code {code}: see the log above")
            return xcom_of(json.loads(result.read_text(encoding="utf-8")))

    def on_kill(self):
        self.process.send_sigterm()


class Step(Command):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}


class Items(Command):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, loops, fail_items=False, **kwargs):
        name = shorten(" ".join(loops), 60, placeholder="…")
        super().__init__(task_display_name=name, loops=loops, **kwargs)
        self.levada = {"do": "items", "fail_items": fail_items}


class Outputs(Command):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


class DockerCommand(DockerOperator):
    """Runs `python -m levada` in a container, which leaves its result as JSON in a file."""

    template_fields = ("environment",)
    pickling_library = json  # reads the result

    def __init__(
        self,
        image,
        secrets=(),
        mounts=(),
        loops=(),
        checks=(),
        item=None,
        node=None,
        caught=False,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        super().__init__(
            image=image,
            entrypoint=["python"],
            environment={
                **ENVIRONMENT,
                "LEVADA_STORE": STORE,
                "LEVADA_IMAGE": image,
            },
            # The worker's own variables of these names; Airflow shows and keeps none of them.
            private_environment={name: os.environ[name] for name in secrets if name in os.environ},
            mounts=[*MOUNTS, *mounts],
            mount_tmp_dir=False,
            auto_remove="force",
            retrieve_output=True,
            retrieve_output_path="/tmp/levada-result.json",
            skip_on_exit_code=65,
            **DOCKER,
            **kwargs,
        )

    def execute(self, context):
        self.command = self.command_of()
        try:
            return xcom_of(super().execute(context))
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error

    def command_of(self, **more):
        return ["-m", "levada", request_of(self, result=self.retrieve_output_path, **more)]


class DockerStep(DockerCommand):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}


class DockerBranch(DockerCommand, BranchMixIn):
    """Decides a condition exactly as Python would, and skips the side that is not taken."""

    inherits_from_skipmixin = True

    def __init__(self, condition, then=(), otherwise=(), **kwargs):
        name = shorten(f"if {condition}", 60, placeholder="…")
        super().__init__(task_display_name=name, **kwargs)
        self.levada = {"do": "decide", "expression": condition}
        self.then = then
        self.otherwise = otherwise

    def execute(self, context):
        taken = super().execute(context)
        skipped = self.otherwise if taken else self.then
        self.do_branch(context, sorted(self.downstream_task_ids - set(skipped)))
        return taken


def pod_of(task, pod, container):
    """A pod as Kubernetes writes it: what all have, and what this one has besides."""
    main = {"name": "base", **CONTAINER, **container}
    main["volumeMounts"] = [*CONTAINER["volumeMounts"], *container.get("volumeMounts", [])]
    volumes = [*POD["volumes"], *pod.get("volumes", [])]
    return {"spec": {**POD, **pod, "volumes": volumes, "containers": [main]}}


class PodCommand(KubernetesPodOperator):
    """Runs `python -m levada` in a pod, which leaves its result as JSON for the sidecar."""

    template_fields = ("env_vars",)

    def __init__(
        self,
        image,
        pod=None,
        container=None,
        loops=(),
        checks=(),
        item=None,
        node=None,
        caught=False,
        **kwargs,
    ):
        self.loops, self.checks, self.item, self.node = loops, checks, item, node
        self.caught = caught
        super().__init__(
            image=image,
            cmds=["python"],
            env_vars={
                **ENVIRONMENT,
                "HOME": "/tmp",
                "LEVADA_STORE": STORE,
                "LEVADA_IMAGE": image,
            },
            pod_template_dict=pod_of(self, pod or {}, container or {}),
            do_xcom_push=True,
            skip_on_exit_code=65,
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            **{"deferrable": False, **KUBERNETES, **kwargs},
        )

    def build_pod_request_obj(self, context=None, **kwargs):
        self.arguments = self.arguments_of()
        pod = super().build_pod_request_obj(context, **kwargs)
        main = pod.spec.containers[0]
        for container in pod.spec.containers:  # the sidecar, too
            container.security_context = main.security_context
        for variable in main.env:
            if variable.value:
                variable.value = variable.value.replace("$", "$$")
        return pod

    def arguments_of(self, **more):
        request = request_of(self, result="/airflow/xcom/return.json", **more)
        return ["-m", "levada", request.replace("$", "$$")]  # Kubernetes would expand `$(NAME)`

    def execute(self, context):
        try:
            return xcom_of(super().execute(context))
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error


class PodStep(PodCommand):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(**kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={"size": Param(2, type="integer")},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    measure = Step(
        task_id="measure",
        step="mixed:measure",
        code="sha256:c828bbcb355e",
        inputs={"size": "params.size"},
    )

    check = DockerStep(
        task_id="check",
        image="registry.example.com/small@sha256:aaaa",
        step="mixed:check",
        code="sha256:ddc9f298f9e1",
        inputs={"size": "measure"},
    )

    if_1 = DockerBranch(
        task_id="if_1",
        image="registry.example.com/small@sha256:aaaa",
        condition="check",
        then=["for_number"],
        otherwise=["report"],
    )

    for_number = Items(task_id="for_number", loops=["for number in range(measure)"])

    train = PodStep.partial(
        task_id="train",
        image="registry.example.com/large@sha256:bbbb",
        step="mixed:train",
        code="sha256:17d0aa7926ca",
        inputs={"size": "number"},
        loops=["for number in range(measure)"],
        map_index_template="{{ task.item.label }}",
        settings={"cache": False},
        container={"resources": {"limits": {"memory": "64Gi"}, "requests": {"memory": "64Gi"}}},
    ).expand(item=for_number.output)

    report = Step(
        task_id="report",
        step="mixed:report",
        code="sha256:3845332955ac",
        inputs={"text": 'f"{measure} is too small"'},
        settings={"cache": False},
    )

    # The pipeline's outputs.
    return_ = Outputs(task_id="return", trigger_rule="none_failed")

    measure >> check >> if_1 >> Label("true") >> for_number
    if_1 >> Label("false") >> report
    [train, report] >> return_
