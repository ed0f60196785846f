"""What the Kubernetes target can do, as data."""

from __future__ import annotations

from ..target import Capabilities, Capability, Option

_CONSTRUCTS = {
    "step call": "a Job for each attempt",
    "named outputs": "kept in the store",
    "parameters": "variables `P_<name>` of the driver, or JSON in LEVADA_PARAMS",
    "expressions": "evaluated by the driver exactly as Python would",
    "branch": "decided by the driver",
    "constant loop": "unrolled: Jobs of their own",
    "fan-out": "a Job for each item, or Indexed Jobs; at most `max_parallel` items at a time",
    "nested fan-out": "a Job for each item, or Indexed Jobs",
    "try/finally": "run by the driver, also when the run is cancelled or out of time",
    "try/except": "decided by the driver",
    "sub-pipeline": "inlined, with its name in the Jobs'",
    "after": "kept by the driver",
    "options": "the Job of that call",
    "pipeline outputs": "in the run's outcome in the store",
}
_BY_THE_STEP = "given to the step"
_SETTINGS = {
    "requirements": (True, "what `levada build` puts into the image"),
    "resources": (True, "requests and limits of the container"),
    "retry": (True, "a Job for each attempt, made by the driver after the delay"),
    "timeout": (True, "kept by the step's process; activeDeadlineSeconds of the pod beyond that"),
    "cache": (True, "looked up in the step's pod, and by the driver for an image it knows"),
    "environment": (True, _BY_THE_STEP),
    "secrets": (True, "secretKeyRef; the driver cannot read them"),
    "files": (True, "in the image"),
    "volumes": (True, "PersistentVolumeClaims"),
    "node_selector": (True, "nodeSelector"),
    "tolerations": (True, "tolerations"),
    "pool": (False, "a warning: a ResourceQuota or Kueue limits what runs at a time"),
    "queue": (True, "the label of a Kueue LocalQueue"),
    "image": (True, "image; `levada build` and levada.lock give it"),
    "executor": (True, "`kubernetes` only"),
    "priority": (True, "priorityClassName, by the option `priority_classes`"),
    "allow_pickle": (True, _BY_THE_STEP),
    "on_failure": (False, "a warning: nothing is called in the cluster"),
    "sla": (False, "a warning: nothing in the cluster looks at the time"),
    "on_sla_miss": (False, "a warning: nothing is called in the cluster"),
    "produces": (False, "a warning: Kubernetes has no assets"),
    "consumes": (False, "a warning"),
    "triggered_by": (False, "a warning"),
    "schedule": (True, "schedule; the CronJob is suspended without one"),
    "timezone": (True, "timeZone; Etc/UTC where none is given"),
    "start_date": (False, "a warning: a CronJob starts when it is applied"),
    "catchup": (False, "a warning: a CronJob runs no schedule that has passed"),
    "max_active_runs": (True, "concurrencyPolicy: Forbid for 1; a warning for more"),
    "max_parallel": (True, "Jobs at a time"),
    "owner": (True, "an annotation"),
    "tags": (True, "an annotation"),
}

_OPTIONS = {
    "namespace": "of all objects; that of `kubectl`",
    "image": "of steps that have none",
    "driver_image": "of the driver; that of a step whose values it looks at",
    "store": "a URL, or where the claim is mounted; /var/lib/levada",
    "store_claim": "the PersistentVolumeClaim of the store; levada-store",
    "user": "uid, gid and fsGroup of all pods, or false; 65532",
    "secret": "the Secret of references that are a key alone",
    "image_pull_secrets": "a list of names",
    "priority_class": "of all pods",
    "priority_classes": 'of steps, by their priority: { "10" = "high" }',
    "queue": "the Kueue LocalQueue of steps that have none",
    "stuck_after": 'patience with images, configuration, admission; "5m"',
    "unschedulable_after": 'patience with a lack of nodes or quota; "1h"',
    "timeout": "of a whole run",
    "finally_timeout": 'of the `finally` regions of a cancelled run; "1h"',
    "keep": 'how long the Jobs of a finished run stay; "7d"',
    "history": "how many finished runs of the schedule stay; 10",
    "max_parallel": "steps at a time, where the pipeline does not say; 100",
    "indexed_from": "from how many items on a fan-out runs in Indexed Jobs; 20",
    "starting_deadline": 'how late a scheduled run may start; "1h"',
    "network_policy": "write one: nothing connects to the pods; false",
    "admission_policy": "write one: the driver makes Jobs of these steps only; false",
    "context": "of the kubeconfig, for who deploys and submits",
    "kubeconfig": "its path; that of KUBECONFIG, or ~/.kube/config",
}

CAPABILITIES = Capabilities(
    constructs=tuple(Capability(name, True, note) for name, note in _CONSTRUCTS.items()),
    settings=tuple(Capability(name, can, note) for name, (can, note) in _SETTINGS.items()),
    options=tuple(Option(name, note) for name, note in _OPTIONS.items()),
)
