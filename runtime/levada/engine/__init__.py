"""The engine: runs a plan (``docs/contracts.md``, section 3).

``run`` does it on this machine; `Interpreter` with another `Executor` does it elsewhere.
"""

from __future__ import annotations

from .events import Event
from .executor import Attempt, Ended, Executor
from .interpreter import Interpreter
from .outcome import Outcome, StepSummary
from .parameters import ParameterError
from .run import Executors, RunExistsError, new_run_id, run

__all__ = [
    "Attempt",
    "Ended",
    "Event",
    "Executor",
    "Executors",
    "Interpreter",
    "Outcome",
    "ParameterError",
    "RunExistsError",
    "StepSummary",
    "new_run_id",
    "run",
]
