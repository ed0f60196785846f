"""The state of the code at the time of a run: commit, branch, remote, diff, untracked files.

At most three calls of git, each with a time limit. No git, no repository or a repository that
git refuses are no errors: there is nothing to say then.
"""

from __future__ import annotations

import os
import signal

from levada.redaction import redact_text, redact_tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from levada.store import Store

MAX_DIFF = 1_000_000  # bytes of a stored diff
MAX_FILE = 256_000  # bytes of a stored untracked file
MAX_UNTRACKED = 200  # untracked files that are named
MAX_UNTRACKED_BYTES = 2_000_000  # of all stored untracked files together
SECONDS = 10.0  # for one call of git

_SENSITIVE = (".env", ".pem", ".key", ".p12", ".pfx", ".netrc", "credentials", "secret", "id_rsa")
_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "--no-optional-locks")


def describe(folder: str, store: Store, secrets: Iterable[str] = ()) -> dict[str, Any] | None:
    """Give the git part of a record, the diff and the untracked files stored as blobs.

    What looks like a secret is masked, and files that usually hold some are only named. None if
    the folder is in no repository, or git is not there.
    """
    top = _top(folder)
    if top is None:
        return None
    output = _git(top, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all")
    if output is None:
        return None
    status = _Status(output)
    secrets = list(secrets)
    return {
        "commit": status.commit,
        "branch": status.branch,
        "dirty": status.dirty,
        "remote": _remote(top),
        "diff": _diff(top, store, secrets) if status.changed and status.commit else None,
        "untracked": _untracked(top, status.untracked, store, secrets),
    }


class _Status:
    """What ``git status --porcelain=v2 --branch -z`` says (its format is in git-status(1))."""

    __slots__ = ("branch", "changed", "commit", "untracked")

    def __init__(self, output: bytes) -> None:
        self.commit: str | None = None
        self.branch: str | None = None
        self.changed = False
        self.untracked: list[str] = []
        for entry in output.split(b"\0"):
            self._read(os.fsdecode(entry))

    def _read(self, entry: str) -> None:
        if entry.startswith("# branch.oid "):
            commit = entry.removeprefix("# branch.oid ")
            self.commit = None if commit == "(initial)" else commit
        elif entry.startswith("# branch.head "):
            branch = entry.removeprefix("# branch.head ")
            self.branch = None if branch == "(detached)" else branch
        elif entry.startswith("? "):
            self.untracked.append(entry[2:])
        elif entry[:2] in ("1 ", "2 ", "u "):
            self.changed = True

    @property
    def dirty(self) -> bool:
        return self.changed or bool(self.untracked)


def without_credentials(url: str) -> str:
    """Give a remote's URL without the user and password in it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url  # git@host:path names a user, never a password
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    path = path.partition("?")[0]
    return f"{scheme}://{host}{slash}{path}"


def _remote(top: str) -> str | None:
    output = _git(top, "config", "--get", "remote.origin.url")
    url = os.fsdecode(output or b"").strip()
    return without_credentials(url) if url else None


def _diff(top: str, store: Store, secrets: list[str]) -> dict[str, Any] | None:
    excluded = [f":(exclude,icase,glob)**/*{name}*" for name in _SENSITIVE]
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty")
    output = _git(top, "diff", "HEAD", *options, "--", ".", *excluded, limit=MAX_DIFF + 1)
    if output is None:
        return None
    kept = _masked(output[:MAX_DIFF], secrets)
    return {
        "digest": store.put_blob(kept),
        "size": len(kept),
        "truncated": len(output) > MAX_DIFF,
    }


def _untracked(
    top: str, paths: list[str], store: Store, secrets: list[str]
) -> list[dict[str, Any]]:
    left = MAX_UNTRACKED_BYTES
    found: list[dict[str, Any]] = []
    for path in paths[:MAX_UNTRACKED]:
        size = _size(f"{top}/{path}")
        entry: dict[str, Any] = {"path": _utf8(path), "size": size, "digest": None}
        if size is not None and size <= min(MAX_FILE, left) and not _is_sensitive(path):
            data = _content(f"{top}/{path}")
            if data is not None:
                left -= len(data)
                entry["digest"] = store.put_blob(_masked(data, secrets))
        found.append(entry)
    return found


def _is_sensitive(path: str) -> bool:
    return any(name in path.lower() for name in _SENSITIVE)


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None


def _content(path: str) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(MAX_FILE)
    except OSError:
        return None


def _masked(data: bytes, secrets: list[str]) -> bytes:
    data = redact_tokens(data)
    if not secrets:
        return data
    text = redact_text(data.decode("utf-8", "surrogateescape"), secrets)
    return text.encode("utf-8", "surrogateescape")


def _utf8(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _top(folder: str) -> str | None:
    folder = os.path.abspath(folder)
    while not os.path.exists(f"{folder}/.git"):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def _git(folder: str, *arguments: str, limit: int = 16_000_000) -> bytes | None:
    """Run git and give what it prints, at most ``limit`` bytes; None if it fails or takes long.

    By posix_spawn: the subprocess module takes longer to import than git to run.
    """
    receiving, sending = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, sending, 1)]
    actions += [(os.POSIX_SPAWN_DUP2, null, 2)]
    variables = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
    command = ["git", "-C", folder, *_OPTIONS, *arguments]
    try:
        process = os.posix_spawnp("git", command, variables, file_actions=actions)
    except OSError:
        os.close(receiving)
        return None
    finally:
        os.close(sending)
        os.close(null)
    try:
        output = _receive(receiving, limit)
    finally:
        os.close(receiving)
    if output is None or len(output) >= limit:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return output
    return output if os.waitpid(process, 0)[1] == 0 else None


def _receive(pipe: int, limit: int) -> bytes | None:
    """Read a pipe to its end or up to ``limit`` bytes; None if the time is over before."""
    from select import select
    from time import monotonic

    deadline = monotonic() + SECONDS
    chunks: list[bytes] = []
    size = 0
    while size < limit:
        ready, _, _ = select([pipe], [], [], max(deadline - monotonic(), 0))
        if not ready:
            return None
        chunk = os.read(pipe, min(65_536, limit - size))
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
