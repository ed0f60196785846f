"""Files and folders: a step that returns a ``Path`` hands over what is there, not the name.

A file is a blob. A folder is a blob of canonical JSON that lists what is in it, sorted::

    [["file", "a/b.txt", "sha256:…", 12, false], ["folder", "empty"], ["link", "latest", "a/b.txt"]]

(path, digest, size in bytes, whether it is executable). Times, owners and other modes are not part
of the value. What a step gets is a copy of its own in the workspace.
"""

from __future__ import annotations

import os
import stat

from levada.artifact import (
    Artifact,
    CorruptArtifact,
    MaterializerError,
    brief,
    check_expansion,
    fits,
)
from levada.hashing import sha256
from levada.previews import files
from levada.store import CHUNK, DamagedBlob
from levada.trees.canonical import canonical, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from levada.materializers import Sink, Source
    from levada.store import Store
    from levada.trees.tree_types import Content

FOLDER_FORMAT = "folder"
#: Links that Linux follows on the way to one file.
_MOST_LINKS = 40
#: Characters of a path on Linux; a longer one names nothing.
_LONGEST = 4096
_workspace: tuple[int, str] | None = None  # the process that it belongs to, and the folder


class PathMaterializer:
    """Keeps the file or folder that a Path names."""

    name = "path"

    def handles(self, value: object) -> bool:
        """Whether this is a concrete Path."""
        from pathlib import Path

        return isinstance(value, Path)

    def save(self, value: Path, sink: Sink) -> None:
        """Write the file's content, or the list of what is in the folder."""
        try:
            _save(os.fspath(value), sink)
        except OSError as error:
            raise MaterializerError(
                f"the path {os.fspath(value)!r} cannot be stored: {error.strerror or error};"
                " return a Path of something that exists and can be read, or a str if only the"
                " name is meant"
            ) from error

    def load(self, source: Source) -> Path:
        """Copy the file or folder to the workspace and give its Path."""
        from pathlib import Path

        name = source.meta.get("name")
        if not isinstance(name, str) or not is_safe_name(name):
            raise CorruptArtifact(f"a stored path cannot be called {brief(name)}")
        target = os.path.join(new_folder(), name)
        copy_to(source.artifact, source.store, target)
        return Path(target)


def copy_to(artifact: Artifact, store: Store, target: str) -> None:
    """Copy a stored file or folder, verified, to a path where nothing is.

    Raises CorruptArtifact, OSError, and StoreError.
    """
    if artifact.format == FOLDER_FORMAT:
        data = store.read_blob(artifact.digest)
        artifact.check_size(len(data))
        _load_folder(parse(data), store, target)
    else:
        executable = bool(artifact.meta.get("executable"))
        _load_file(store, artifact.digest, target, executable, size=artifact.size)


def is_safe_name(name: str) -> bool:
    """Whether a stored name can be that of one file or folder."""
    return _is_safe(name) and "/" not in name


def _save(path: str, sink: Sink) -> None:
    state = os.stat(path)
    sink.type = "pathlib:Path"  # The class itself is another one on other systems.
    sink.meta = {"name": _stable_name(os.path.basename(os.path.abspath(path)))}
    if stat.S_ISDIR(state.st_mode):
        sink.format = FOLDER_FORMAT
        entries = list(_entries(path, "", sink.store))
        if leaving := _leaving(entries):
            name, target = leaving
            raise MaterializerError(
                f"{os.path.join(path, name)!r} is a link to {target!r}, which is outside of the"
                " folder or absolute; copy what it leads to into the folder"
            )
        if not fits(*_sizes(entries)):
            raise MaterializerError(
                f"the folder {path!r} holds the same content so often that it cannot be loaded"
                " again; return one copy, and let the step that takes it make the others"
            )
        sink.write(canonical(entries))
        sink.preview = lambda: files.show_folder(entries)
    elif stat.S_ISREG(state.st_mode):
        sink.format = "file"
        if state.st_mode & stat.S_IXUSR:
            sink.meta["executable"] = True
        _copy(path, sink)
        sink.preview = lambda: files.show_file(path)
    else:
        raise MaterializerError(
            f"{path!r} is neither a file nor a folder, so it has no content to store; return what"
            " was read from it"
        )


def _copy(path: str, sink: Sink) -> None:
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            sink.write(chunk)


def _stable_name(name: str) -> str:
    """Forget a name that ``tempfile`` made up: it would differ from run to run."""
    stem, dot, ending = name.partition(".")
    letters = stem.removeprefix("tmp")
    made_up = len(stem) == 11 and len(letters) == 8 and letters.replace("_", "a").isalnum()
    return f"tmp{dot}{ending}" if made_up and letters == letters.lower() else (name or "root")


def _entries(root: str, inside: str, store: Store) -> Iterator[list[Content]]:
    with os.scandir(os.path.join(root, inside)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if entry.is_symlink():
            yield ["link", name, os.readlink(entry.path)]
        elif entry.is_dir():
            below = list(_entries(root, name, store))
            yield from below or [["folder", name]]
        elif entry.is_file():
            digest, size = store.put_blob_file(entry.path)
            yield ["file", name, digest, size, bool(entry.stat().st_mode & stat.S_IXUSR)]
        else:
            raise MaterializerError(
                f"{entry.path!r} is neither a file nor a folder, so it has no content to store;"
                " remove it before the folder is returned"
            )


def _leaving(entries: list[list[Content]]) -> tuple[str, str] | None:
    """Return the name and the target of a link that leads out of the folder, if there is one."""
    links = {entry[1]: entry[2] for entry in entries if entry[0] == "link"}
    return next((link for link in links.items() if _leads_out(link[0], links)), None)


def _leads_out(name: str, links: dict[str, str]) -> bool:
    """Follow a link as the system does, through other links of the folder."""
    place, parts, followed = name.split("/")[:-1], [name.rpartition("/")[2]], 0
    while parts and followed <= _MOST_LINKS:
        part = parts.pop(0)
        if part == "..":
            if not place:
                return True
            place.pop()
        elif part not in ("", "."):
            place.append(part)
            target = links.get("/".join(place))
            if target is not None:
                if not target or target.startswith("/") or "\0" in target:
                    return True
                place.pop()
                parts[:0] = target.split("/")
                followed += 1
    return False


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    if "\0" in name or len(name) > _LONGEST:
        return False
    return not any(part in ("", ".", "..") for part in parts)


def _load_folder(entries: object, store: Store, target: str) -> None:
    """Make the folder. Links come last, so that nothing is ever written through one."""
    os.mkdir(target)
    checked = [_checked(entry) for entry in entries] if isinstance(entries, list) else None
    if checked is None or not _is_tree(checked):
        raise CorruptArtifact("a stored folder does not list its files")
    if leaving := _leaving(checked):
        raise CorruptArtifact(f"a stored folder has a link that leaves it: {brief(leaving)}")
    check_expansion(*_sizes(checked))
    for kind, name, *rest in sorted(checked, key=lambda entry: entry[0] == "link"):
        path = f"{target}/{name}"
        os.makedirs(path if kind == "folder" else os.path.dirname(path), exist_ok=True)
        if kind == "file":
            _load_file(store, rest[0], path, rest[2], size=rest[1])
        elif kind == "link":
            os.symlink(rest[0], path)


def _is_tree(entries: list[list[Content]]) -> bool:
    """Whether no name is there twice, and nothing is within a file or a link."""
    root: dict[str, Any] = {}
    for kind, name, *_ in entries:
        *above, last = name.split("/")
        folder = root
        for part in above:
            folder = folder.setdefault(part, {})
            if folder is None:
                return False
        if kind == "folder":
            # It may be there already by what is in it; of two entries for it the second is one too
            # many, which is found by their number.
            if folder.setdefault(last, {}) is None:
                return False
        elif last in folder:
            return False
        else:
            folder[last] = None
    return len({entry[1] for entry in entries}) == len(entries)


def _sizes(entries: list[list[Content]]) -> tuple[int, int]:
    """Return the bytes of the files of a folder, and those that are stored: each content once."""
    files = [(entry[2], entry[3]) for entry in entries if entry[0] == "file"]
    return sum(size for _, size in files), sum(dict(files).values())


def _checked(entry: Content) -> list[Content]:
    match entry:
        case ["file", str(name), str(), int(size), bool()] if _is_safe(name) and size >= 0:
            return list(entry)
        case ["folder", str(name)] if _is_safe(name):
            return list(entry)
        case ["link", str(name), str(target)] if _is_safe(name) and len(target) <= _LONGEST:
            return list(entry)
    raise CorruptArtifact(f"a stored folder cannot hold {brief(entry)}")


def _load_file(store: Store, digest: str, target: str, executable: bool, *, size: int) -> None:
    copy_blob(store, digest, target)
    if os.stat(target).st_size != size:
        raise CorruptArtifact(f"{digest} does not have the {size} bytes that a stored path says")
    if executable:
        os.chmod(target, os.stat(target).st_mode | 0o111)  # noqa: S103


def copy_blob(store: Store, digest: str, target: str) -> None:
    """Copy a blob to a new file, verified. Raises DamagedBlob or another StoreError."""
    with store.open_blob(digest) as blob, open(target, "xb", buffering=0) as file:
        hasher = sha256(b"", blob.seek(0, os.SEEK_END))
        blob.seek(0)
        while chunk := blob.read(CHUNK):
            hasher.update(chunk)
            written = file.write(chunk)
            while written < len(chunk):
                written += file.write(chunk[written:])
    if f"sha256:{hasher.hexdigest()}" != digest:
        os.unlink(target)
        raise DamagedBlob(digest, store.url)


def verify_path(artifact: Artifact, store: Store) -> bool:
    """Whether a stored file or folder is complete and undamaged."""
    if artifact.format != FOLDER_FORMAT:
        return store.verify_blob(artifact.digest)
    entries = parse(store.read_blob(artifact.digest))
    if not isinstance(entries, list):
        return False
    digests = {entry[2] for entry in map(_checked, entries) if entry[0] == "file"}
    return all(map(store.verify_blob, digests))


def set_workspace(folder: str | os.PathLike[str]) -> None:
    """Say where loaded files are put in this process; whoever says so removes it afterwards."""
    global _workspace
    os.makedirs(folder, exist_ok=True)
    _workspace = (os.getpid(), os.fspath(folder))


def new_folder() -> str:
    """Make a new folder in this process's workspace, which is removed when the process ends."""
    global _workspace
    from tempfile import mkdtemp

    if _workspace is None or _workspace[0] != os.getpid():
        import atexit
        import shutil

        _workspace = (os.getpid(), mkdtemp(prefix="levada-"))
        atexit.register(shutil.rmtree, _workspace[1], ignore_errors=True)
    return mkdtemp(dir=_workspace[1], prefix="")


def is_copy(path: Path) -> bool:
    """Whether a path is in this process's workspace, so that its name means nothing elsewhere."""
    if _workspace is None:
        return False
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(_workspace[1]), ""))


MATERIALIZER = PathMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
