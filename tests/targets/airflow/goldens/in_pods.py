"""in_pods.

Made from tests/targets/airflow/cases/in_pods.py:in_pods by Levada 0.1.0.
Source: sha256:ce52a68f4638876f60eb58f1d54f39fb9f7b9855820692a255754ddeea689d85
Change that file and compile it again, rather than this one.
"""

import json
from datetime import timedelta
from textwrap import shorten

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

try:  # Airflow 3
    from airflow.providers.standard.operators.branch import BranchMixIn
    from airflow.sdk import DAG, Label
    from airflow.sdk.definitions.param import Param
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.models.param import Param
    from airflow.operators.branch import BranchMixIn
    from airflow.utils.edgemodifier import Label

try:  # Airflow 3.2
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PIPELINE = "in_pods"
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]

# Where a container finds what it shares with all others.
STORE = "/store"

# What all pods have, as Kubernetes writes it.
KUBERNETES = {"namespace": "ml", "labels": {"team": "growth"}, "startup_timeout_seconds": 600}
POD = {
    "automountServiceAccountToken": False,
    "securityContext": {
        "fsGroup": 65532,
        "runAsGroup": 65532,
        "runAsUser": 65532,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "imagePullSecrets": [{"name": "registry"}],
    "volumes": [
        {"name": "tmp", "emptyDir": {}},
        {"name": "claim-levada-store", "persistentVolumeClaim": {"claimName": "levada-store"}},
    ],
    "serviceAccountName": "steps",
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
    "LEVADA_SOURCE": "sha256:ce52a68f4638876f60eb58f1d54f39fb9f7b9855820692a255754ddeea689d85",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/in_pods.py",
    "LEVADA_SECRETS": "KEY,TOKEN",
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
        return self.outcome(super().execute, context)

    def trigger_reentry(self, context, event):  # where a deferred task goes on
        return self.outcome(super().trigger_reentry, context, event)

    def outcome(self, run, *arguments):
        try:
            result = run(*arguments)
        except AirflowSkipException as error:  # it would fail again
            raise AirflowFailException("a permanent error: see the log above") from error
        # After a deferral the pod may be gone; what it gave is in the store all the same.
        return None if result is None and self.deferrable else xcom_of(result)


class PodStep(PodCommand):
    """Calls a step's function with its inputs, each an expression over what there is so far."""

    def __init__(self, step, code, inputs=None, outputs=(), settings=None, **kwargs):
        super().__init__(deferrable=True, **kwargs)
        module, function = step.split(":")
        step = {"module": module, "function": function, "code": code}  # another is a warning
        step |= {"outputs": outputs, "settings": settings}
        self.levada = {"do": "step", "step": step, "sources": inputs}


class PodItems(PodCommand):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, loops, fail_items=False, **kwargs):
        name = shorten(" ".join(loops), 60, placeholder="…")
        super().__init__(task_display_name=name, loops=loops, **kwargs)
        self.levada = {"do": "items", "fail_items": fail_items}


class PodBranch(PodCommand, BranchMixIn):
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
    params={"path": Param("a $(HOME) {{ ti }}", type="string")},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    load = PodStep(
        task_id="load",
        image="registry.example.com/churn/load@sha256:aaaa",
        step="in_pods:load",
        code="sha256:424a50eb6fd7",
        inputs={"path": "params.path"},
        settings={"secrets": {"KEY": "key", "TOKEN": "churn/token"}},
        pod={"volumes": [{"name": "claim-data", "persistentVolumeClaim": {"claimName": "data"}}]},
        container={
            "env": [
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"key": "key", "name": "churn"}}},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"key": "token", "name": "churn"}}},
            ],
            "volumeMounts": [{"mountPath": "/data", "name": "claim-data", "readOnly": True}],
        },
        doc_md="Read what there is.",
    )

    for_depth = PodItems(
        task_id="for_depth",
        image="registry.example.com/churn/load@sha256:aaaa",
        loops=["for depth in load"],
    )

    train = PodStep.partial(
        task_id="train",
        image="registry.example.com/churn/train@sha256:bbbb",
        step="in_pods:train",
        code="sha256:0bb621f9be07",
        inputs={"depth": "depth", "path": "params.path"},
        loops=["for depth in load"],
        map_index_template="{{ task.item.label }}",
        settings={"timeout": 7200},
        execution_timeout=timedelta(hours=2, minutes=1),
        pod={
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule", "key": "gpu"}],
        },
        container={
            "resources": {
                "limits": {"cpu": "1500m", "memory": "4Gi", "nvidia.com/gpu": "1"},
                "requests": {"cpu": "1500m", "memory": "4Gi", "nvidia.com/gpu": "1"},
            },
        },
    ).expand(item=for_depth.output)

    # Runs after skipped tasks, too.
    pick = PodStep(
        task_id="pick",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_pods:pick",
        code="sha256:a9fed8d7c597",
        inputs={"scores": "[train[depth] for depth in load]"},
        trigger_rule="none_failed",
    )

    if_1 = PodBranch(
        task_id="if_1",
        image="registry.example.com/churn/small@sha256:cccc",
        condition="pick > 1.0",
        then=["deploy"],
    )

    deploy = PodStep(
        task_id="deploy",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_pods:deploy",
        code="sha256:5b85f8b4b56f",
        inputs={"score": "pick"},
        settings={"cache": False},
    )

    # The pipeline's outputs.
    return_ = PodOutputs(
        task_id="return",
        image="registry.example.com/churn/small@sha256:cccc",
        outputs={"best": "pick"},
        trigger_rule="none_failed",
    )

    load >> for_depth
    train >> pick >> if_1 >> Label("true") >> deploy >> return_
