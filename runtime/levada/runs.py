"""The runs that a project has recorded: found, looked at and loaded, in a notebook or a script.

::

    from levada.runs import runs

    for run in runs("churn", where="metrics.train.auc > 0.9", limit=10):
        print(run.run_id, run.params["depth"], run.metrics["train.auc"])

    run = runs.get("churn@latest")
    model = run.step("train").outputs["model"].load()

What is here is in the package ``levada_records``, which comes with Levada but is not in the images
of steps. It is imported when one of the names is asked for, so that no step pays for it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada_records.interface import (
        AmbiguousRun,
        MissingOutput,
        MissingStep,
        Output,
        Run,
        RunNotFound,
        Runs,
        Step,
        get,
        project,
        runs,
    )

__all__ = [
    "AmbiguousRun",
    "MissingOutput",
    "MissingStep",
    "Output",
    "Run",
    "RunNotFound",
    "Runs",
    "Step",
    "get",
    "project",
    "runs",
]


def __getattr__(name: str) -> object:
    """Import the interface when a name of it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By name: the runtime does not depend on the package that reads what it wrote.
    from importlib import import_module

    try:
        interface = import_module("levada_records.interface")
    except ModuleNotFoundError as error:
        if error.name != "levada_records":
            raise
        raise ImportError(
            "levada.runs needs the package levada_records, which images of steps do not have; use"
            " it where Levada itself is installed"
        ) from error
    globals().update({each: getattr(interface, each) for each in __all__})
    found: object = globals()[name]
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


class _Callable(type(sys)):  # type: ignore[misc]
    """Makes this module callable as `runs` is, for who writes ``from levada import runs``."""

    def __call__(self, *arguments: object, **options: object) -> object:
        return self.runs(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
