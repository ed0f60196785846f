"""in_docker.

Made from tests/targets/airflow/cases/in_docker.py:in_docker by Levada 0.1.0.
Source: sha256:cbed97cb3cbb924b6156d114ee7502fc4728fc3cfd643147f19be4cff898e811
Change that file and compile it again, rather than this one.
"""

import json
import os
from datetime import timedelta
from textwrap import shorten

import pendulum
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import DeviceRequest, Mount

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

PIPELINE = "in_docker"
# Where steps are imported from, within the project.
SOURCES = ["tests/targets/airflow/cases", "."]

# Where a container finds what it shares with all others.
STORE = "/store"

# What all containers have.
DOCKER = {"docker_url": "tcp://docker:2376", "network_mode": "none"}
MOUNTS = [Mount(target="/store", source="/srv/levada", type="bind")]

# What every command is told. Airflow fills in the {{ }} when the task starts.
ENVIRONMENT = {
    "LEVADA_RUN_ID": "{{ run_id }}",
    "LEVADA_TRY": "{{ ti.try_number }}",
    "LEVADA_TRIES": "{{ ti.max_tries + 1 }}",
    "LEVADA_PARAMS": "{{ macros.json.dumps(dict(params)) }}",
    "LEVADA_SOURCE": "sha256:cbed97cb3cbb924b6156d114ee7502fc4728fc3cfd643147f19be4cff898e811",
    "LEVADA_PIPELINE_FILE": "tests/targets/airflow/cases/in_docker.py",
    "LEVADA_SECRETS": "TOKEN",
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


class DockerItems(DockerCommand):
    """Lists what the mapped tasks below it run for: `{"index": "0", "label": "d=4"}` each.

    With `fail_items`, an error in an expression is the failure of that item alone.
    """

    def __init__(self, loops, fail_items=False, **kwargs):
        name = shorten(" ".join(loops), 60, placeholder="…")
        super().__init__(task_display_name=name, loops=loops, **kwargs)
        self.levada = {"do": "items", "fail_items": fail_items}


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


class DockerOutputs(DockerCommand):
    """Records what the pipeline returns, and that the run has succeeded."""

    def __init__(self, outputs=None, returns="value", **kwargs):
        super().__init__(**kwargs)
        self.levada = {"do": "outputs", "outputs": outputs, "returns": returns}


with DAG(
    dag_id=PIPELINE,
    schedule=None,
    start_date=pendulum.parse("2024-01-01"),
    catchup=False,
    params={"path": Param("a", type="string")},
    default_args={"retries": 0},
    doc_md=__doc__,
) as dag:
    load = DockerStep(
        task_id="load",
        image="registry.example.com/churn/load@sha256:aaaa",
        step="in_docker:load",
        code="sha256:424a50eb6fd7",
        inputs={"path": "params.path"},
        settings={"secrets": {"TOKEN": "churn/token"}},
        secrets=["TOKEN"],
        mounts=[
            Mount(target="/data", source="/srv/data", type="bind", read_only=True),
            Mount(target="/scratch", source="scratch", type="volume"),
        ],
        doc_md="Read what there is.",
    )

    for_depth = DockerItems(
        task_id="for_depth",
        image="registry.example.com/churn/load@sha256:aaaa",
        loops=["for depth in load"],
    )

    train = DockerStep.partial(
        task_id="train",
        image="registry.example.com/churn/train@sha256:bbbb",
        step="in_docker:train",
        code="sha256:bc95209d1522",
        inputs={"depth": "depth"},
        loops=["for depth in load"],
        map_index_template="{{ task.item.label }}",
        settings={"timeout": 7200},
        execution_timeout=timedelta(hours=2, minutes=1),
        cpus=1.5,
        mem_limit="4g",
        device_requests=[DeviceRequest(count=1, capabilities=[["gpu"]])],
    ).expand(item=for_depth.output)

    # Runs after skipped tasks, too.
    pick = DockerStep(
        task_id="pick",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_docker:pick",
        code="sha256:a9fed8d7c597",
        inputs={"scores": "[train[depth] for depth in load]"},
        trigger_rule="none_failed",
    )

    if_1 = DockerBranch(
        task_id="if_1",
        image="registry.example.com/churn/small@sha256:cccc",
        condition="pick > 1.0",
        then=["deploy"],
    )

    deploy = DockerStep(
        task_id="deploy",
        image="registry.example.com/churn/small@sha256:cccc",
        step="in_docker:deploy",
        code="sha256:5b85f8b4b56f",
        inputs={"score": "pick"},
        settings={"cache": False},
    )

    # The pipeline's outputs.
    return_ = DockerOutputs(
        task_id="return",
        image="registry.example.com/churn/small@sha256:cccc",
        outputs={"best": "pick"},
        trigger_rule="none_failed",
    )

    load >> for_depth
    train >> pick >> if_1 >> Label("true") >> deploy >> return_
