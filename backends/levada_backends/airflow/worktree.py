"""A DAG folder in a checkout of a git repository, which Airflow may read as a bundle of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_OPTIONS = ("-c", "core.quotepath=false", "--no-optional-locks")
_SECONDS = 10


def next_step(folder: str, paths: Iterable[str], name: str) -> str:
    """The command that brings these files to the repository; "" if there is none to be given.

    There is none where the folder is in no checkout, git ignores the files, or has them already.
    """
    files = [path for path in paths if not _has(folder, "check-ignore", "--quiet", "--", path)]
    status = _git(folder, "status", "--porcelain", "--", *files) if files else None
    if status is None:
        return ""
    git = f"git -C {shlex.quote(folder)}"
    named = " ".join(map(shlex.quote, files))
    if status:
        message = shlex.quote(f"Deploy {name}")
        return f"{git} add -- {named} && {git} commit -m {message} -- {named} && {git} push"
    return f"{git} push" if _is_ahead(folder, files) else ""


def _is_ahead(folder: str, files: list[str]) -> bool:
    """Whether a commit of these files is on no branch of a remote."""
    if not _git(folder, "remote"):
        return False
    return bool(_git(folder, "rev-list", "-1", "HEAD", "--not", "--remotes", "--", *files))


def _has(folder: str, *words: str) -> bool:
    return _git(folder, *words) is not None


def _git(folder: str, *words: str) -> str | None:
    """What git says; None if there is no git or no checkout, or its answer is no."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", folder, *_OPTIONS, *words],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None
