"""What the Airflow target can do, as data."""

from __future__ import annotations

from levada_compiler.target import Capabilities, Capability, Option

_CONSTRUCTS = {
    "step call": "a task, its result as XCom; after a failure, tasks that do not need it still run",
    "named outputs": "kept in the store; the XCom shows them",
    "parameters": "`params` with types, defaults and descriptions",
    "expressions": "evaluated by the step command exactly as Python would",
    "branch": "a task decides and skips the other side; in a fan-out, each side has its list",
    "constant loop": "unrolled: one task an item",
    "fan-out": "dynamic task mapping over a list that a task makes, which may be empty; a step "
    "waits for all items of the step before it",
    "nested fan-out": "flattened: one mapped task over all combinations",
    "try/finally": "a task waits for the end of the body, however it ended",
    "try/except": "a task looks at how the body ended; in a fan-out, for each item by itself",
    "sub-pipeline": "a TaskGroup",
    "after": "an edge",
    "options": "the arguments of that task",
    "pipeline outputs": "a last task named `return` records them",
}
_BY_THE_STEP = "given to the step command"
_IN_PODS = "of a pod; no effect in a process or a Docker container, a warning"
_SETTINGS = {
    "requirements": (True, "part of the cache key; the worker's Python must have them"),
    "resources": (True, "of a container (Docker: `cpu` is a share, `disk` has no effect) or pod"),
    "retry": (
        True,
        "retries, with delay and backoff; none after a permanent error",
    ),
    "timeout": (True, "kept by the step command; execution_timeout a minute later"),
    "cache": (True, _BY_THE_STEP),
    "environment": (True, _BY_THE_STEP),
    "secrets": (True, "environment variables of the worker; in a pod, keys of Secrets"),
    "files": (True, "of the project on the worker, or in the image"),
    "volumes": (True, "mounts of a container, claims of a pod; an error for a process"),
    "node_selector": (True, _IN_PODS),
    "tolerations": (True, _IN_PODS),
    "pool": (True, "pool; Airflow never starts the tasks of one that does not exist"),
    "queue": (True, "queue"),
    "image": (True, "of a container or pod; levada.lock has it where `levada build` made it"),
    "executor": (True, "`process`, `docker` or `kubernetes`"),
    "priority": (True, "priority_weight"),
    "allow_pickle": (True, _BY_THE_STEP),
    "on_failure": (True, "on_failure_callback, imported by Airflow's Python when it is called"),
    "sla": (True, "of a pipeline a DeadlineAlert from 3.2 on; `sla` of its tasks in 2.11"),
    "on_sla_miss": (True, "called by the DeadlineAlert, or as sla_miss_callback in 2.11"),
    "produces": (True, "outlets; the asset's event has the digest and the metrics of the step"),
    "consumes": (True, "inlets"),
    "triggered_by": (True, "the assets that schedule the DAG, all of them updated"),
    "schedule": (True, "schedule"),
    "timezone": (True, "the time zone of start_date, which the schedule follows"),
    "start_date": (True, "start_date; 2024-01-01 where there is none"),
    "catchup": (True, "catchup, with a start_date"),
    "max_active_runs": (True, "max_active_runs"),
    "max_parallel": (True, "max_active_tasks"),
    "owner": (True, "owner of every task"),
    "tags": (True, "tags"),
}

_PODS = "of every pod"
_OPTIONS = {
    "executor": "`process`, `docker` or `kubernetes`, where a step says nothing; `process`",
    "decisions": "the executor of conditions, lists and outputs; as the step that they look at",
    "image": "of steps that have none",
    "store": "the store as containers reach it: a URL, or a folder in one of the volumes",
    "volumes": 'of all containers, such as [{claim = "levada-store", path = "/store"}]',
    "user": "the uid of containers, or `assigned`; 65532 in pods, the image's in Docker",
    "docker_url": "of DockerOperator; DOCKER_HOST of the worker",
    "docker_conn_id": "of DockerOperator, for a registry that wants a login",
    "network_mode": "of DockerOperator",
    "kubernetes_conn_id": "of KubernetesPodOperator; `kubernetes_default`",
    "cluster_context": "of KubernetesPodOperator",
    "namespace": "of pods; the worker's own",
    "service_account_name": _PODS,
    "image_pull_secrets": "names of the Secrets that images are pulled with",
    "secret": "the Secret of references that name only a key",
    "node_selector": f"{_PODS} whose step has none",
    "tolerations": f"{_PODS} whose step has none",
    "labels": _PODS,
    "annotations": _PODS,
    "priority_class_name": _PODS,
    "startup_timeout_seconds": "how long a pod may take to start; 600",
    "deferrable": "whether steps in pods wait in the triggerer; false",
    "url": "the address of Airflow",
    "username": "who we are there, with `password_env`",
    "password_env": "the environment variable with the password",
    "token_env": "the environment variable with a token: instead of a password",
    "ca_file": "the certificate authority of the address, where the system does not know it",
    "dags_folder": "where `levada deploy` puts the file",
    "airflow": "2 or 3: the only version that the file is for; it serves both",
    "record_url": "the address of a step's record, with {pipeline}, {run_id}, {step}, {item}, "
    "{attempt} and {path}; that in a `store` at http(s)://",
    "plugins_folder": "where `levada deploy` puts the plugin by which Airflow 2 shows that link",
}

CAPABILITIES = Capabilities(
    constructs=tuple(Capability(name, True, note) for name, note in _CONSTRUCTS.items()),
    settings=tuple(Capability(name, can, note) for name, (can, note) in _SETTINGS.items()),
    options=tuple(Option(name, note) for name, note in _OPTIONS.items()),
)
