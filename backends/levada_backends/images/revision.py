"""Labels that say which source an image was made from, as far as git knows."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from levada import git

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 10


def labels(root: Path) -> dict[str, str]:
    """``org.opencontainers.image.source`` and ``…revision``, empty outside of a repository.

    The revision of changed files ends with ``-dirty``. Credentials in the remote's URL are left
    out.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if not commit:
        return {}
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    found = {"org.opencontainers.image.revision": f"{commit}-dirty" if changed else commit}
    remote = _git(root, "remote", "get-url", "origin")
    if remote:
        found["org.opencontainers.image.source"] = re.sub(r"//[^@/]*@", "//", remote)
    return found


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=git.environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
