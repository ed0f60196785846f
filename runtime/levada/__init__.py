"""Levada: what a pipeline module imports.

    from levada import pipeline, step

Importing this costs about a millisecond: nothing here loads more than a few small modules.
"""

from .declarations import (
    PermanentError,
    Resources,
    Retry,
    Secret,
    Volume,
    after,
    pipeline,
    step,
)
from .tracking import Context, context, log_artifact, log_metric, log_params

__version__ = "0.1.0"

__all__ = [
    "Context",
    "PermanentError",
    "Resources",
    "Retry",
    "Secret",
    "Volume",
    "after",
    "context",
    "log_artifact",
    "log_metric",
    "log_params",
    "pipeline",
    "step",
]
