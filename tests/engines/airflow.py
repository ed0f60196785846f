"""Real Airflows for tests: installed, started with a scheduler, a parser and an API, and asked.

    with airflow.start("3") as server:
        server.deploy({"churn.py": text})
        run = server.run("churn", {"depth": 4})
        assert run.state == "success"

Tests take the running one of the session from the fixtures `airflow_3`, `airflow_2` or, for both,
`airflow` (in fixtures.py). `python -m tests.engines.airflow --help` is the developer's tool.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import airflow_settings, environments, postgres
from .airflow_api import Api, ApiError
from .airflow_run import Run, Task
from .keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "VERSIONS",
    "Airflow",
    "ImportFailedError",
    "Run",
    "Task",
    "install",
    "is_installed",
    "start",
]

VERSIONS = ("3", "2")

_START_SECONDS = 180.0
_ENVIRONMENT = "environment.json"  # that of its processes, in its home
# Airflow's own guess at what is a DAG file is coarser; this one never waits for a plain module.
_DAG_FILE = re.compile(r"\bDAG\(|@dag\b")


class ImportFailedError(AssertionError):
    """Airflow could not import what was deployed; the message is its own."""


class Airflow:
    """One running Airflow of a version, `"3"` or `"2"`; `start` or `attach` give it.

    `home` is its AIRFLOW_HOME; `store` a folder that every task finds in LEVADA_STORE.
    """

    def __init__(self, version: str, home: Path, port: int, check: Callable[[], None]) -> None:
        self.version: Final = version
        self.home: Final = home
        self.dags_folder: Final = home / "dags"
        self.store: Final = home / "store"
        self.port: Final = port
        self.api: Final = Api(version, port)
        self._check = check  # raises when a process of it has ended

    def deploy(self, files: Mapping[str, str], timeout: float = 120) -> None:
        """Put files into the DAG folder and wait until Airflow has read the DAG files in them.

        Raises `ImportFailedError` with Airflow's reports on these files, and `TimeoutError`.
        """
        started = time.time()
        for path, text in files.items():
            _write(self.dags_folder / path, text)
        waiting = {path for path, text in files.items() if _is_dag_file(path, text)}
        deadline, again = time.monotonic() + timeout, time.monotonic() + 10
        while waiting := waiting - self._parsed_since(started):
            if failed := self._failed_since(started, files):
                raise ImportFailedError("\n".join(failed))
            self._check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not parsed in {timeout} s: {sorted(waiting)}")
            if time.monotonic() > again:  # a change while the file was being parsed goes unseen
                again += 10
                for path in waiting:
                    (self.dags_folder / path).touch()
            time.sleep(0.5)

    def import_errors(self) -> dict[str, str]:
        """The traceback for each file, by its path in the DAG folder, that does not import."""
        return {self._relative(one["filename"]): one["stack_trace"] for one in self._errors()}

    def start_run(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None
    ) -> Run:
        """Trigger a run, as by hand, and return at once. In 3.x its logical date is null."""
        name = run_id or f"test-{uuid.uuid4().hex[:12]}"
        body: dict[str, Any] = {"dag_run_id": name, "conf": dict(conf or {})}
        if self.version == "3":
            body["logical_date"] = None
        self.api.post(f"/dags/{dag_id}/dagRuns", body)
        return Run(self.api, self.home / "logs", dag_id, name, dict(conf or {}))

    def follow(self, dag_id: str, run_id: str) -> Run:
        """A run that the scheduler started."""
        return Run(self.api, self.home / "logs", dag_id, run_id, {})

    def start_runs(self, runs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Run]:
        """Trigger many: `(dag_id, conf)` each."""
        return [self.start_run(dag_id, conf) for dag_id, conf in runs]

    def wait(self, runs: Sequence[Run], timeout: float = 300) -> list[Run]:
        """Wait until all are over, then read their tasks; `TimeoutError` describes the others."""
        deadline = time.monotonic() + timeout
        while open_runs := self._unfinished(runs):
            self._check()
            if time.monotonic() > deadline:
                stuck = "\n".join(run.refresh().describe() for run in open_runs)
                raise TimeoutError(f"not over in {timeout} s:\n{stuck}")
            time.sleep(0.5)
        return [run.refresh() for run in runs]

    def run(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        timeout: float = 120,
    ) -> Run:
        """Trigger a run and wait until it is over."""
        return self.wait([self.start_run(dag_id, conf, run_id)], timeout)[0]

    def command(self, *arguments: str) -> str:
        """Run `airflow` with these arguments, as on the machine of its scheduler; what it said."""
        env = json.loads((self.home / _ENVIRONMENT).read_text())
        command = [str(_program(self.version)), *arguments]
        done = subprocess.run(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"airflow {' '.join(arguments)}:\n{done.stdout}")
        return done.stdout

    def log_tails(self) -> str:
        """The end of what each of its processes wrote, for a failed test."""
        logs = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{_tail(log)}" for log in logs)

    def wait_until_healthy(self) -> None:
        """Return when it answers and its scheduler runs."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.api.log_in()
                if self._is_healthy():
                    return
            except (OSError, ApiError) as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"Airflow does not answer: {error}") from error
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow is not healthy:\n{self.log_tails()}")
            self._check()
            time.sleep(0.2)

    def _is_healthy(self) -> bool:
        path = "/monitor/health" if self.version == "3" else "/health"
        health = self.api.get(path)
        return bool(health["scheduler"]["status"] == "healthy")

    def _parsed_since(self, moment: float) -> set[str]:
        dags = self.api.get_all("/dags", "dags")
        return {
            self._relative(dag["fileloc"])
            for dag in dags
            if (when := dag["last_parsed_time"]) and seconds(when) >= moment
        }

    def _failed_since(self, moment: float, paths: Collection[str]) -> list[str]:
        return [
            f"{path}:\n{one['stack_trace']}"
            for one in self._errors()
            if (path := self._relative(one["filename"])) in paths
            and seconds(one["timestamp"]) >= moment
        ]

    def _errors(self) -> list[Any]:
        return self.api.get_all("/importErrors", "import_errors")

    def _unfinished(self, runs: Sequence[Run]) -> list[Run]:
        query = {"state": ["queued", "running"]}
        listed = self.api.get_all("/dags/~/dagRuns", "dag_runs", **query)
        going = {(one["dag_id"], one["dag_run_id"]) for one in listed}
        return [run for run in runs if (run.dag_id, run.run_id) in going]

    def _relative(self, filename: str) -> str:
        path = Path(filename)
        inside = path.is_relative_to(self.dags_folder)
        return path.relative_to(self.dags_folder).as_posix() if inside else filename


@contextlib.contextmanager
def start(
    version: str, variables: Mapping[str, str] | None = None, *, triggerer: bool = False
) -> Iterator[Airflow]:
    """An Airflow with an empty database and DAG folder; all of it is gone after the context.

    `variables` are added to the environment of every task. They find the Python of the steps in
    LEVADA_PYTHON: the one that runs the tests, unless `variables` names another.
    """
    with Keeper() as keeper:
        home = Path(tempfile.mkdtemp(prefix=f"levada-airflow-{version}-"))
        keeper.discard(home)
        airflow_settings.write_files(version, home)
        database = postgres.Postgres()
        keeper.discard(database.folder)
        database.restore(_database(version))
        database.serve(keeper, home / "postgres.log")
        airflow = Airflow(version, home, _free_port(), keeper.check)
        env = _environment(version, home, database.url, airflow.port)
        env |= {"LEVADA_PYTHON": sys.executable, "LEVADA_STORE": str(airflow.store)}
        env |= dict(variables or {})
        (home / _ENVIRONMENT).write_text(json.dumps(env))
        processes = _processes(version)
        if triggerer:  # what deferred tasks wait in
            processes["triggerer"] = ("triggerer", "--skip-serve-logs")
        for name, arguments in processes.items():
            command = [str(_program(version)), *arguments]
            keeper.start(name, command, env=env, log=home / f"{name}.log")
        airflow.wait_until_healthy()
        yield airflow


def install(version: str) -> None:
    """Make what is missing of an Airflow: its environment, PostgreSQL, an empty database."""
    postgres.install()
    environments.install(f"airflow-{version}", _lock(version))
    if not _database(version).is_file():
        with environments.locked(_database(version).with_suffix(".lock")):
            if not _database(version).is_file():
                _make_database(version)


def is_installed(version: str) -> bool:
    """Whether this Airflow can be started."""
    return _database(version).is_file() and environments.is_installed(
        environments.location("postgres", postgres.LOCK)
    )


def python(version: str) -> Path:
    """The Python of this Airflow."""
    return _program(version).with_name("python")


def _make_database(version: str) -> None:
    """Let Airflow make its tables once: it takes longer than all the rest of a start."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        airflow_settings.write_files(version, home)
        database = postgres.Postgres()
        try:
            database.create()
            with Keeper() as keeper:
                database.serve(keeper, home / "postgres.log")
                env = _environment(version, home, database.url, _free_port())
                for words in (("db", "migrate"), *_users(version)):
                    command = [str(_program(version)), *words]
                    subprocess.run(command, env=env, check=True, capture_output=True)
            database.save(_database(version))
        finally:
            database.discard()


def _users(version: str) -> list[tuple[str, ...]]:
    """The commands that make the user; 3.x has it in a file."""
    if version == "3":
        return []
    name, password = airflow_settings.USERNAME, airflow_settings.PASSWORD
    person = ("--role", "Admin", "--email", "-", "--firstname", "-", "--lastname", "-")
    return [("users", "create", "--username", name, "--password", password, *person)]


def _processes(version: str) -> dict[str, tuple[str, ...]]:
    scheduler = ("scheduler", "--skip-serve-logs")
    if version == "3":
        return {
            "api-server": ("api-server",),
            "scheduler": scheduler,
            "dag-processor": ("dag-processor",),
        }
    return {"webserver": ("webserver",), "scheduler": scheduler}  # this scheduler parses, too


def _environment(version: str, home: Path, database: str, port: int) -> dict[str, str]:
    """The machine's own environment without what belongs to the tests' Python or to an Airflow."""
    mine = re.compile(r"LEVADA_|PYTHON|AIRFLOW|VIRTUAL_ENV|COV_|PYTEST")
    kept = {name: value for name, value in os.environ.items() if not mine.match(name)}
    path = f"{_program(version).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    own = airflow_settings.settings(version, home, database, port)
    return {**kept, "PATH": path, "no_proxy": "*", **own}


def _lock(version: str) -> Path:
    return environments.REQUIREMENTS / f"airflow-{version}.txt"


def _folder(version: str) -> Path:
    return environments.location(f"airflow-{version}", _lock(version))


def _program(version: str) -> Path:
    return _folder(version) / "bin" / "airflow"


def _database(version: str) -> Path:
    name = "levada-database-with-user" if version == "2" else "levada-database"
    return _folder(version) / f"{name}.tar"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_dag_file(path: str, text: str) -> bool:
    return path.endswith(".py") and _DAG_FILE.search(text) is not None


def _write(path: Path, text: str) -> None:
    """Replace a file in one move: Airflow may be reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(path)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


if __name__ == "__main__":
    from .airflow_tool import main

    main()
