"""The developer's tool: install the Airflows, and keep one running between test sessions.

A session takes a running one, if its steps' Python is that of the session, and saves the start.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import airflow, environments, postgres
from .airflow import Airflow
from .airflow_api import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping


def attach(version: str) -> Airflow | None:
    """The Airflow that `start` left running, or None; none with LEVADA_ENGINES_FRESH set."""
    if os.environ.get("LEVADA_ENGINES_FRESH"):
        return None
    try:
        state = json.loads(_state_file(version).read_text())
    except FileNotFoundError:
        return None
    if state["python"] != sys.executable or not _is_alive(state["pid"]):
        return None
    server = Airflow(version, Path(state["home"]), state["port"], lambda: None)
    try:
        server.api.log_in()
    except (OSError, ApiError):
        return None
    return server


def main() -> None:
    """Run one command for one version, or for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.airflow", description=__doc__)
    commands = {
        "install": ("install what is missing", _install),
        "start": ("start it and leave it running", _start),
        "stop": ("stop it", _stop),
        "status": ("say what is installed and running", _status),
        "lock": ("resolve the requirements anew", _lock),
        "serve": ("run it in the foreground", _serve),
    }
    parser.add_argument("command", choices=commands, metavar="command", help=_help(commands))
    parser.add_argument("version", nargs="*", choices=[[], *airflow.VERSIONS], metavar="3|2")
    arguments = parser.parse_args()
    for version in arguments.version or airflow.VERSIONS:
        commands[arguments.command][1](version)


def _help(commands: Mapping[str, tuple[str, object]]) -> str:
    return "; ".join(f"{name}: {text}" for name, (text, _) in commands.items())


def _install(version: str) -> None:
    airflow.install(version)
    _status(version)


def _start(version: str) -> None:
    airflow.install(version)
    if attach(version) is None:
        _stop(version)
        log = _state_file(version).with_suffix(".log")
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.engines.airflow", "serve", version],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while attach(version) is None:
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.2)
        process.returncode = 0  # it stays
    _status(version)


def _stop(version: str) -> None:
    file = _state_file(version)
    if not file.is_file():
        return
    pid = json.loads(file.read_text())["pid"]
    if _is_alive(pid):
        os.kill(pid, signal.SIGTERM)
    while _is_alive(pid):
        time.sleep(0.1)
    file.unlink(missing_ok=True)


def _status(version: str) -> None:
    if not airflow.is_installed(version):
        print(f"airflow {version}: not installed")
    elif (server := attach(version)) is None:
        print(f"airflow {version}: installed, not running")
    else:
        print(f"airflow {version}: running, {server.api.url}, home {server.home}")


def _lock(version: str) -> None:
    for name in (f"airflow-{version}", "postgres"):
        environments.lock(environments.REQUIREMENTS / f"{name}.in")
    print(f"airflow {version}: locked; {postgres.LOCK.parent}")


def _serve(version: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    file = _state_file(version)
    with airflow.start(version) as server:
        state = {
            "pid": os.getpid(),
            "python": sys.executable,
            "home": str(server.home),
            "port": server.port,
        }
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(state))
        beside.replace(file)
        try:
            signal.pause()
        finally:
            file.unlink(missing_ok=True)


def _state_file(version: str) -> Path:
    return environments.root() / f"airflow-{version}.running"


def _is_alive(pid: int) -> bool:
    """Whether it is there and still the tool: ids are used again."""
    try:
        return b"tests.engines.airflow" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
