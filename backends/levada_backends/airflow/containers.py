"""Containers and pods: what a task of a step is given, and what all of them share."""

from __future__ import annotations

from levada.programs import FOLDER, RAN_IN
from levada.stores import variables as store_variables

from ..pods import container as pods
from ..pods import quantity
from .options import ASSIGNED, DOCKER, KUBERNETES, UID
from .source_text import ListText, Text, call, literal, statement, strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from typing import Any

    from levada_compiler.program.ir import Container

    from .options import Options

_UNITS = (("g", 1024**3), ("m", 1024**2), ("k", 1024))


def arguments(
    executor: str | None,
    own: Mapping[str, Any],
    options: Options,
    program: Container | None = None,
) -> dict[str, Text]:
    """The arguments of a step's task that say what it runs in."""
    if executor == DOCKER:
        return _docker_arguments(own)
    return _pod_arguments(own, options) if program is None else _around(own, options, program)


def constants(executors: Collection[str], options: Options) -> list[str]:
    """The lines of what all tasks share, each group after an empty line."""
    lines: list[str] = []
    if options.store:
        lines += ["", "# Where a container finds what it shares with all others."]
        lines += statement("STORE = ", literal(options.store), "", 0)
    if DOCKER in executors:
        lines += ["", "# What all containers have."]
        lines += statement("DOCKER = ", literal(_docker(options)), "", 0)
        lines += statement("MOUNTS = ", _mounts(options.volumes), "", 0)
        if names := worker_variables(options):
            lines += ["# The worker's variables by which a container reaches the store."]
            lines += statement("STORE_VARIABLES = ", strings(names), "", 0)
    if KUBERNETES in executors:
        lines += ["", "# What all pods have, as Kubernetes writes it."]
        lines += statement("KUBERNETES = ", literal(_kubernetes(options)), "", 0)
        lines += statement("POD = ", literal(_pod(options)), "", 0)
        lines += statement("CONTAINER = ", literal(_container(options)), "", 0)
    return lines


# ---------------------------------------------------------------------------- Docker


def worker_variables(options: Options) -> tuple[str, ...]:
    """Return the variables of a worker that its containers get; none if the store is no bucket."""
    return store_variables.of(options.store or "")


def _docker_arguments(own: Mapping[str, Any]) -> dict[str, Text]:
    wanted = own.get("resources") or {}
    found: dict[str, Text] = {}
    if wanted.get("cpu"):
        found["cpus"] = literal(float(quantity.parse(wanted["cpu"]).value))
    if wanted.get("memory"):
        found["mem_limit"] = literal(memory(wanted["memory"]))
    if wanted.get("gpu"):
        capabilities = ListText((strings(["gpu"]),))
        request = call("DeviceRequest", count=literal(wanted["gpu"]), capabilities=capabilities)
        found["device_requests"] = ListText((request,))
    if own.get("secrets"):
        found["secrets"] = strings(own["secrets"])
    if own.get("volumes"):
        found["mounts"] = _mounts(own["volumes"])
    return found


def memory(value: float | str) -> str:
    """Bytes as Docker writes them: ``4g``."""
    size = int(quantity.parse(value).value)
    for unit, factor in _UNITS:
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}b"


def _docker(options: Options) -> dict[str, Any]:
    found = {
        "docker_url": options.docker_url,
        "docker_conn_id": options.docker_conn_id,
        "network_mode": options.network_mode,
        "user": None if options.user in (None, ASSIGNED) else str(options.user),
    }
    return {name: value for name, value in found.items() if value is not None}


def _mounts(volumes: Iterable[Mapping[str, Any]]) -> ListText:
    return ListText(tuple(_mount(volume) for volume in volumes))


def _mount(volume: Mapping[str, Any]) -> Text:
    is_folder = volume["claim"].startswith("/")
    found = call(
        "Mount",
        target=literal(volume["path"]),
        source=literal(volume["claim"]),
        type=literal("bind" if is_folder else "volume"),
    )
    if volume.get("read_only"):
        return call(found.function, **dict(found.keywords), read_only="True")
    return found


# ---------------------------------------------------------------------------- Kubernetes


def _pod_arguments(own: Mapping[str, Any], options: Options) -> dict[str, Text]:
    pod = pods.placement(own)
    container: dict[str, Any] = {}
    if wanted := pods.resources(own.get("resources") or {}):
        container["resources"] = wanted
    if own.get("secrets"):
        secrets = pods.secret_variables(own["secrets"], options.secret)
        container["env"] = [*_store_variables(options), *secrets]
    volumes = pods.Volumes()
    volumes.add(own.get("volumes") or ())
    if volumes.mounts:
        container["volumeMounts"] = volumes.mounts
        shared = _pod(options)["volumes"]
        if added := [volume for volume in volumes.volumes if volume not in shared]:
            pod["volumes"] = added
    found = {"pod": literal(pod)} if pod else {}
    return found | ({"container": literal(container)} if container else {})


def _around(own: Mapping[str, Any], options: Options, program: Container) -> dict[str, Text]:
    """The pod of a program: what stages comes first, what collects is its container."""
    volumes = pods.Volumes()
    volumes.add_temporary()
    volumes.add_empty("levada", FOLDER)
    volumes.add(own.get("volumes") or ())
    shared = _pod(options)["volumes"]
    variables = {"HOME": pods.TEMPORARY, **(own.get("environment") or {})}
    words = {"command": program.command, "args": program.args}
    runs = {
        "name": "program",
        "image": own["image"],
        **{name: [*map(pods.literal, each)] for name, each in words.items() if each},
        "env": [
            *pods.variables(variables),
            *pods.secret_variables(own.get("secrets") or {}, options.secret),
        ],
        "resources": pods.resources(own.get("resources") or {}),
        "securityContext": pods.program_security(),
        "terminationMessagePolicy": pods.program_message(own),
        "volumeMounts": volumes.mounts,
    }
    pod = pods.placement(own) | {
        "initContainers": [{"name": "stage"}, runs],
        "volumes": [volume for volume in volumes.volumes if volume not in shared],
    }
    container = {
        "env": [*_store_variables(options), *pods.variables({RAN_IN: FOLDER})],
        "volumeMounts": [mount for mount in volumes.mounts if mount["name"] == "levada"],
    }
    return {"pod": literal(pod), "container": literal(container)}


def _kubernetes(options: Options) -> dict[str, Any]:
    found = {
        "kubernetes_conn_id": options.kubernetes_conn_id,
        "cluster_context": options.cluster_context,
        "namespace": options.namespace,
        "labels": options.labels or None,
        "annotations": options.annotations or None,
        "startup_timeout_seconds": options.startup_timeout_seconds,
    }
    return {name: value for name, value in found.items() if value is not None}


def _pod(options: Options) -> dict[str, Any]:
    user = UID if options.user is None else options.user
    found: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": pods.pod_security(user if isinstance(user, int) else None),
        **pods.pull_secrets(options.image_pull_secrets),
        **pods.placement(
            {"node_selector": options.node_selector, "tolerations": options.tolerations}
        ),
        "volumes": _volumes(options).volumes,
    }
    if options.service_account_name:
        found["serviceAccountName"] = options.service_account_name
    if options.priority_class_name:
        found["priorityClassName"] = options.priority_class_name
    return found


def _container(options: Options) -> dict[str, Any]:
    mounts = _volumes(options).mounts
    environment = _store_variables(options)
    return {
        **({"env": environment} if environment else {}),
        "securityContext": pods.container_security(),
        "volumeMounts": mounts,
    }


def _store_variables(options: Options) -> list[dict[str, Any]]:
    """The variables by which pods reach the store, beside its URL."""
    plain = pods.variables(options.store_environment)
    return [*plain, *pods.secret_variables(options.store_secrets)]


def _volumes(options: Options) -> pods.Volumes:
    volumes = pods.Volumes()
    volumes.add_temporary()
    volumes.add(options.volumes)
    return volumes
