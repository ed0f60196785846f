"""The local engine, through the command line as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conformance import records
from tests.conformance.case import Case
from tests.conformance.trace import Trace


def run(case: Case, folder: Path, url: str | None = None) -> Trace:
    """Run one case with an empty store, by default in a folder."""
    store = url or str(folder / "store")
    parameters = folder / "parameters.json"
    parameters.write_text(json.dumps(case.given(folder / "local")))
    command = [str(Path(sys.executable).parent / "levada"), "run", f"{case.module}:{case.pipeline}"]
    command += ["--params-file", str(parameters), "--store", store, "--json"]
    environment = os.environ | {"LEVADA_CACHE_DIR": str(folder / "compiled")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode > 1 or not done.stdout:
        raise AssertionError(f"levada run exited {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    outputs = records.outputs(store, case.pipeline, said["run_id"])
    return records.trace(store, case.pipeline, said["run_id"], said["status"], outputs)
