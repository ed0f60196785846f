"""What the Kubernetes target can do, as data."""

from __future__ import annotations

from levada_compiler.target import Capabilities, ignores, supports

from .options import Options

_CONSTRUCTS = {
    "step call": "a Job for each attempt",
    "named outputs": "kept in the store",
    "parameters": "variables `P_<name>` of the driver, or JSON in LEVADA_PARAMS",
    "expressions": "evaluated by the driver exactly as Python would",
    "branch": "decided by the driver",
    "fan-out": "a Job for each item, or Indexed Jobs; at most `max_parallel` items at a time",
    "nested fan-out": "a Job for each item, or Indexed Jobs",
    "try/finally": "run by the driver, also when the run is cancelled or out of time",
    "try/except": "decided by the driver",
    "sub-pipeline": "inlined, with its name in the Jobs'",
    "after": "kept by the driver",
    "options": "the Job of that call",
    "raise": "raised by the driver",
    "pipeline outputs": "in the run's outcome in the store",
}
_BY_THE_STEP = "given to the step"
_SETTINGS = {
    "requirements": "what `levada build` puts into the image",
    "resources": "requests and limits of the container",
    "retry": "a Job for each attempt, made by the driver after the delay",
    "timeout": "kept by the step's process; activeDeadlineSeconds of the pod beyond that",
    "cache": "looked up in the step's pod, and by the driver for an image it knows",
    "environment": _BY_THE_STEP,
    "secrets": "secretKeyRef; the driver cannot read them",
    "files": "in the image",
    "volumes": "PersistentVolumeClaims",
    "node_selector": "nodeSelector",
    "tolerations": "tolerations",
    "queue": "the label of a Kueue LocalQueue",
    "image": "image; `levada build` and levada.lock give it",
    "executor": "`kubernetes` only",
    "priority": "priorityClassName, by the option `priority_classes`",
    "allow_pickle": _BY_THE_STEP,
    "allow_secret_output": _BY_THE_STEP,
    "check_types": _BY_THE_STEP,
    "schedule": "schedule; the CronJob is suspended without one",
    "timezone": "timeZone; Etc/UTC where none is given",
    "max_active_runs": "concurrencyPolicy: Forbid for 1; a warning for more",
    "max_parallel": "Jobs at a time",
    "owner": "an annotation",
    "tags": "an annotation",
}
_IGNORED = {
    "on_failure": "nothing is called in the cluster when a run fails",
    "sla": "nothing in the cluster looks at the time; the option `timeout` ends a run",
    "on_sla_miss": "nothing in the cluster looks at the time",
    "produces": "Kubernetes has no assets",
    "consumes": "Kubernetes has no assets",
    "triggered_by": "Kubernetes has no assets: a CronJob has a schedule",
    "pool": "a ResourceQuota or a Kueue queue limits what runs at a time",
    "start_date": "a CronJob starts when it is applied",
    "catchup": "a CronJob does not run what it has missed, but by `startingDeadlineSeconds`",
}

CAPABILITIES = Capabilities(
    supports(_CONSTRUCTS), (*supports(_SETTINGS), *ignores(_IGNORED)), Options
)
