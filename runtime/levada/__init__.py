"""Levada: what a pipeline module imports.

    from levada import pipeline, step

Importing this costs about a millisecond: nothing here loads more than a few small modules.
"""

from .declarations import Loop, PermanentError, after, container, parallel, pipeline, step
from .settings import Resources, Retry, Secret, Volume
from .tracking import Context, context, log_artifact, log_metric, log_params

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Loop",
    "PermanentError",
    "Resources",
    "Retry",
    "Secret",
    "Volume",
    "after",
    "container",
    "context",
    "log_artifact",
    "log_metric",
    "log_params",
    "parallel",
    "pipeline",
    "step",
]
