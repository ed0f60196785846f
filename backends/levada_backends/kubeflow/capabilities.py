"""What the Kubeflow target can do, as data."""

from __future__ import annotations

from levada_compiler.target import Capabilities, ignores, supports

from .options import Options

_CONSTRUCTS = {
    "step call": "a task; its outputs are artifacts in the store",
    "named outputs": "a parameter each where the annotation says it is small, else an artifact",
    "parameters": "KFP's own types where these lose nothing, else a string that holds JSON",
    "expressions": "evaluated by the step command exactly as Python would",
    "branch": "a sub-DAG a side with a CEL condition: on parameters where CEL is exact, else on "
    "what a small decision task says; small values merge by valueFromOneof",
    "fan-out": "a task lists the items, a parameter iterator goes over them, and KFP collects what "
    "a step gives for each",
    "nested fan-out": "an iterator in an iterator",
    "try/finally": "an exit task; a task after it fails the run if it failed",
    "try/except": "a step's failure is in its record, and a task asks these; where a whole pod is "
    "lost the run fails",
    "sub-pipeline": "a component with a DAG",
    "after": "dependentTasks",
    "options": "an executor of that task's own",
    "raise": "a task that fails",
    "pipeline outputs": "a last task named `return` records them; they are the root's artifacts",
}
_BY_THE_STEP = "given to the step command"
_SETTINGS = {
    "requirements": "in the image",
    "resources": "limits, which are requests too; `disk` is a warning: KFP has none",
    "retry": "retryPolicy, in whole numbers, no `max_delay`; a permanent error ends it",
    "timeout": "kept by the step command; the pod's deadline five minutes later",
    "cache": "Levada's, in the container; KFP's own is off, it does not see the store",
    "environment": _BY_THE_STEP,
    "secrets": "from Secrets, by name and key",
    "files": "in the image",
    "volumes": "PersistentVolumeClaims; read_only is a warning, KFP mounts to write",
    "node_selector": "the pod's",
    "tolerations": "the pod's",
    "executor": "each step is a pod: another than `kubernetes` is a warning",
    "image": "the container's; that of `levada build` where there is none",
    "allow_pickle": _BY_THE_STEP,
    "allow_secret_output": _BY_THE_STEP,
    "check_types": _BY_THE_STEP,
    "schedule": "a recurring run, by `levada deploy`",
    "timezone": "only that of the server (`schedule_timezone`), else a warning and no run",
    "start_date": "of the recurring run",
    "catchup": "of the recurring run",
    "max_active_runs": "of the recurring run; 10 at most, else a warning",
    "max_parallel": "of each loop by itself: KFP has no limit for a run",
    "owner": "in the pipeline's description",
    "tags": "in the pipeline's description",
}
_NO_ASSETS = "KFP has no assets that pipelines share"
_IGNORED = {
    "pool": "KFP has none",
    "queue": "KFP has none",
    "priority": "KFP has none",
    "on_failure": "KFP calls nothing",
    "sla": "KFP does not look at the time",
    "on_sla_miss": "KFP calls nothing",
    "produces": _NO_ASSETS,
    "consumes": _NO_ASSETS,
    "triggered_by": _NO_ASSETS,
}

CAPABILITIES = Capabilities(
    supports(_CONSTRUCTS), (*supports(_SETTINGS), *ignores(_IGNORED)), Options
)
