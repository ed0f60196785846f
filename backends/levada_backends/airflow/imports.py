"""The imports of a DAG file, for Airflow 3, for Airflow 2 or for both."""

from __future__ import annotations

from .source_text import WIDTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

#: Where each name comes from: in Airflow 3, in Airflow 2.
_AIRFLOW = {
    "DAG": ("airflow.sdk", "airflow"),
    "Asset": ("airflow.sdk", "airflow.datasets"),
    "BaseOperator": ("airflow.sdk", "airflow.models"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "Label": ("airflow.sdk", "airflow.utils.edgemodifier"),
    "TaskGroup": ("airflow.sdk", "airflow.utils.task_group"),
    "Param": ("airflow.sdk.definitions.param", "airflow.models.param"),
    "BranchMixIn": ("airflow.providers.standard.operators.branch", "airflow.operators.branch"),
    "SubprocessHook": ("airflow.providers.standard.hooks.subprocess", "airflow.hooks.subprocess"),
}
_EXCEPTIONS = (
    "AirflowException",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSkipException",
)
#: What is the same in both: at the top of the file, where Airflow's parser has it ready.
_PROVIDERS = {
    "DockerOperator": "airflow.providers.docker.operators.docker",
    "KubernetesPodOperator": "airflow.providers.cncf.kubernetes.operators.pod",
    "DeviceRequest": "docker.types",
    "Mount": "docker.types",
}
_STANDARD = {
    "json": "import json",
    "os": "import os",
    "re": "import re",
    "sys": "import sys",
    "timedelta": "from datetime import timedelta",
    "import_module": "from importlib import import_module",
    "Path": "from pathlib import Path",
    "TemporaryDirectory": "from tempfile import TemporaryDirectory",
    "shorten": "from textwrap import shorten",
    "monotonic": "from time import monotonic, sleep",
    "quote": "from urllib.parse import quote",
}


def imports(words: Collection[str], version: int | None) -> list[str]:
    """The imports of those of these names that are not Python's own or a file's.

    They are for a version of Airflow, or for both, in the order that isort gives them.
    """
    lines = [line for name, line in _STANDARD.items() if name in words]
    lines += ["", "import pendulum"] if "pendulum" in words else []
    places = {name: module for name, module in _PROVIDERS.items() if name in words}
    places_3 = {name: modules[0] for name, modules in _AIRFLOW.items() if name in words}
    places_2 = {name: modules[1] for name, modules in _AIRFLOW.items() if name in words}
    exceptions = [name for name in _EXCEPTIONS if name in words]
    in_2 = dict.fromkeys(exceptions, "airflow.exceptions")
    if version == 2:
        return [*lines, *_from({**places, **places_2, **in_2}, "")]
    if version == 3:
        lines += _from({**places, **places_3}, "")
    else:
        lines += [*_from(places, ""), "", "try:  # Airflow 3", *_from(places_3)]
        lines += ["except ImportError:  # Airflow 2", *_from(places_2)]
    if exceptions:
        lines += ["", "try:  # Airflow 3.2"]
        lines += _from(dict.fromkeys(exceptions, "airflow.sdk.exceptions"))
        lines += ["except ImportError:", *_from(in_2)]
    return lines


def _from(places: Mapping[str, str], margin: str = "    ") -> list[str]:
    """The imports of names from modules."""
    modules: dict[str, list[str]] = {}
    for name, module in places.items():
        own = "Dataset as Asset" if module.endswith("datasets") else name
        modules.setdefault(module, []).append(own)
    return [
        f"{margin}{line}"
        for module in sorted(modules)
        for line in import_from(module, modules[module], len(margin))
    ]


def import_from(module: str, names: Sequence[str], indent: int = 0) -> list[str]:
    """The lines of one import, without their indentation of so many spaces."""
    line = f"from {module} import {', '.join(names)}"
    if indent + len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]
