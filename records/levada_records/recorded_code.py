"""Restores the code of a run into a folder of its own, from what the run's store has of it.

A run says its commit, and the store has the changes since, the untracked files and the texts of all
files that the run's code is in (`levada.sources`). Where the commit is in a repository of this
machine, the folder is a clone of it; elsewhere it has what the store has. The user's repository is
only read.

What is in a store may have been changed by anybody who can write to it. Nothing here leaves the
folder, and nothing is run: whoever runs the code afterwards trusts the store.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress

from levada import git, observations, sources
from levada.redaction import MASK
from levada.store import StoreError

from .documents import read_json_blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.record_types import GitFile, GitPart
    from levada.sources import SourceFiles
    from levada.store import Store

    from .runs import Run

#: Folders above the project's root that its files may be in: packages that it takes from folders.
_MOST_ABOVE = 8
_SECONDS = 600.0  # for one call of git
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: What file systems take for `.git`, besides upper case: characters that they leave out.
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_GIT = (".git", "git~1")
#: Of what git ignores, what is no data of the project.
_NO_DATA = ("__pycache__", "build", "dist", "node_modules", "site", "target", "venv")


class CodeNotStored(Exception):  # noqa: N818
    """The code of a run cannot be restored: nothing of it, or not where it would have to be."""


class RecordedCode:
    """The restored code of a run, below ``folder``; ``root`` is the root of the project in it.

    ``origin`` says in words where it is from, and ``without`` why it is not from a repository.
    ``missing`` says what is not as it was in the run: with it, the code may do something else.
    ``linked`` names what is linked from the project as it is now, because no run stores it.
    ``top`` is the root of the repository.
    """

    __slots__ = ("folder", "linked", "missing", "origin", "root", "top", "unsettled", "without")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.root = self.top = folder
        self.origin = ""
        self.without = ""
        self.missing: list[str] = []
        self.linked: list[str] = []
        #: Files that are not stored, by path: what to say if they are not linked either, and
        #: whether the digest of a step's code tells that they are as they were.
        self.unsettled: dict[str, tuple[str, bool]] = {}


def restore(run: Run, folder: str, *, project: str | None) -> RecordedCode:
    """Restore the code of ``run`` into the empty ``folder``.

    ``project`` is the root of the project as it is now: its repository may have the commit, and its
    folder the data that no run stores. None if it is not there. Raises CodeNotStored if there is
    nothing to restore from, and StoreError if the store cannot be read.
    """
    document = run.document
    if document is None:
        raise CodeNotStored(f"the document of the run {run.run_id} cannot be read")
    found = RecordedCode(os.path.realpath(folder))
    part = document["git"]
    files = _sources(run, found)
    _place_root(found, (part.get("folder") if part is not None else None) or ".", files)
    top = _repository(part, project, found) if part is not None else None
    is_cloned = part is not None and top is not None and _clone(part, top, found)
    if not is_cloned and not files:
        said = [each for each in (found.without, *found.missing) if each]
        raise CodeNotStored("; ".join(said) or _nothing(part))
    os.makedirs(found.root, exist_ok=True)
    if part is not None and is_cloned:
        found.origin = f"commit {str(part['commit'])[:12]}"
        _add_submodules(str(top), str(part["commit"]), found)
        _apply_diff(run.store, part, found)
        os.makedirs(found.root, exist_ok=True)
    else:
        found.origin = "what the store has of it"
    if part is not None:
        _say_what_no_run_stores(part, found)
        _write_blobs(run.store, part, found)
    _write_sources(files, found)
    if project is not None:
        _link_data(run, found, project)
    _settle(run, found)
    return found


def _nothing(part: GitPart | None) -> str:
    if part is None:
        return "the run has stored neither its sources nor a commit"
    return "the run has stored no sources, and its commit is in no repository here"


# ---------------------------------------------------------------- what the store has


def _sources(run: Run, found: RecordedCode) -> SourceFiles:
    document = run.document
    digest = document.get("sources") if document is not None else None
    if not digest:
        return {}
    try:
        return sources.read(run.store, digest)
    except (StoreError, ValueError) as error:
        found.missing.append(f"the sources of the run: {error}")
        return {}


def _place_root(found: RecordedCode, own: str, files: SourceFiles) -> None:
    """Choose the repository's top so that files above the project are within the folder, too."""
    above = [_above(name) for name in files]
    depth = max([0, *(number for number in above if number is not None)])
    parts = [part for part in own.split("/") if part not in ("", ".")]
    inner = [f"above{number}" for number in range(depth - len(parts), 0, -1)]
    found.top = os.path.join(found.folder, "work", *inner)
    found.root = _inside(found.folder, os.path.join(found.top, own))
    if not _is_in(found.root, found.top):
        raise CodeNotStored(f"the record names a folder outside of the repository: {own!r}")


def _above(name: str) -> int | None:
    """Return how many folders above the root a file is; None for what is no name of a file."""
    parts = name.split("/")
    number = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    rest = parts[number:]
    is_plain = rest and not any(part in ("", ".", "..") or "\0" in part for part in rest)
    return number if is_plain and number <= _MOST_ABOVE else None


def _inside(folder: str, name: str) -> str:
    """Return the path of a name below a folder. Raises CodeNotStored if it leads out of it."""
    path = os.path.normpath(os.path.join(folder, name))
    real = os.path.realpath(os.path.dirname(path))
    if "\0" in name or not f"{path}/".startswith(f"{folder}/") or not _is_in(real, folder):
        raise CodeNotStored(f"the record names a file outside of the project: {name!r}")
    for each in (path, real):
        if any(map(_is_git, os.path.relpath(each, folder).split(os.sep))):
            raise CodeNotStored(f"the record names a file of git's own: {name!r}")
    return path


def _is_git(part: str) -> bool:
    """Whether a file system may take a name for ``.git``: what is in there, git runs."""
    return _UNSEEN.sub("", part).partition(":")[0].rstrip(". ").casefold() in _GIT


def _is_in(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def _write(path: str, data: bytes, *, is_executable: bool = False) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        if is_executable:
            mode = os.fstat(file.fileno()).st_mode
            os.fchmod(file.fileno(), mode | (mode & 0o444) >> 2)  # whoever reads it may run it


def _write_sources(files: SourceFiles, found: RecordedCode) -> None:
    """Write the sources over what is there; those that are masked only where nothing is."""
    for name, file in files.items():
        if _above(name) is None:
            raise CodeNotStored(f"the record names a file outside of the project: {name!r}")
        path = _inside(found.folder, os.path.join(found.root, *name.split("/")))
        is_there = os.path.isfile(path)
        if "text" in file and not (file.get("masked") and is_there):
            data = sources.content(file)
            found.unsettled.pop(path, None)
            if not is_there or _content(path) != data:
                _write(path, data, is_executable=file.get("executable") is True)
        if file.get("masked") and not is_there:
            found.missing.append(f"{name}: a secret in it is masked")
        if "text" not in file and not is_there:
            found.unsettled[path] = f"{name}: {file['left_out']}", True


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write_blobs(store: Store, part: GitPart, found: RecordedCode) -> None:
    """Write the files of a repository that are stored whole: untracked ones and binary ones."""
    for entry in [*part["untracked"], *(part.get("binary") or ())]:
        name, digest = entry["path"], entry["digest"]
        path = _inside(found.folder, os.path.join(found.top, name))
        if MASK in name:
            found.missing.append(f"{name}: a secret in its name is masked")
        elif digest is None:
            size = "" if entry["size"] is None else f" ({entry['size']:,} bytes)"
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)  # what was committed of a binary file
            found.unsettled[path] = f"{name}{size}: its content is not stored", False
        else:
            _write_blob(store, entry, digest, path, found)


def _write_blob(store: Store, entry: GitFile, digest: str, path: str, found: RecordedCode) -> None:
    try:
        data = store.read_blob(digest)
    except StoreError as error:
        found.missing.append(f"{entry['path']}: {error}")
        return
    _write(path, data, is_executable=entry.get("executable") is True)
    if _is_masked(entry.get("masked"), data):
        found.missing.append(f"{entry['path']}: a secret in it is masked")


def _is_masked(said: object, data: bytes) -> bool:
    """Whether a secret in a blob is masked. Older runs do not say so: then by what it has."""
    return MASK.encode() in data if said is None else said is not False


def _say_what_no_run_stores(part: GitPart, found: RecordedCode) -> None:
    """Say what a record itself tells to be left out of it."""
    for left_out in part.get("left_out") or ():
        found.missing.append(f"{left_out['path']}: its name says that it holds credentials")
    if "problem" in part:
        found.missing.append(f"the changes since the commit: git said: {part['problem']}")
    elif part["dirty"] and part["commit"] and part["diff"] is None and not part["untracked"]:
        found.missing.append("the changes since the commit: git did not say them in time")
    if len(part["untracked"]) >= git.MAX_UNTRACKED:
        found.missing.append(f"untracked files after the first {git.MAX_UNTRACKED}")
    if len(part.get("binary") or ()) >= git.MAX_UNTRACKED:
        found.missing.append(f"changed binary files after the first {git.MAX_UNTRACKED}")
    if len(part.get("submodules") or ()) > git.MAX_SUBMODULES:
        found.missing.append(f"changes of submodules after the first {git.MAX_SUBMODULES}")


# ---------------------------------------------------------------- the repository


def _repository(part: GitPart, project: str | None, found: RecordedCode) -> str | None:
    """Return the top of the repository that has the commit, or say why there is none."""
    commit = part["commit"]
    if commit is None:
        found.without = "the commit: the repository had none"
        return None
    short = commit[:12]
    if _COMMIT.fullmatch(commit) is None:
        found.without = "the commit: the record does not have a valid one"
        return None
    if project is None:
        found.without = f"the commit {short}: the project is not here"
        return None
    top = _git(project, "rev-parse", "--show-toplevel")
    if top is None:
        found.without = f"the commit {short}: {project} is in no repository that git reads"
        return None
    if _git(project, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        remote = f"; `git fetch` may bring it from {part['remote']}" if part["remote"] else ""
        found.without = f"the commit {short}: it is not in this repository{remote}"
        return None
    return os.fsdecode(top).removesuffix("\n")


def _clone(part: GitPart, top: str, found: RecordedCode) -> bool:
    """Clone the repository at the commit; if git cannot, say so and leave nothing."""
    commit, work = str(part["commit"]), found.top
    os.makedirs(os.path.dirname(work), exist_ok=True)
    cloned = _git(found.folder, "clone", "--quiet", "--shared", "--no-checkout", "--", top, work)
    if cloned is not None:
        if part["remote"]:
            _git(work, "remote", "set-url", "origin", "--", part["remote"])
        else:
            _git(work, "remote", "remove", "origin")
        branch = part["branch"]
        is_branch = branch and _git(work, "check-ref-format", "--branch", branch) is not None
        place = ("-B", str(branch)) if is_branch else ("--detach",)
        if _git(work, "checkout", "--quiet", "--force", *place, commit) is not None:
            return True
    shutil.rmtree(work, ignore_errors=True)
    found.without = (
        f"the commit {commit[:12]}: git cannot check it out from this repository, which may lack"
        " some of its files (a partial or shallow clone)"
    )
    return False


def _add_submodules(top: str, commit: str, found: RecordedCode) -> None:
    """Check out the submodules, from where they are in the user's repository."""
    work = found.top
    listed = _git(work, "ls-tree", "-r", "-z", commit) or b""
    for entry in listed.split(b"\0"):
        told, _, path = entry.partition(b"\t")
        if not told.startswith(b"160000 "):
            continue
        name, own = os.fsdecode(path), told.split()[2].decode()
        source = os.path.join(top, name)
        place = _inside(found.folder, os.path.join(work, name))
        is_there = os.path.exists(os.path.join(source, ".git"))
        options = ("--quiet", "--shared", "--no-checkout", "--", source, place)
        if not (
            is_there
            and _git(work, "clone", *options) is not None
            and _git(place, "checkout", "--quiet", "--detach", own) is not None
        ):
            found.missing.append(f"{name}: its commit {own[:12]} is not in the submodule here")


def _apply_diff(store: Store, part: GitPart, found: RecordedCode) -> None:
    """Apply the changes since the commit, but for those that no diff shows."""
    for each in part.get("submodules") or ():
        if each["commit"]:
            found.missing.append(f"{each['path']}: the submodule was at a commit of its own")
    diff = part["diff"]
    if diff is None or diff["size"] == 0:  # nothing but what is left out
        return
    if diff["truncated"]:
        found.missing.append("the changes since the commit: the diff was too large to be stored")
        return
    try:
        data = store.read_blob(diff["digest"])
    except StoreError as error:
        found.missing.append(f"the changes since the commit: {error}")
        return
    if _is_masked(diff.get("masked"), data):
        found.missing.append("the changes since the commit: a secret in the diff is masked")
    binary = git.binary_files(data)
    skipped = {each["path"] for each in part.get("submodules") or ()}
    skipped |= {now or before for before, now in binary}
    patch = os.path.join(found.folder, "changes.diff")
    _write(patch, data)
    excluded = [f"--exclude={_literal(path)}" for path in sorted(skipped) if path]
    applied = _git(found.top, "apply", "--whitespace=nowarn", *excluded, patch)
    os.unlink(patch)
    if applied is None:
        found.missing.append("the changes since the commit: the diff does not apply to it")
        return
    found.origin += " with the changes since"
    for before, now in binary:
        if before and before != now:  # it was deleted, or has another name
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(_inside(found.folder, os.path.join(found.top, before)))


def _literal(path: str) -> str:
    """Return a pattern of git that matches just this path."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)


def _git(folder: str, *words: str) -> bytes | None:
    """Run git in a folder and return what it prints; None if it fails. No hook of anybody runs."""
    import subprocess

    options = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    options += ["-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false"]
    options += ["-c", "safe.bareRepository=explicit", "-c", "gc.auto=0"]
    variables = git.environment() | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *options, *words],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


# ---------------------------------------------------------------- data


def _link_data(run: Run, found: RecordedCode, project: str) -> None:
    """Link what the steps read and no run stores from the project as it is now."""
    read = sorted({name for name, _ in _read_files(run)} | set(_observed(run, "folders")))
    names = dict.fromkeys([*_ignored(project, run.store), *filter(_is_own, read)])
    for name in names:
        source = os.path.join(project, name)
        try:
            place = _inside(found.folder, os.path.join(found.root, name))
        except CodeNotStored:  # a step read it from outside of the project
            continue
        if os.path.lexists(place) or not os.path.exists(source):
            continue
        with suppress(OSError):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.symlink(os.path.abspath(source), place)
            found.linked.append(name)
    _hide_from_git(found)
    for name in _observed(run, "modules"):
        if not os.path.exists(os.path.join(found.root, name)):
            found.missing.append(
                f"{name}: a step imports it by a computed name, so it is no source"
            )


def _settle(run: Run, found: RecordedCode) -> None:
    """Say which files are not stored, but for those that are linked and as they were.

    Sources are checked by the digests of the steps' code.
    """
    states: dict[str, list[Any]] = {}
    if found.unsettled:
        for name, state in _read_files(run):
            states.setdefault(os.path.join(found.root, name), []).append(state)
    for path, (text, is_checked) in found.unsettled.items():
        then = states.get(path, ())
        is_same = bool(then) and all(observations.is_same_file(path, state) for state in then)
        if not os.path.isfile(path) or not (is_checked or is_same):
            found.missing.append(text)


def _read_files(run: Run) -> Iterator[tuple[str, Any]]:
    """Yield the files that the steps of a run read, each with its state then."""
    for step in run.steps:
        seen: Any = step.record.get("observed") if step.record is not None else None
        files: Any = seen.get("files") if isinstance(seen, dict) else None
        if isinstance(files, dict) and isinstance(files.get("$blob"), str):  # many
            files = read_json_blob(run.store, files["$blob"])
        if isinstance(files, dict):
            yield from files.items()


def _ignored(project: str, store: Store) -> Iterator[str]:
    """Yield the data of a project that git ignores, relative to its root."""
    words = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    listed = os.fsdecode(_git(project, *words) or b"").split("\0")
    kept = [os.path.realpath(folder) for folder in store.local_folders()]
    for entry in listed:
        name = entry.removesuffix("/")
        parts = name.split("/")
        if not name or any(part.startswith(".") or part in _NO_DATA for part in parts):
            continue
        if name.endswith((".pyc", ".egg-info")) or any(
            _is_in(folder, os.path.realpath(os.path.join(project, name))) for folder in kept
        ):
            continue
        yield name


def _observed(run: Run, *parts: str) -> Iterator[str]:
    """Yield what the steps of a run read in their project, by name."""
    found: dict[str, None] = {}
    for step in run.steps:
        seen: Any = step.record.get("observed") if step.record is not None else None
        for part in parts if isinstance(seen, dict) else ():
            names = seen.get(part)
            found |= dict.fromkeys(names if isinstance(names, dict) else ())
    yield from (name for name in sorted(found) if _is_own(name))


def _is_own(name: str) -> bool:
    """Whether the name of something observed is that of a file in the project."""
    return not name.startswith(("/", "..", "$"))


def _hide_from_git(found: RecordedCode) -> None:
    """Let the clone's git not take links for new files of the project."""
    exclude = os.path.join(found.top, ".git", "info", "exclude")
    if not os.path.isdir(os.path.dirname(os.path.dirname(exclude))):
        return
    os.makedirs(os.path.dirname(exclude), exist_ok=True)
    own = os.path.relpath(found.root, found.top)
    names = (os.path.normpath(os.path.join(own, name)) for name in found.linked)
    with open(exclude, "a", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"/{_literal(name)}\n" for name in names)


def differences(plan: Any, root: str) -> list[str]:
    """Return the steps of a plan, ``module:function``, whose code at ``root`` is another one.

    >>> differences(plan, "/tmp/levada-code-x")
    ['churn:train']
    """
    from levada.code import Code
    from levada.project import Project

    search = [os.path.normpath(os.path.join(root, each)) for each in plan["search"]]
    project = Project(root, search)
    code = Code(project)
    return [key for key, step in plan["steps"].items() if not _is_same(step, project, code)]


def _is_same(step: Any, project: Any, code: Any) -> bool:
    if "container" in step:  # the program of an image
        return True
    path = project.locate(step["module"]) or project.environment.locate(step["module"])
    if path is None:
        return False
    files: Iterable[str] = step["settings"].get("files") or ()
    try:
        return bool(code.step(path, step["function"], files).digest == step["code"])
    except (LookupError, OSError, SyntaxError):
        return False
