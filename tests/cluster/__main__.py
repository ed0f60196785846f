"""The developer's tool: build Kubernetes, and keep a cluster running between test sessions.

A session takes a running one and saves the start, unless LEVADA_ENGINES_FRESH is set.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from . import attached, cluster, packages, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands: Mapping[str, tuple[str, Callable[[bool], None]]] = {
        "install": ("install and build what is missing", _install),
        "start": ("start it and leave it running", _start),
        "stop": ("stop it", _stop),
        "status": ("say what is installed and running", _status),
        "serve": ("run it in the foreground", _serve),
    }
    about = "; ".join(f"{name}: {text}" for name, (text, _) in commands.items())
    parser.add_argument("command", choices=commands, metavar="command", help=about)
    parser.add_argument(
        "--api-only", action="store_true", help="etcd, the API server and kubectl alone"
    )
    arguments = parser.parse_args()
    commands[arguments.command][1](arguments.api_only)


def _install(api_only: bool) -> None:
    cluster.install(api_only=api_only)
    _status(api_only)


def _start(api_only: bool) -> None:
    cluster.install(api_only=api_only)
    if attached.find(api_only=api_only) is None:
        log = programs.beside("api.log" if api_only else "cluster.log")
        with log.open("w") as output:
            process = subprocess.Popen(
                [*(sys.executable, "-m", "tests.cluster", "serve"), *_option(api_only)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while attached.find(api_only=api_only) is None:
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        process.returncode = 0  # it stays
    _status(api_only)


def _stop(api_only: bool) -> None:
    pid = attached.server_process(api_only=api_only)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    while pid is not None and attached.is_tool(pid):
        time.sleep(0.1)
    attached.state_file(api_only=api_only).unlink(missing_ok=True)


def _status(api_only: bool) -> None:
    title = f"kubernetes {programs.version()}" + (" (API server alone)" if api_only else "")
    missing = programs.missing(api_only=api_only) + packages.missing(api_only=api_only)
    if missing:
        print(f"{title}: not installed; missing: {', '.join(missing)}")
    elif (running := attached.find(api_only=api_only)) is None:
        print(f"{title}: installed in {programs.folder()}, not running")
    else:
        print(f"{title}: running\nexport KUBECONFIG={running.kubeconfig}")


def _serve(api_only: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    file = attached.state_file(api_only=api_only)
    starting = cluster.start_api_server() if api_only else cluster.start()
    with starting as running:
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(attached.state(running)))
        beside.replace(file)
        try:
            signal.pause()
        finally:
            file.unlink(missing_ok=True)


def _option(api_only: bool) -> tuple[str, ...]:
    return ("--api-only",) if api_only else ()


if __name__ == "__main__":
    main()
