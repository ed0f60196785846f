"""What the Kubeflow target can do, as data."""

from __future__ import annotations

from levada_compiler.target import Capabilities, Capability

from .options import OPTIONS

_CONSTRUCTS = {
    "step call": "a task; its outputs are artifacts in the store",
    "named outputs": "a parameter each where the annotation says it is small, else an artifact",
    "parameters": "KFP's own types where these lose nothing, else a string that holds JSON",
    "expressions": "evaluated by the step command exactly as Python would",
    "branch": "a sub-DAG a side with a CEL condition: on parameters where CEL is exact, else on "
    "what a small decision task says; small values merge by valueFromOneof",
    "constant loop": "unrolled: one task an item",
    "fan-out": "a task lists the items, a parameter iterator goes over them, and KFP collects what "
    "a step gives for each",
    "nested fan-out": "an iterator in an iterator",
    "try/finally": "an exit task; a task after it fails the run if it failed",
    "try/except": "a step's failure is in its record, and a task asks these; where a whole pod is "
    "lost the run fails",
    "sub-pipeline": "a component with a DAG",
    "after": "dependentTasks",
    "options": "an executor of that task's own",
    "pipeline outputs": "a last task named `return` records them; they are the root's artifacts",
}
_BY_THE_STEP = "given to the step command"
_SETTINGS = {
    "requirements": (True, "in the image"),
    "resources": (True, "limits, which are requests too; `disk` is a warning: KFP has none"),
    "retry": (True, "retryPolicy, in whole numbers, no `max_delay`; a permanent error ends it"),
    "timeout": (True, "kept by the step command; the pod's deadline five minutes later"),
    "cache": (True, "Levada's, in the container; KFP's own is off, it does not see the store"),
    "environment": (True, _BY_THE_STEP),
    "secrets": (True, "from Secrets, by name and key"),
    "files": (True, "in the image"),
    "volumes": (True, "PersistentVolumeClaims; read_only is a warning, KFP mounts to write"),
    "node_selector": (True, "the pod's"),
    "tolerations": (True, "the pod's"),
    "pool": (False, "no effect, a warning"),
    "queue": (False, "no effect, a warning"),
    "image": (True, "the container's; that of `levada build` where there is none"),
    "executor": (False, "each step is a pod: another than `kubernetes` is a warning"),
    "priority": (False, "no effect, a warning"),
    "allow_pickle": (True, _BY_THE_STEP),
    "on_failure": (False, "no effect, a warning"),
    "sla": (False, "no effect, a warning"),
    "on_sla_miss": (False, "no effect, a warning"),
    "produces": (False, "no effect, a warning: KFP has no assets that pipelines share"),
    "consumes": (False, "no effect, a warning"),
    "triggered_by": (False, "no effect, a warning"),
    "schedule": (True, "a recurring run, by `levada deploy`"),
    "timezone": (
        True,
        "only that of the server (`schedule_timezone`), else a warning and no run",
    ),
    "start_date": (True, "of the recurring run"),
    "catchup": (True, "of the recurring run"),
    "max_active_runs": (True, "of the recurring run; 10 at most, else a warning"),
    "max_parallel": (True, "of each loop by itself: KFP has no limit for a run"),
    "owner": (True, "in the pipeline's description"),
    "tags": (True, "in the pipeline's description"),
}

CAPABILITIES = Capabilities(
    constructs=tuple(Capability(name, True, note) for name, note in _CONSTRUCTS.items()),
    settings=tuple(Capability(name, can, note) for name, (can, note) in _SETTINGS.items()),
    options=OPTIONS,
)
