"""in_bucket.

Made from tests/targets/airflow/cases/in_bucket.py:in_bucket by Levada 0.1.0.
Source: sha256:cffecf6c0130c29214747cc13fef37f3deaafef384287803d222dcd128ee0aa3
Change that file and compile it again, rather than this one.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount

try:  # Airflow 3
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.hooks.subprocess import SubprocessHook
    from airflow.models import BaseOperator
    from airflow.models.param import Param

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PIPELINE = "in_bucket"
# The project on the worker, and the Python that has what its steps need. Artifacts
# and records are kept at LEVADA_STORE, or else in the project; workers share it.
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "../..").resolve())
PYTHON = os.environ.get("LEVADA_PYTHON") or sys.executable
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]

# Where a container finds what it shares with all others.
STORE = "s3://team/levada"

# What all containers have.
DOCKER = {}
MOUNTS = []
# The worker's variables by which a container reaches the store.
STORE_VARIABLES = [
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_ALLOW_HTTP",
    "AWS_SKIP_SIGNATURE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
]

# What all pods have, as Kubernetes writes it.
KUBERNETES = {"startup_timeout_seconds": 600}
POD = {
    "automountServiceAccountToken": False,
    "securityContext": {
        "fsGroup": 65532,
        "runAsGroup": 65532,
        "runAsUser": 65532,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}
CONTAINER = {
    "env": [
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {"name": "AWS_ENDPOINT_URL", "value": "https://s3.example.com"},
        {
            "name": "AWS_ACCESS_KEY_ID",
            "valueFrom": {"secretKeyRef": {"key": "id", "name": "levada-s3"}},
        },
        {
            "name": "AWS_SECRET_ACCESS_KEY",
            "valueFrom": {"secretKeyRef": {"key": "key", "name": "levada-s3"}},
        },
    ],
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "volumeMounts": [{"mountPath": "/tmp", "name": "tmp"}],
}

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:cffecf6c0130c29214747cc13fef37f3deaafef384287803d222dcd128ee0aa3",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/in_bucket.py",
    "LEVADA_SECRETS": "TOKEN",
    "LEVADA_STORE": os.environ.get("LEVADA_STORE") or "s3://team/levada",
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
            private_environment={
                name: os.environ[name]
                for name in (*STORE_VARIABLES, *secrets)
                if name in os.environ
            },
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


class DockerProgram(DockerStep):
    """Runs a program of another image, between containers that stage and collect its files."""

    def __init__(
        self,
        container,
        settings,
        secrets=(),
        mounts=(),
        cpus=1.0,
        mem_limit=None,
        device_requests=None,
        **kwargs,
    ):
        super().__init__(settings=settings, **kwargs)
        self.levada["step"]["container"] = container
        self.secrets = secrets
        self.program = {
            "image": settings["image"],
            "entrypoint": container["command"],
            "command": container["args"],
            "environment": {"HOME": "/tmp", **settings.get("environment", {})},
            "_private_environment": {name: os.environ.get(name) for name in secrets},
            "mounts": list(mounts),
            "cpus": cpus,
            "mem_limit": mem_limit,
            "device_requests": device_requests,
            "skip_on_exit_code": [],
            "auto_remove": "never",  # how it ended is read from it
        }

    def execute(self, context):
        for name in self.secrets:
            if name not in os.environ:
                raise AirflowFailException(f"the secret {name} is not set in Airflow's environment")
        volume = self.cli.create_volume()["Name"]
        files = Mount("/levada", volume)
        self.mounts = [*self.mounts, files]
        self.environment["LEVADA_PROGRAM_FOLDER"] = "/levada"
        try:
            # A new volume is root's, and the containers need not be.
            opened = ["-c", "import os; os.chmod('/levada', 0o1777)"]
            self.run_container(context, user="0", command=opened)
            stage = self.command_of(stage=True, look_up=True)
            cached = self.run_container(context, command=stage)
            if cached is not None:
                return xcom_of(cached)
            self.run_program(context, [*self.program["mounts"], files])
            return super().execute(context)
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
        finally:
            self.cli.remove_volume(volume, force=True)

    def run_program(self, context, mounts):
        """Runs the program; if it fails, what collects its outputs records that."""
        self.container = None
        try:
            self.run_container(context, **{**self.program, "mounts": mounts})
        except Exception as error:
            self.environment["LEVADA_PROGRAM_ERROR"] = self.failure_of(error)
        finally:
            if self.container:
                self.cli.remove_container(self.container["Id"], force=True)

    def failure_of(self, error):
        """How the program failed, with the last lines that it printed."""
        if not hasattr(error, "logs"):
            return f"the image cannot run this: {error}"
        state = self.cli.inspect_container(self.container["Id"])["State"]
        said = f"the program ended with exit code {state['ExitCode']}"
        if state["OOMKilled"]:
            said = f"the program used more memory than its limit ({said})"
        # The value of a secret could be in these lines.
        lines = "" if self.secrets else "\n".join(error.logs or ())[-2048:]
        return f"{said}: {lines}" if lines else said

    def run_container(self, context, **changes):
        """Runs a container that differs from the operator's in this; gives its result."""
        before = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            return DockerOperator.execute(self, context)
        finally:
            vars(self).update(before)


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


class PodProgram(PodStep):
    """Runs a program of another image as the last init container of its pod.

    The one before it stages the program's files, the pod's container collects them. Where the
    cache has the outputs, staging ends the pod: nothing else keeps the program from running.
    """

    def __init__(self, container_step, **kwargs):
        super().__init__(**kwargs)
        self.deferrable = False  # a trigger takes a program that runs for a pod that does not start
        self.levada["step"]["container"] = container_step
        self.failure = self.cached = None

    def build_pod_request_obj(self, context=None, **kwargs):
        pod = super().build_pod_request_obj(context, **kwargs)
        main, stage = pod.spec.containers[0], pod.spec.init_containers[0]
        stage.image, stage.command, stage.env = main.image, main.command, main.env
        stage.args = self.arguments_of(stage=True, look_up=True, ends_pod=True)
        stage.security_context, stage.volume_mounts = main.security_context, main.volume_mounts
        return pod

    def execute(self, context):
        try:
            return super().execute(context)
        except AirflowException as error:
            if self.cached is not None:
                return xcom_of(self.cached)
            if self.failure is None:
                raise
            self.record_failure(context)
            raise AirflowException(self.failure) from error

    def await_pod_start(self, pod):
        """Waits for the program's end: until then a pod is starting, to Airflow."""
        waits_since, shown, phase = monotonic(), set(), "Pending"
        while phase == "Pending":
            status = self.pod_manager.read_pod(pod).status
            phase = status.phase
            for each in status.init_container_statuses or ():
                name, state = each.name, each.state
                if name not in shown and (state.running or state.terminated):
                    self.pod_manager.fetch_container_logs(pod, name, follow=True)
                    shown.add(name)
                    waits_since = monotonic()
                if state.terminated and state.terminated.exit_code:
                    self.end(name, state.terminated)
            if monotonic() - waits_since > self.startup_timeout_seconds:
                raise AirflowException("the pod does not start: see its events")
            sleep(1)
        super().await_pod_start(pod)

    def end(self, name, ended):
        """Ends with a container that runs before the pod's own and keeps that from starting."""
        code, said = f"exit code {ended.exit_code}", (ended.message or "").strip()
        if name == "stage" and ended.exit_code == 66:  # the message is the result
            self.log_events_on_failure = False
            self.cached = json.loads(said or "{}")
            raise AirflowException("the cache has the outputs: the program does not run")
        if name == "stage":  # which has written the record
            raise AirflowException(f"the program's inputs could not be staged: {code}")
        words = {
            "OOMKilled": f"the program used more memory than its limit ({code})",
            "StartError": "the image cannot run this",
            "ContainerCannotRun": "the image cannot run this",
        }.get(ended.reason, f"the program ended with {code}")
        self.failure = f"{words}: {said}" if said else words
        raise AirflowException(self.failure)

    def record_failure(self, context):
        """Runs a pod that writes the record: the container that does so has not started."""
        pod = self.build_pod_request_obj(context)
        main = pod.spec.containers[0]
        value = self.failure.replace("$", "$$")
        main.env = [*main.env, {"name": "LEVADA_PROGRAM_ERROR", "value": value}]
        pod.spec.init_containers, pod.spec.containers = [], [main]
        self.pod_manager.create_pod(pod)
        self.process_pod_deletion(self.pod_manager.await_pod_completion(pod))


class PodOutputs(PodCommand):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={"day": Param("2026-01-01", type="string")},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    load = Step(
        task_id="load",
        step="in_bucket:load",
        code="sha256:c2b91d846adb",
        inputs={"day": "params.day"},
    )

    count = DockerProgram(
        task_id="count",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_bucket:count",
        code="sha256:7342021185ab",
        inputs={"rows": "load"},
        settings={
            "secrets": {"TOKEN": "scores/token"},
            "image": "registry.example.com/tools/count:1.2",
        },
        secrets=["TOKEN"],
        container={"command": None, "args": None, "outputs": {"lines": "int"}},
    )

    train = DockerStep(
        task_id="train",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_bucket:train",
        code="sha256:e8ecbec9c331",
        inputs={"lines": "count"},
        settings={"secrets": {"TOKEN": "churn/token"}},
        secrets=["TOKEN"],
    )

    score = PodProgram(
        task_id="score",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_bucket:score",
        code="sha256:e242a8a596ce",
        inputs={"lines": "count"},
        settings={"image": "registry.example.com/tools/score:1"},
        pod={
            "initContainers": [
                {"name": "stage"},
                {
                    "name": "program",
                    "image": "registry.example.com/tools/score:1",
                    "env": [{"name": "HOME", "value": "/tmp"}],
                    "resources": {},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "volumeMounts": [
                        {"mountPath": "/tmp", "name": "tmp"},
                        {"mountPath": "/levada", "name": "levada"},
                    ],
                },
            ],
            "volumes": [{"name": "levada", "emptyDir": {}}],
        },
        container={
            "env": [
                {"name": "AWS_REGION", "value": "eu-central-1"},
                {"name": "AWS_ENDPOINT_URL", "value": "https://s3.example.com"},
                {
                    "name": "AWS_ACCESS_KEY_ID",
                    "valueFrom": {"secretKeyRef": {"key": "id", "name": "levada-s3"}},
                },
                {
                    "name": "AWS_SECRET_ACCESS_KEY",
                    "valueFrom": {"secretKeyRef": {"key": "key", "name": "levada-s3"}},
                },
                {"name": "LEVADA_PROGRAM_FOLDER", "value": "/levada"},
            ],
            "volumeMounts": [{"mountPath": "/levada", "name": "levada"}],
        },
        container_step={"command": None, "args": None, "outputs": {"best": "float"}},
    )

    deploy = PodStep(
        task_id="deploy",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_bucket:deploy",
        code="sha256:d32c268ff737",
        inputs={"model": "train", "best": "score"},
        settings={"secrets": {"TOKEN": "churn/token"}},
        container={
            "env": [
                {"name": "AWS_REGION", "value": "eu-central-1"},
                {"name": "AWS_ENDPOINT_URL", "value": "https://s3.example.com"},
                {
                    "name": "AWS_ACCESS_KEY_ID",
                    "valueFrom": {"secretKeyRef": {"key": "id", "name": "levada-s3"}},
                },
                {
                    "name": "AWS_SECRET_ACCESS_KEY",
                    "valueFrom": {"secretKeyRef": {"key": "key", "name": "levada-s3"}},
                },
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"key": "token", "name": "churn"}}},
            ],
        },
    )

    # The pipeline's outputs.
    return_ = PodOutputs(
        task_id="return",
        image="registry.example.com/churn/small@sha256:cccc",
        outputs={"0": "deploy"},
    )

    load >> count >> [train, score] >> deploy >> return_
