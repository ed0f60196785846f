"""The cost of logging metrics and of a large file: `python -m benchmarks.tracking [PART ...]`.

    metrics     calls of log_metric a second in one step, beside MLflow (SQLite, its server, its
                file store where it still takes one), ClearML offline, and lines appended to a file
    artifact    a file of 1 GiB as the output of a step and as the input of the next one, beside
                MLflow's log_artifact and download_artifacts, ZenML, and a copy with its digest

Each subject is a process of its own, which times the calls alone and prints the seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks import engines

CALLS, CALLS_OF_SERVER = 10_000, 500
SIZE = 1 << 30


def main() -> None:
    """Measure the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []])
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} before")
    for name in options.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="levada-bench-") as folder:
            PARTS[name](Path(folder))
    print(f"load {os.getloadavg()[0]:.1f} after")


def seconds(command: list[str], folder: Path, **variables: str) -> float | str:
    """Run a program that prints the seconds that it measured on a line; gives why it could not."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=folder, env=os.environ | variables
    )
    if done.returncode:
        return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1][:160]
    # MLflow prints the addresses of the run and its experiment after it.
    (took,) = [line for line in done.stdout.splitlines() if re.fullmatch(r"[0-9.e-]+", line)]
    return float(took)


def _python(engine: str) -> str:
    return str(engines.ensure(engine) / "python")


# ---------------------------------------------------------------- metrics

LINES = """
import json, sys, time
calls = int(sys.argv[1])
with open("lines", "a") as file:
    began = time.perf_counter()
    for n in range(calls):
        file.write(json.dumps({"name": "loss", "value": 1 / (n + 1), "step": n}) + "\\n")
        file.flush()
    print(time.perf_counter() - began)
"""
LEVADA = """
import time
from levada import log_metric, pipeline, step


@step(cache=False)
def train(calls: int) -> float:
    began = time.perf_counter()
    for n in range(calls):
        log_metric("loss", 1 / (n + 1), step=n)
    return time.perf_counter() - began


@pipeline
def tracked(calls: int):
    return train(calls)
"""
MLFLOW = """
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[2])
with mlflow.start_run():
    began = time.perf_counter()
    for n in range(int(sys.argv[1])):
        mlflow.log_metric("loss", 1 / (n + 1), step=n)
    print(time.perf_counter() - began)
"""
CLEARML = """
import sys, time
from clearml import Task
Task.set_offline(True)
task = Task.init("bench", "tracked", auto_connect_frameworks=False, auto_resource_monitoring=False)
logger = task.get_logger()
began = time.perf_counter()
for n in range(int(sys.argv[1])):
    logger.report_scalar("loss", "loss", 1 / (n + 1), n)
task.flush(wait_for_uploads=True)
took = time.perf_counter() - began
task.close()
print(took)
"""


def metrics(folder: Path) -> None:
    print("calls of log_metric a second, one step")
    mlflow = [_python("mlflow"), "-W", "ignore", "-c", MLFLOW]
    levada = _calls("Levada", CALLS, _levada_metrics(folder))
    floor = [sys.executable, "-c", LINES, str(CALLS)]
    _calls("a line of JSON appended to a file", CALLS, seconds(floor, folder), levada)
    sqlite = [*mlflow, str(CALLS_OF_SERVER), f"sqlite:///{folder}/mlflow.db"]
    _calls("MLflow, SQLite", CALLS_OF_SERVER, seconds(sqlite, folder), levada)
    files = [*mlflow, str(CALLS_OF_SERVER), (folder / "mlruns").as_uri()]
    _calls("MLflow, files", CALLS_OF_SERVER, seconds(files, folder), levada)
    with _mlflow_server(folder) as url:
        served = [*mlflow, str(CALLS_OF_SERVER), url]
        _calls("MLflow, its server on SQLite", CALLS_OF_SERVER, seconds(served, folder), levada)
    clearml = [_python("clearml"), "-W", "ignore", "-c", CLEARML, str(CALLS)]
    offline = seconds(clearml, folder, HOME=str(folder), CLEARML_OFFLINE_MODE="1")
    _calls("ClearML, offline", CALLS, offline, levada)


def _calls(label: str, calls: int, took: float | str, levada: float | None = None) -> float | None:
    if isinstance(took, str):
        print(f"  {label:44} {took}")
        return None
    ratio = f"  Levada {levada / (calls / took):.2f}x of it" if levada else ""
    print(f"  {label:44} {calls / took:10,.0f} a second{ratio}")
    return calls / took


def _levada_metrics(folder: Path) -> float:
    (folder / "pyproject.toml").touch()
    (folder / "tracked.py").write_text(LEVADA)
    return float(_run(folder, "tracked.py", "--param", f"calls={CALLS}"))


def _run(folder: Path, *arguments: str) -> str:
    """Run a pipeline here; gives its output as JSON text."""
    command = [sys.executable, "-m", "levada_cli.main", "run", *arguments, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return json.dumps(json.loads(done.stdout)["outputs"])


@contextlib.contextmanager
def _mlflow_server(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(str(engines.ensure("mlflow") / "mlflow"), "server", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"{url}/health"):
            if time.monotonic() > deadline:
                raise SystemExit((folder / "server.log").read_text())
            time.sleep(0.5)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


# ---------------------------------------------------------------- artifact

COPY = """
import hashlib, sys, time
began = time.perf_counter()
digest = hashlib.sha256()
with open(sys.argv[1], "rb") as source, open("copy", "wb") as target:
    while piece := source.read(1 << 20):
        digest.update(piece)
        target.write(piece)
print(time.perf_counter() - began)
"""
LEVADA_FILE = """
import os
from pathlib import Path
from levada import pipeline, step


@step(cache=False)
def make(path: str) -> Path:
    return Path(path)


@step(cache=False)
def use(file: Path) -> int:
    return os.stat(file).st_size


@pipeline
def large(path: str):
    return use(make(path))
"""
MLFLOW_FILE = """
import sys, time
import mlflow
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[2]}/mlflow.db")
mlflow.create_experiment("e", artifact_location=f"{sys.argv[2]}/artifacts")
mlflow.set_experiment("e")
with mlflow.start_run() as run:
    began = time.perf_counter()
    mlflow.log_artifact(sys.argv[1])
    name = sys.argv[1].rpartition("/")[2]
    mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path=name, dst_path=f"{sys.argv[2]}/down")
    print(time.perf_counter() - began)
"""
ZENML_FILE = """
import os, sys, time
from pathlib import Path
from zenml import pipeline, step


@step(enable_cache=False)
def make(path: str) -> Path:
    return Path(path)


@step(enable_cache=False)
def use(file: Path) -> int:
    return os.stat(file).st_size


@pipeline
def large(path: str):
    use(make(path))


if __name__ == "__main__":
    began = time.perf_counter()
    large(sys.argv[1])
    print(time.perf_counter() - began)
"""


def artifact(folder: Path) -> None:
    print("1 GiB as the output of a step and the input of the next")
    file = folder / "model.bin"
    with file.open("wb") as target:
        for _ in range(SIZE >> 20):
            target.write(os.urandom(1 << 20))
    _levada_file(folder, file)  # both are in the page cache then
    levada = _levada_file(folder, file)
    _took("Levada, whole run", levada)
    _took(
        "a copy, and its digest", seconds([sys.executable, "-c", COPY, str(file)], folder), levada
    )
    mlflow = [_python("mlflow"), "-W", "ignore", "-c", MLFLOW_FILE, str(file), str(folder)]
    _took("MLflow, log_artifact and download", seconds(mlflow, folder), levada)
    (folder / "zen.py").write_text(ZENML_FILE)
    zenml = [_python("zenml"), "-W", "ignore", "zen.py", str(file)]
    home = {"ZENML_CONFIG_PATH": str(folder / "zen"), "ZENML_ANALYTICS_OPT_IN": "false"}
    _took("ZenML, whole run", seconds(zenml, folder, **home), levada)


def _levada_file(folder: Path, file: Path) -> float:
    project = folder / f"project-{time.monotonic_ns()}"
    project.mkdir()
    (project / "pyproject.toml").touch()
    (project / "large.py").write_text(LEVADA_FILE)
    began = time.perf_counter()
    assert _run(project, "large.py", "--param", f"path={file}") == str(SIZE)
    return time.perf_counter() - began


def _took(label: str, took: float | str, levada: float | None = None) -> None:
    if isinstance(took, str):
        print(f"  {label:44} {took}")
        return
    ratio = f"  {took / levada:.2f}x of Levada's" if levada else ""
    print(f"  {label:44} {took:8.2f} s{ratio}")


PARTS = {"metrics": metrics, "artifact": artifact}

if __name__ == "__main__":
    main()
