"""What ``levada compile`` gave last time, and whether it would give the same now.

An entry belongs to one command line in one folder. It holds the finished product, and everything
that the product was made from: the contents of all files that were read, the names in the folders
where modules were looked for (a new file there could change what an import means), what the globs
of its steps' data files match, the marks of the project's root that were absent on the way up, the
packages that the project takes from folders and its environment, the distributions on
``sys.path``, and Levada's own files. If any of these differs, the entry is not used. An entry that
cannot be read is no entry.

Runs before anything else is imported, so it imports only what costs next to nothing.
"""

from __future__ import annotations

import marshal
import os
import sys

from levada.regular_files import regular

from .output import Product

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MAGIC = b"levada compile cache 3\n"
_MOST_ENTRIES = 500
_ROOT_MARKS = ("pyproject.toml", ".git")
_LOCK = "levada.lock"
#: The folder of the entries in that of ``LEVADA_CACHE_DIR``.
_FOLDER = "compile"


def replay(arguments: list[str]) -> Product | None:
    """The product of this command line if nothing changed since, else None."""
    where = place(arguments)
    entry = None if where is None else read(where, _MAGIC)
    if entry is None:
        return None
    product, files, folders, globs, absent, own = entry
    fresh = own == fingerprint() and _unchanged(files, folders) and not _any_exists(absent)
    fresh = fresh and all(_matches(*glob) == names for glob, names in globs.items())
    return Product(*product) if fresh else None


def read(where: str, magic: bytes) -> Any:
    """What :func:`write` has written into a file; None where it cannot be read."""
    try:
        with open(where, "rb") as file:
            entry = file.read()
        if not entry.startswith(magic):
            return None
        digest, payload = entry[len(magic) :][:64], entry[len(magic) + 64 :]
        if digest.decode("ascii", "replace") != sha256(payload):
            return None
        return marshal.loads(payload)  # noqa: S302
    except (OSError, ValueError, EOFError, TypeError):
        return None


def write(where: str, magic: bytes, entry: Any) -> None:
    """Write an entry whole or not at all. One that cannot be written is not an error."""
    payload = marshal.dumps(entry)
    temporary = f"{where}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        _make_room(os.path.dirname(where))
        with open(temporary, "wb") as file:
            file.write(magic + sha256(payload).encode() + payload)
        os.replace(temporary, where)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)


def remember(
    arguments: list[str],
    product: Product,
    files: dict[str, str],
    root: str,
    search: list[str],
    patterns: list[str],
    consulted: Iterable[str] = (),
) -> None:
    """Keep the product. ``files`` maps absolute paths to the digests of what was read.

    ``patterns`` are the globs of data files below the root, whose contents count too, and
    ``consulted`` the files and folders that decided what imports mean, there or not.
    Best effort: a cache that cannot be written is not an error.
    """
    where = place(arguments)
    if where is None:
        return
    globs = {(root, pattern): _matches(root, pattern) for pattern in patterns}
    others = {path: _digest(path) for path in consulted if os.path.isfile(path)}
    places = {path for path in consulted if os.path.isdir(path)}
    files = {**others, **files, **_digests(root, globs)}
    folders = {
        folder: module_names(folder) for folder in {*search, *places, *map(os.path.dirname, files)}
    }
    absent = absent_marks(root, [os.path.dirname(path) for path in files])
    absent += [path for path in consulted if not os.path.exists(path)]
    plain = {path: digest.rpartition(":")[2] for path, digest in files.items()}
    entry: Any = (product.as_tuple(), plain, folders, globs, absent, fingerprint())
    write(where, _MAGIC, entry)


def sha256(data: bytes) -> str:
    """The digest in hex, from the builtin module: hashlib takes 7 ms to import."""
    try:
        module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    except ImportError:  # an interpreter that has it only from OpenSSL
        import hashlib as module
    text: str = module.sha256(data).hexdigest()
    return text


def fingerprint() -> str:
    """Levada as it is installed: paths, sizes and times of its files, and what is on the path."""
    here = os.path.dirname(os.path.abspath(__file__))
    parts = [sys.version, *sys.path]
    for package in (here, *map(_sibling, ("levada", "levada_compiler", "levada_backends"))):
        parts += _files_below(package)
    parts += [name for folder in sys.path for name in _distributions(folder)]
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape"))


def place(arguments: list[str]) -> str | None:
    """The file of the entry; None where there is no folder for it."""
    given = os.environ.get("LEVADA_CACHE_DIR")
    base = given or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # A folder of our own in whatever folder was given: others may keep their files there.
    folder = os.path.join(base, *([_FOLDER] if given else ["levada", "compile"]))
    if not os.path.isabs(folder):
        return None
    variables = ("NO_COLOR", "FORCE_COLOR", "TERM", "VIRTUAL_ENV")
    look = [os.environ.get(name, "") for name in variables]
    look += [str(sys.stdout.isatty()), str(sys.stderr.isatty())]
    try:
        key = "\0".join([os.getcwd(), *look, *arguments])
    except OSError:  # the current folder is gone
        return None
    return os.path.join(folder, sha256(key.encode("utf-8", "surrogateescape")))


def _make_room(folder: str) -> None:
    """Start anew when there are many entries: one is written again in a moment."""
    names = [name for name in os.listdir(folder) if _is_entry(name)]
    if len(names) < _MOST_ENTRIES:
        return
    for name in names:
        try:
            os.unlink(os.path.join(folder, name))
        except OSError:  # another process has done it
            continue


def _is_entry(name: str) -> bool:
    """Whether a file's name is that of an entry, or of one that was being written."""
    digest, _, process = name.partition(".")
    is_digest = len(digest) == 64 and not digest.strip("0123456789abcdef")
    return is_digest and (process.isdigit() or name == digest)


def _unchanged(files: dict[str, str], folders: dict[str, list[str]]) -> bool:
    for path, digest in files.items():
        try:
            with open(path, "rb", opener=regular) as file:
                if sha256(file.read()) != digest:
                    return False
        except OSError:
            return False
    return all(module_names(folder) == names for folder, names in folders.items())


def _matches(root: str, pattern: str) -> list[str]:
    from levada import data_files

    return data_files.find(root, pattern)


def _digests(root: str, globs: dict[tuple[str, str], list[str]]) -> dict[str, str]:
    found = {}
    for name in {name for names in globs.values() for name in names}:
        path = os.path.join(root, name)
        found[path] = _digest(path)
    return found


def _digest(path: str) -> str:
    with open(path, "rb", opener=regular) as file:
        return sha256(file.read())


def _any_exists(paths: list[str]) -> bool:
    return any(os.path.exists(path) for path in paths)


def module_names(folder: str) -> list[str]:
    """The names in a folder that an import could mean, those of a project's root, its lock.

    Of an environment also its distributions, and the files that link folders into it.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(
        name
        for name in names
        if name.endswith((".py", ".pth", ".dist-info"))
        or name in (*_ROOT_MARKS, _LOCK)
        or (name.isidentifier() and name != "__pycache__")
    )


def digest_of_names(found: list[str]) -> str:
    """One word for a list of names."""
    return sha256("\0".join(found).encode("utf-8", "surrogateescape"))


def absent_marks(root: str, folders: list[str]) -> list[str]:
    """The root's marks that are not there, in these folders and all above up to the root.

    Without a marked root those up to the top of the file system: one that appears moves the root.
    """
    marked = any(os.path.exists(os.path.join(root, mark)) for mark in _ROOT_MARKS)
    paths: set[str] = set()
    for start in folders:
        folder = start
        while True:
            paths.update(os.path.join(folder, mark) for mark in _ROOT_MARKS)
            parent = os.path.dirname(folder)
            if parent == folder or (marked and folder == root):
                break
            folder = parent
    return sorted(path for path in paths if not os.path.exists(path))


def _sibling(package: str) -> str:
    """The folder of another of Levada's packages, without importing it."""
    for folder in sys.path:
        place = os.path.join(folder, package)
        if os.path.isfile(os.path.join(place, "__init__.py")):
            return place
    return package


def _files_below(folder: str) -> list[str]:
    found = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        if entry.name.endswith(".md") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            found += _files_below(entry.path)
        else:
            status = entry.stat()
            found.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
    return found


def _distributions(folder: str) -> list[str]:
    """Installed distributions of a folder: a target may come from any of them."""
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return sorted(name for name in names if name.endswith((".dist-info", ".egg-info")))
