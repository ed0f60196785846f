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
from contextlib import suppress

from levada import git, sources
from levada.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada.record_types import GitPart
    from levada.sources import SourceFiles
    from levada.store import Store

    from .runs import Run

#: Folders above the project's root that its files may be in: packages that it takes from folders.
_MOST_ABOVE = 8
_SECONDS = 600.0  # for one call of git
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: Of what git ignores, what is no data of the project.
_NO_DATA = ("__pycache__", "build", "dist", "node_modules", "site", "target", "venv")


class CodeNotStored(Exception):  # noqa: N818
    """The code of a run cannot be restored: nothing of it, or not where it would have to be."""


class RecordedCode:
    """The restored code of a run, below ``folder``; ``root`` is the root of the project in it.

    ``origin`` says in words where it is from. ``missing`` says what could not be restored, and
    ``linked`` names what is linked from the project as it is now, because no run stores it.
    """

    __slots__ = ("folder", "linked", "missing", "origin", "root")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.root = folder
        self.origin = ""
        self.missing: list[str] = []
        self.linked: list[str] = []


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
    top = _repository(part, project, found) if part is not None else None
    if top is None and not files:
        raise CodeNotStored("; ".join(found.missing) or _nothing(part))
    if part is not None and top is not None:
        _clone(run.store, part, top, found)
    elif part is not None:
        found.origin = "what the store has of it"
        _place_root(found, part.get("folder") or ".", files)
        _write_blobs(run.store, part, found)
    else:
        found.origin = "what the store has of it"
        _place_root(found, ".", files)
    _write_sources(files, found)
    if project is not None:
        _link_data(run, found, project)
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
    """Choose the project's root so that files above it are within the folder, too."""
    above = [_above(name) for name in files]
    depth = max([0, *(number for number in above if number is not None)])
    inner = [f"above{number}" for number in range(depth, 0, -1)]
    found.root = _inside(found.folder, os.path.join("work", *inner, own))
    os.makedirs(found.root, exist_ok=True)


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
    return path


def _is_in(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)


def _write_sources(files: SourceFiles, found: RecordedCode) -> None:
    """Write the sources over what is there; those that are masked only where nothing is."""
    for name, file in files.items():
        if _above(name) is None:
            raise CodeNotStored(f"the record names a file outside of the project: {name!r}")
        path = _inside(found.folder, os.path.join(found.root, *name.split("/")))
        is_there = os.path.isfile(path)
        if "text" in file and not (file.get("masked") and is_there):
            data = sources.content(file)
            if not is_there or _content(path) != data:
                _write(path, data)
        if file.get("masked") and not is_there:
            found.missing.append(f"{name}: a secret in it is masked")
        if "text" not in file and not is_there:
            found.missing.append(f"{name}: {file['left_out']}")


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write_blobs(store: Store, part: GitPart, found: RecordedCode) -> None:
    """Write the files of a repository that are stored whole: untracked ones and binary ones."""
    own = part.get("folder") or "."
    top = os.path.normpath(os.path.join(found.root, os.path.relpath(".", own)))
    for entry in [*part["untracked"], *(part.get("binary") or ())]:
        path = _inside(found.folder, os.path.join(top, entry["path"]))
        if entry["digest"] is None:
            size = "" if entry["size"] is None else f" ({entry['size']:,} bytes)"
            found.missing.append(f"{entry['path']}{size}: its content is not stored")
            continue
        try:
            _write(path, store.read_blob(entry["digest"]))
        except StoreError as error:
            found.missing.append(f"{entry['path']}: {error}")
    for left_out in part.get("left_out") or ():
        found.missing.append(f"{left_out['path']}: its name says that it holds credentials")


# ---------------------------------------------------------------- the repository


def _repository(part: GitPart, project: str | None, found: RecordedCode) -> str | None:
    """Return the top of the repository that has the commit, or say why there is none."""
    commit = part["commit"]
    if commit is None:
        found.missing.append("the commit: the repository had none")
        return None
    short = commit[:12]
    if _COMMIT.fullmatch(commit) is None:
        found.missing.append("the commit: the record does not have a valid one")
        return None
    if project is None:
        found.missing.append(f"the commit {short}: the project is not here")
        return None
    top = _git(project, "rev-parse", "--show-toplevel")
    if top is None:
        found.missing.append(f"the commit {short}: {project} is in no repository that git reads")
        return None
    if _git(project, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        remote = f"; `git fetch` may bring it from {part['remote']}" if part["remote"] else ""
        found.missing.append(f"the commit {short}: it is not in this repository{remote}")
        return None
    return os.fsdecode(top).removesuffix("\n")


def _clone(store: Store, part: GitPart, top: str, found: RecordedCode) -> None:
    """Clone the repository, and make the folder as the record says that it was."""
    commit, work = str(part["commit"]), os.path.join(found.folder, "work")
    _must(found.folder, "clone", "--quiet", "--shared", "--no-checkout", "--", top, work)
    if part["remote"]:
        _git(work, "remote", "set-url", "origin", "--", part["remote"])
    else:
        _git(work, "remote", "remove", "origin")
    branch = part["branch"]
    is_branch = branch and _git(work, "check-ref-format", "--branch", branch) is not None
    place = ("-B", str(branch)) if is_branch else ("--detach",)
    _must(work, "checkout", "--quiet", "--force", *place, commit)
    found.root = _inside(found.folder, os.path.join("work", part.get("folder") or "."))
    found.origin = f"commit {commit[:12]}"
    _add_submodules(top, work, commit, found)
    _apply_diff(store, part, work, found)
    _write_blobs(store, part, found)
    os.makedirs(found.root, exist_ok=True)


def _add_submodules(top: str, work: str, commit: str, found: RecordedCode) -> None:
    """Check out the submodules, from where they are in the user's repository."""
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


def _apply_diff(store: Store, part: GitPart, work: str, found: RecordedCode) -> None:
    """Apply the changes since the commit, but for those that no diff shows."""
    for each in part.get("submodules") or ():
        if each["commit"]:
            found.missing.append(f"{each['path']}: the submodule was at a commit of its own")
    diff = part["diff"]
    if diff is None:
        return
    found.origin += " with the changes since"
    if diff["truncated"]:
        found.missing.append("the changes since the commit: the diff was too large to be stored")
        return
    skipped = [
        each["path"] for each in [*(part.get("binary") or ()), *(part.get("submodules") or ())]
    ]
    patch = os.path.join(found.folder, "changes.diff")
    try:
        _write(patch, store.read_blob(diff["digest"]))
    except StoreError as error:
        found.missing.append(f"the changes since the commit: {error}")
        return
    excluded = [f"--exclude={_literal(path)}" for path in skipped]
    if _git(work, "apply", "--whitespace=nowarn", *excluded, patch) is None:
        found.missing.append("the changes since the commit: the diff does not apply to it")
    os.unlink(patch)


def _literal(path: str) -> str:
    """Return a pattern of git that matches just this path."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)


def _must(folder: str, *words: str) -> None:
    if _git(folder, *words) is None:
        raise CodeNotStored(f"`git {words[0]}` failed on the repository of the project")


def _git(folder: str, *words: str) -> bytes | None:
    """Run git in a folder and return what it prints; None if it fails. No hook of anybody runs."""
    import subprocess

    options = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    options += ["-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false"]
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
    names = dict.fromkeys([*_ignored(project, run.store), *_observed(run, "files", "folders")])
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
    yield from (name for name in sorted(found) if not name.startswith(("/", "..", "$")))


def _hide_from_git(found: RecordedCode) -> None:
    """Let the clone's git not take links for new files of the project."""
    exclude = os.path.join(found.folder, "work", ".git", "info", "exclude")
    if not os.path.isdir(os.path.dirname(os.path.dirname(exclude))):
        return
    os.makedirs(os.path.dirname(exclude), exist_ok=True)
    own = os.path.relpath(found.root, os.path.join(found.folder, "work"))
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
