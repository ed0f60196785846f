"""A real Airflow: every case compiled by the command line, deployed, and run by its scheduler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conformance import records
from tests.conformance.case import Case
from tests.conformance.trace import Trace
from tests.engines.airflow import Airflow, Run

SECONDS = 1500  # for all runs of all cases, one after the other where there are two cores


def start_all(server: Airflow, cases: list[Case], folder: Path) -> dict[str, Run]:
    """Deploy what the cases compile to, start every run, and tell them by the cases' ids."""
    names = {case.name: case for case in cases}
    server.deploy({f"{name}.py": _compiled(server, case) for name, case in names.items()}, 300)
    return {
        case.id: server.start_run(case.pipeline, case.given(folder / f"{server.version}-{case.id}"))
        for case in cases
    }


def trace(server: Airflow, case: Case, run: Run, place: Path | str | None = None) -> Trace:
    """Wait for the run of a case and read what it did from its records.

    They are in the Airflow's own store, or at another `place`.
    """
    (ended,) = server.wait([run], SECONDS)
    status = {"success": "succeeded"}.get(str(ended.state), str(ended.state))
    store = str(place or server.store)
    outputs = records.outputs(store, case.pipeline, ended.run_id)
    return records.trace(store, case.pipeline, ended.run_id, status, outputs)


def _compiled(server: Airflow, case: Case) -> str:
    command = [str(Path(sys.executable).parent / "levada"), "compile"]
    command += [f"{case.module}:{case.pipeline}", "--target", "airflow"]
    command += ["-o", str(server.dags_folder)]  # from there the file finds its way to the project
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{case.name} does not compile for Airflow:\n{done.stderr}")
    return (server.dags_folder / f"{case.pipeline}.py").read_text()
