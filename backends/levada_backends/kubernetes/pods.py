"""The pods of the driver and of the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from levada import programs
from levada.driver.jobs import QUEUE
from levada.driver.pods import PROGRAM
from levada.programs import FOLDER

from ..pods import container, names, store
from .options import PLAN_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .options import Options

#: Names of labels and annotations, shared with ``levada.driver.jobs``.
PIPELINE = "levada.dev/pipeline"
ROLE = "levada.dev/role"
#: The exit code of a driver whose run did not succeed: it is not to be started again.
NOT_SUCCEEDED = 3
#: Seconds that a step has beyond its timeout to start and to write its record.
GRACE = 60
_DRIVER_RESOURCES = {"cpu": "100m", "memory": "256Mi"}


@dataclass(frozen=True, slots=True)
class Program:
    """What a container step runs: its part of the plan, and the image with Levada around it."""

    part: Mapping[str, Any]
    levada_image: str


def labels(pipeline: str, role: str) -> dict[str, str]:
    """The labels of an object."""
    return {
        "app.kubernetes.io/managed-by": "levada",
        PIPELINE: names.label_value(pipeline),
        ROLE: role,
    }


def pod_metadata(pipeline: str, role: str, options: Options) -> dict[str, Any]:
    """Labels and annotations of a pod: the project's, and those by which Levada knows it."""
    content = {"annotations": dict(options.annotations)} if options.annotations else {}
    return content | {"labels": {**options.labels, **labels(pipeline, role)}}


def pull_policy(image: str) -> str:
    """What Kubernetes takes where nothing is said."""
    name, at, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if not at and tag in ("", "latest") else "IfNotPresent"


def step_job(
    pipeline: str,
    settings: Mapping[str, Any],
    options: Options,
    program: Program | None = None,
) -> dict[str, Any]:
    """The Job of an attempt, but for what the driver knows: its name, its run and its command.

    ``program`` is what a container step runs.
    """
    own = labels(pipeline, "step")
    queue = settings.get("queue") or options.queue
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": own | ({QUEUE: queue} if queue else {})},
        "spec": {
            # An attempt is a Job: the driver counts attempts and waits between them.
            "backoffLimit": 0,
            "completionMode": "NonIndexed",
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {"rules": [_ignoring_disruptions()]},
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": pod_metadata(pipeline, "step", options),
                "spec": _step_pod(pipeline, settings, options, program),
            },
        },
    }


def _ignoring_disruptions() -> dict[str, Any]:
    """A pod that was evicted or drained is replaced: that is no failure of the step."""
    condition = {"status": "True", "type": "DisruptionTarget"}
    return {"action": "Ignore", "onPodConditions": [condition]}


def _step_pod(
    pipeline: str, settings: Mapping[str, Any], options: Options, program: Program | None
) -> dict[str, Any]:
    volumes = _volumes(options)
    if program is None:
        volumes.add(settings.get("volumes") or ())
        step, before = _function(settings, options, volumes), []
    else:
        volumes.add_empty("levada", FOLDER)
        step, *before = _around_program(program, options, volumes)
        before.append(_program(settings, options, program, volumes))
    deadline = {}
    if settings.get("timeout") is not None:
        # From when the node has the pod: the time to fetch the image counts.
        seconds = settings["timeout"] + options.stuck_after + GRACE
        deadline["activeDeadlineSeconds"] = min(math.ceil(seconds), 2**31 - 1)
    return {
        **deadline,
        **_pod(options, volumes, step, _priority_class(settings, options), before),
        **container.placement(settings),
        "automountServiceAccountToken": False,
        "serviceAccountName": account(pipeline, "step"),
    }


def _function(
    settings: Mapping[str, Any], options: Options, volumes: container.Volumes
) -> dict[str, Any]:
    """The container of a step that is a function."""
    image = str(settings.get("image") or options.image)
    secrets = container.secret_variables(settings.get("secrets") or {}, options.secret)
    variables = {"HOME": container.TEMPORARY, "LEVADA_IMAGE": image}
    return {
        **_container("step", image, volumes),
        "env": [*_store_variables(options), *container.variables(variables), *secrets],
        "resources": container.resources(settings.get("resources") or {}),
    }


def _around_program(
    program: Program, options: Options, volumes: container.Volumes
) -> tuple[dict[str, Any], ...]:
    """What collects the outputs of a program, and what hands it its inputs before."""
    found = []
    for name in ("step", "stage"):
        variables = {"HOME": container.TEMPORARY, "LEVADA_IMAGE": program.levada_image}
        variables |= {programs.RAN_IN: FOLDER} if name == "step" else {}
        made = {
            **_container(name, program.levada_image, volumes),
            "env": [*_store_variables(options), *container.variables(variables)],
            "resources": container.resources(_DRIVER_RESOURCES),
        }
        found.append(dict(sorted(made.items())))
    return tuple(found)


def _program(
    settings: Mapping[str, Any], options: Options, program: Program, volumes: container.Volumes
) -> dict[str, Any]:
    """The program itself: it does not see the store, and may write to its own files."""
    own = container.Volumes()
    own.add_temporary()
    own.add_empty("levada", FOLDER)
    own.add(settings.get("volumes") or ())
    volumes.volumes += [each for each in own.volumes if each not in volumes.volumes]
    secrets = container.secret_variables(settings.get("secrets") or {}, options.secret)
    variables = {"HOME": container.TEMPORARY, **(settings.get("environment") or {})}
    words = {"command": program.part["command"], "args": program.part["args"]}
    made = {
        **_container(PROGRAM, str(settings["image"]), own),
        **{name: [*map(container.literal, each)] for name, each in words.items() if each},
        "env": [*container.variables(variables), *secrets],
        "resources": container.resources(settings.get("resources") or {}),
        "securityContext": container.program_security(),
        "terminationMessagePolicy": container.program_message(settings),
    }
    return dict(sorted(made.items()))


def driver_pod(pipeline: str, image: str, plan: str, options: Options) -> dict[str, Any]:
    """The pod of the driver; ``plan`` is the name of the ConfigMap."""
    volumes = _volumes(options)
    # A run that has begun has its plan in the store: it goes on when this is gone.
    volumes.volumes.append({"configMap": {"name": plan, "optional": True}, "name": "plan"})
    volumes.mounts.append({"mountPath": PLAN_FOLDER, "name": "plan", "readOnly": True})
    variables = {"HOME": container.TEMPORARY, "LEVADA_PIPELINE": pipeline}
    if options.environment:
        variables["LEVADA_ENVIRONMENT"] = options.environment
    downward = {
        "LEVADA_JOB": "metadata.labels['batch.kubernetes.io/job-name']",
        "LEVADA_NAMESPACE": "metadata.namespace",
    }
    driver = {
        **_container("driver", image, volumes),
        "command": ["python", "-m", "levada.driver", PLAN_FOLDER],
        "env": [
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                for name, path in downward.items()
            ),
            *_store_variables(options),
            *container.variables(variables),
        ],
        "resources": container.resources(_DRIVER_RESOURCES),
    }
    return {
        **_pod(options, volumes, driver, options.priority_class),
        "serviceAccountName": account(pipeline, "driver"),
    }


def account(pipeline: str, role: str) -> str:
    """The name of a service account."""
    return f"{names.label(pipeline, 52)}-{role}"


def _volumes(options: Options) -> container.Volumes:
    volumes = container.Volumes()
    volumes.add_temporary()
    if options.claim:
        volumes.add_claim(options.claim, options.store_url)
    return volumes


def _store_variables(options: Options) -> list[dict[str, Any]]:
    return store.variables(options.store_url, options.store_environment, options.store_secrets)


def _container(name: str, image: str, volumes: container.Volumes) -> dict[str, Any]:
    return {
        "image": image,
        "imagePullPolicy": pull_policy(image),
        "name": name,
        "securityContext": container.container_security(),
        "terminationMessagePolicy": "File",
        "volumeMounts": volumes.mounts,
    }


def _pod(
    options: Options,
    volumes: container.Volumes,
    only: dict[str, Any],
    priority: str | None,
    before: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "containers": [dict(sorted(only.items()))],
        "enableServiceLinks": False,
        **container.pull_secrets(options.image_pull_secrets),
        **({"initContainers": list(before)} if before else {}),
        **({"priorityClassName": priority} if priority else {}),
        "restartPolicy": "Never",
        "securityContext": container.pod_security(options.user),
        "volumes": volumes.volumes,
    }


def _priority_class(settings: Mapping[str, Any], options: Options) -> str | None:
    priority = settings.get("priority")
    own = options.priority_classes.get(str(priority)) if priority is not None else None
    return own or options.priority_class
