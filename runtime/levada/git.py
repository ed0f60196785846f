"""The state of the code at the time of a run: commit, branch, remote, diff, untracked files.

Three calls of git, each with a time limit, and one or two more for each submodule with changes. No
git and no repository are no errors: there is nothing to say then. Of a repository that git refuses,
the commit is read from its files, and the record has git's reason.
"""

from __future__ import annotations

import os
import signal

from levada.redaction import redact_bytes, redact_json, redact_tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from levada.record_types import GitBlob, GitFile, GitName, GitPart, GitSubmodule
    from levada.store import Store

MAX_DIFF = 1_000_000  # bytes of a stored diff
MAX_FILE = 256_000  # bytes of a stored untracked file
MAX_UNTRACKED = 200  # untracked files that are named
MAX_UNTRACKED_BYTES = 2_000_000  # of all stored untracked files together
SECONDS = 10.0  # for one call of git

MAX_SUBMODULES = 20  # whose own changes are kept
#: Parts of paths of files that usually hold credentials, in lower case.
_SENSITIVE = (
    *(".env", ".pem", ".key", ".p12", ".pfx", ".ppk", ".jks", ".keystore", ".kdbx", ".pkcs12"),
    *("credentials", "secret", "kubeconfig", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    *("netrc", ".pgpass", ".htpasswd", ".my.cnf", ".mylogin.cnf", ".npmrc", ".yarnrc", ".pypirc"),
    *(".s3cfg", ".boto", ".databrickscfg", ".vault-token", ".terraformrc", ".snowsql", ".p8"),
    *(".dockercfg", ".dockerconfigjson", ".docker/", ".kube/", ".ssh/", ".aws/", ".azure/"),
    *(".gnupg/", ".config/gh/", ".m2/settings", ".tfstate", ".tfvars"),
)
#: Names of such files, as globs. A `tokenizer.json` is none of them, nor is a `token.py`.
_SENSITIVE_NAMES = (
    *("*service?account*.json", "application_default*.json", "auth.json", "kaggle.json"),
    *("pip.conf", "pip.ini", ".condarc", "rclone.conf", "docker*config.json"),
    *(
        f"*{word}{plural}{ending}"
        for word in ("token", "password", "passwd", "api?key", "apikey", "access?key", "sa?key")
        for plural in ("", "s")
        for ending in ("", ".txt", ".json", ".y*ml", ".toml", ".ini", ".cfg", ".conf", ".csv")
    ),
)
#: What makes credentials of a file whose name does not tell: Docker's `config.json`.
_SENSITIVE_CONTENT = (b'"auths"', b'"identitytoken"', b'"registrytoken"')
#: Variables by which git would be led to another repository or another index: git-rev-parse(1),
#: `--local-env-vars`. A hook of git has them, and the run that it starts.
_MISLEADING = frozenset(
    (
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
        *("GIT_PREFIX", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE"),
        *("GIT_NO_REPLACE_OBJECTS", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_LITERAL_PATHSPECS"),
        *("GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    )
)
#: What git diff says of a file that is no text: its name before, and now.
_BINARY = (
    rb'(?m)^Binary files ("a/(?:[^"\\]|\\.)*"|a/.*|/dev/null)'
    rb' and ("b/(?:[^"\\]|\\.)*"|b/.*|/dev/null) differ$'
)
_ESCAPES = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
#: A diff that `git apply` takes, whatever the user has configured for reading.
_PLAIN = (
    *("--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"),
    *("--unified=3", "--find-renames", "--submodule=short"),
)
_OPTIONS = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "--no-optional-locks")


def describe(folder: str, store: Store, secrets: Iterable[str] = ()) -> GitPart | None:
    """Give the git part of a record, the diff and the untracked files stored as blobs.

    ``secrets`` and what looks like a secret are masked, in names too, and files that usually hold
    some are only named. None if the folder is in no repository, or git is not there.

    Some fields are there only where they say something: ``submodules`` that are not as committed,
    changed files that are ``binary``, changed files that are ``left_out`` of the diff because of
    their names, the ``problem`` of a repository that git refuses to read, and the ``folder`` of a
    project that is not at the top of its repository.
    """
    top = _top(folder)
    secrets = list(secrets)
    described = None if top is None else _described(top, store, secrets)
    if top is None or described is None:
        return None
    own = os.path.relpath(os.path.abspath(folder), top).replace(os.sep, "/")
    if own != ".":
        described["folder"] = _utf8(own)
    masked = redact_json(described, secrets)
    masked["commit"] = described["commit"]  # a short secret may stand in it by chance
    return masked


def _described(top: str, store: Store, secrets: list[str]) -> GitPart | None:
    output = _git(
        *(top, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"),
        "--ignore-submodules=none",
    )
    if output is None:
        return _refused(top)
    status = _Status(output)
    diff = _diff(top, status) if status.changed and status.commit else None
    untracked = status.untracked + _untracked_in_submodules(top, status)
    left_out: list[GitName] = [{"path": _utf8(path)} for path in status.paths if is_sensitive(path)]
    changed = [now for _, now in binary_files(diff or b"") if now]
    binary = _entries(top, changed, store, secrets)
    described: GitPart = {
        "commit": status.commit,
        "branch": status.branch,
        "dirty": status.dirty,
        "remote": _remote(top),
        "diff": None if diff is None else _stored(diff, store, secrets),
        "untracked": _entries(top, untracked, store, secrets),
    }
    if status.submodules:
        described["submodules"] = status.submodules
    if binary:
        described["binary"] = binary
    if left_out:
        described["left_out"] = left_out
    return described


def _refused(top: str) -> GitPart | None:
    """Describe a repository that git does not read, as one that belongs to another user."""
    said = os.fsdecode(_git(top, "status", "--porcelain", errors=True) or b"")
    if not said.startswith("fatal: "):
        return None
    problem = said.removeprefix("fatal: ").splitlines()[0]
    commit, branch = _head(top)
    return {
        "commit": commit,
        "branch": branch,
        "dirty": None,
        "remote": None,
        "diff": None,
        "untracked": [],
        "problem": problem,
    }


def _head(top: str) -> tuple[str | None, str | None]:
    """Read the commit and the branch from the files of a repository; see gitrepository-layout(5).

    Running git there as if all were well could run programs that its configuration names.
    """
    folder = f"{top}/.git"
    if os.path.isfile(folder):  # a worktree or a submodule
        folder = os.path.join(top, _text(folder).removeprefix("gitdir: ").strip())
    common = os.path.join(folder, _text(f"{folder}/commondir").strip())
    head = _text(f"{folder}/HEAD").strip()
    reference = head.removeprefix("ref: ")
    if reference == head:
        return head or None, None
    commit = _text(f"{folder}/{reference}").strip() or _text(f"{common}/{reference}").strip()
    for line in _text(f"{common}/packed-refs").splitlines():
        if not commit and line.endswith(f" {reference}"):
            commit = line.split()[0]
    return commit or None, reference.removeprefix("refs/heads/")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(MAX_UNTRACKED_BYTES)
    except OSError:
        return ""


#: Fields of a changed entry before its path, by the kind of entry.
_FIELDS = {"1 ": 8, "2 ": 9, "u ": 10}


class _Status:
    """What ``git status --porcelain=v2 --branch -z`` says (its format is in git-status(1)).

    ``paths`` are the changed files, ``submodules`` those of them that are repositories.
    """

    __slots__ = ("branch", "changed", "commit", "paths", "submodules", "untracked")

    def __init__(self, output: bytes) -> None:
        self.commit: str | None = None
        self.branch: str | None = None
        self.changed = False
        self.untracked: list[str] = []
        self.paths: list[str] = []
        self.submodules: list[GitSubmodule] = []
        entries = iter(output.split(b"\0"))
        for entry in entries:
            self._read(os.fsdecode(entry))
            if entry.startswith(b"2 "):  # the name that it had before follows
                self.paths.append(os.fsdecode(next(entries, b"")))

    def _read(self, entry: str) -> None:
        if entry.startswith("# branch.oid "):
            commit = entry.removeprefix("# branch.oid ")
            self.commit = None if commit == "(initial)" else commit
        elif entry.startswith("# branch.head "):
            branch = entry.removeprefix("# branch.head ")
            self.branch = None if branch == "(detached)" else branch
        elif entry.startswith("? "):
            self.untracked.append(entry[2:])
        elif entry[:2] in _FIELDS:
            self.changed = True
            self._read_change(entry)

    def _read_change(self, entry: str) -> None:
        fields = entry.split(" ", _FIELDS[entry[:2]])
        path, state = fields[-1], fields[2]
        self.paths.append(path)
        if state.startswith("S"):
            flags = state[1:]
            self.submodules.append(
                {
                    "path": _utf8(path),
                    "commit": "C" in flags,
                    "modified": "M" in flags,
                    "untracked": "U" in flags,
                }
            )

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


def _diff(top: str, status: _Status) -> bytes | None:
    """Return the changes since the commit, and those within submodules since theirs."""
    output = _diff_of(top, "--ignore-submodules=none")
    if output is None:
        return None
    for each in status.submodules[:MAX_SUBMODULES]:
        if each["modified"]:
            path = each["path"]
            prefixes = (f"--src-prefix=a/{path}/", f"--dst-prefix=b/{path}/")
            output += _diff_of(f"{top}/{path}", *prefixes) or b""
    return output


def _diff_of(top: str, *options: str) -> bytes | None:
    excluded = [f":(exclude,icase,glob)**/*{name}*" for name in _SENSITIVE if "/" not in name]
    excluded += [f":(exclude,icase,glob)**/{name}**" for name in _SENSITIVE if "/" in name]
    excluded += [f":(exclude,icase,glob)**/{name}" for name in _SENSITIVE_NAMES]
    return _git(top, "diff", "HEAD", *_PLAIN, *options, "--", ".", *excluded, limit=MAX_DIFF + 1)


def _untracked_in_submodules(top: str, status: _Status) -> list[str]:
    found = []
    for each in status.submodules[:MAX_SUBMODULES]:
        if each["untracked"]:
            words = ("ls-files", "--others", "--exclude-standard", "-z")
            names = os.fsdecode(_git(f"{top}/{each['path']}", *words) or b"").split("\0")
            found += [f"{each['path']}/{name}" for name in names if name]
    return found


def binary_files(diff: bytes) -> list[tuple[str, str]]:
    """Return the files of which a diff says no more than that they are binary.

    Each is a path before and one now, of which one is empty if the file was deleted or is new.

    >>> binary_files(b"Binary files a/logo.png and /dev/null differ")
    [('logo.png', '')]
    """
    import re

    def unescaped(match: re.Match[bytes]) -> bytes:
        code = match[1]
        byte = int(code, 8) & 255 if len(code) == 3 else _ESCAPES.get(code[0], code[0])
        return bytes((byte,))

    def path(name: bytes) -> str:
        if name.startswith(b'"'):
            name = re.sub(rb"\\([0-7]{3}|.)", unescaped, name[1:-1])
        return "" if name == b"/dev/null" else os.fsdecode(name[2:])

    return [(path(before), path(now)) for before, now in re.findall(_BINARY, diff)]


def _stored(output: bytes, store: Store, secrets: list[str]) -> GitBlob:
    kept = _masked(output[:MAX_DIFF], secrets)
    return {
        "digest": store.put_blob(kept),
        "size": len(kept),
        "truncated": len(output) > MAX_DIFF,
        "masked": kept != output[:MAX_DIFF],
    }


def _entries(top: str, paths: list[str], store: Store, secrets: list[str]) -> list[GitFile]:
    """Describe files, and store the content of those that are small and no credentials."""
    left = MAX_UNTRACKED_BYTES
    found: list[GitFile] = []
    for path in paths[:MAX_UNTRACKED]:
        size = _size(f"{top}/{path}")
        entry: GitFile = {"path": _utf8(path), "size": size, "digest": None}
        if size is not None and size <= min(MAX_FILE, left) and not is_sensitive(path):
            data, is_executable = _content(f"{top}/{path}")
            if data is not None and not any(part in data for part in _SENSITIVE_CONTENT):
                left -= len(data)
                kept = _masked(data, secrets)
                entry["digest"] = store.put_blob(kept)
                entry["masked"] = kept != data
                if is_executable:
                    entry["executable"] = True
        found.append(entry)
    return found


def is_sensitive(path: str) -> bool:
    """Whether the name of a file says that it holds credentials."""
    from fnmatch import fnmatch

    lower = path.lower()
    name = lower.rpartition("/")[2]
    return any(part in lower for part in _SENSITIVE) or any(
        fnmatch(name, pattern) for pattern in _SENSITIVE_NAMES
    )


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None


def _content(path: str) -> tuple[bytes | None, bool]:
    """Return the content of a file, None if it cannot be read, and whether it is executable."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(MAX_FILE), bool(os.fstat(file.fileno()).st_mode & 0o100)
    except OSError:
        return None, False


def _masked(data: bytes, secrets: list[str]) -> bytes:
    return redact_bytes(redact_tokens(data), secrets)


def _utf8(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """Return the environment for git, without what would lead it to another repository."""
    return {name: text for name, text in os.environ.items() if name not in _MISLEADING}


def _top(folder: str) -> str | None:
    folder = os.path.abspath(folder)
    while not os.path.exists(f"{folder}/.git"):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def _git(
    folder: str, *arguments: str, limit: int = 16_000_000, errors: bool = False
) -> bytes | None:
    """Run git and give what it prints, at most ``limit`` bytes; None if it fails or takes long.

    With ``errors`` it is what git says of its failure.
    By posix_spawn: the subprocess module takes longer to import than git to run.
    """
    receiving, sending = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, sending, 1)]
    actions += [(os.POSIX_SPAWN_DUP2, sending if errors else null, 2)]
    variables = environment() | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
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
    has_failed = os.waitpid(process, 0)[1] != 0
    return output if has_failed == errors else None


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
