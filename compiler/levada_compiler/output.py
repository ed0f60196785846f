"""Compiled files on their way to disk: compared, written all or none, and reported.

What a compilation gives is a :class:`Product`, made by the compile command or taken from the
cache; everything after that point is here and is the same for both. Imports little: a compile
that hits the cache runs only this module and :mod:`.compile_cache`.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class OutputError(Exception):
    """The files cannot be written (or read to compare); the text is for the user."""


class Product:
    """Everything that ``levada compile`` is about to write and say.

    ``mode`` is ``write``, ``force`` (also replace what Levada did not write), ``check`` or
    ``print``. ``files`` holds (target, path relative to ``folder``, text), made from the project
    at ``root``. ``messages`` is the rendered diagnostics, and ``diagnostics`` the same as JSON
    text where ``as_json`` asks for it.
    """

    __slots__ = ("as_json", "colour", "diagnostics", "files", "folder", "messages", "mode", "root")

    def __init__(
        self,
        mode: str,
        folder: str,
        files: tuple[tuple[str, str, str], ...],
        messages: str,
        diagnostics: str,
        as_json: bool,
        colour: bool,
        root: str = "",
    ) -> None:
        self.mode = mode
        self.folder = folder
        self.files = files
        self.messages = messages
        self.diagnostics = diagnostics
        self.as_json = as_json
        self.colour = colour
        self.root = root

    def as_tuple(self) -> tuple[object, ...]:
        """The arguments that make it again."""
        names = ("mode", "folder", "files", "messages", "diagnostics", "as_json", "colour", "root")
        return tuple(getattr(self, name) for name in names)


def deliver(product: Product) -> int:
    """Write, compare or print the files, say so, and give the exit status.

    Raises:
        OutputError: the folder or a file cannot be written, holds what another pipeline was
            compiled to, or what Levada did not write; then nothing was written.
    """
    if product.messages:
        sys.stderr.write(product.messages)
    if product.mode == "print":
        for _, _, text in product.files:
            sys.stdout.write(text)
        return 0
    contents = {path: text.encode("utf-8") for _, path, text in product.files}
    before = read(product.folder, contents)
    if product.mode == "write":
        _refuse_foreign(product, before, contents)
    _refuse_others(product, before, contents)
    if product.mode == "check":
        return _report_check(product, before)
    write(product.folder, contents, before)
    _report(product, {path: _status(before[path], contents[path]) for path in contents})
    return 0


def _refuse_foreign(
    product: Product, before: dict[str, bytes | None], contents: dict[str, bytes]
) -> None:
    """Never replace what Levada did not write: a file without the line at the top of its own."""
    for path, old in before.items():
        if not old or old == contents[path]:
            continue
        from .origin import is_made

        if is_made(contents[path].decode()) and not is_made(old.decode("utf-8", "replace")):
            place = display_path(os.path.join(product.folder, path))
            raise OutputError(
                f"Levada did not write `{place}`: choose another -o, or replace it with --force"
            )


def _refuse_others(
    product: Product, before: dict[str, bytes | None], contents: dict[str, bytes]
) -> None:
    """Never replace what another pipeline of the same name was compiled to."""
    for path, old in before.items():
        if old is None or old == contents[path]:
            continue
        from .origin import conflict

        others = conflict(product.root, old.decode("utf-8", "replace"), contents[path].decode())
        if others:
            place = display_path(os.path.join(product.folder, path))
            raise OutputError(
                f"`{place}` was made from {others}: give one of them a name by"
                " `@pipeline(name=…)`, or compile them into folders of their own"
            )


def read(folder: str, paths: dict[str, bytes]) -> dict[str, bytes | None]:
    """What is in the files of these paths now; None where there is none."""
    found: dict[str, bytes | None] = {}
    for path in paths:
        place = os.path.join(folder, path)
        try:
            if not is_replaceable(place):
                raise OutputError(f"`{display_path(place)}` is not a regular file")
            if leads_out(folder, path):
                raise OutputError(
                    f"`{display_path(place)}` is a link that leads out of the folder: remove it"
                )
            with open(place, "rb") as file:
                found[path] = file.read()
        except FileNotFoundError:
            found[path] = None
        except OSError as error:
            raise OutputError(_cannot("read", place, error)) from error
    return found


def is_replaceable(place: str) -> bool:
    """Whether a file may be made here or put in the place of what there is: no device, no pipe.

    Of a folder the answer is True as well: reading it says what is wrong.
    """
    if not os.path.exists(place):
        return True
    mode = os.stat(place).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def leads_out(folder: str, path: str) -> bool:
    """Return whether a path below a folder leads out of it by symbolic links."""
    inside = os.path.realpath(folder)
    place = os.path.realpath(os.path.join(inside, path))
    return os.path.commonpath((inside, place)) != inside


def write(folder: str, contents: dict[str, bytes], before: dict[str, bytes | None]) -> None:
    """Write the files that differ from ``before``: all of them, or none if one cannot be.

    Each is written beside its place and renamed, so that a reader never sees half a file.

    Raises:
        OutputError: something failed; what was there before is there again.
    """
    changed = {path: data for path, data in contents.items() if before[path] != data}
    made: list[str] = []
    staged: dict[str, str] = {}
    done: list[str] = []
    place = folder
    try:
        for path, data in changed.items():
            place = os.path.realpath(os.path.join(folder, path))
            _make_folders(os.path.dirname(place), made)
            staged[path] = _beside(place, len(staged))
            with open(staged[path], "wb") as file:
                file.write(data)
            if before[path] is not None:  # who may read it stays as it is
                os.chmod(staged[path], os.stat(place).st_mode & 0o7777)
        for path, temporary in staged.items():
            place = os.path.realpath(os.path.join(folder, path))
            os.replace(temporary, place)
            done.append(path)
    except BaseException as error:  # Ctrl-C in the middle too
        _undo(folder, staged, done, before, made)
        if isinstance(error, OSError):
            raise OutputError(_cannot("write", place, error)) from error
        raise


def _beside(place: str, number: int) -> str:
    directory, name = os.path.split(place)
    return os.path.join(directory, f".{name[:200]}.{os.getpid()}.{number}.tmp")


def _make_folders(folder: str, made: list[str]) -> None:
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)
        made.append(path)


def _undo(
    folder: str,
    staged: dict[str, str],
    done: list[str],
    before: dict[str, bytes | None],
    made: list[str],
) -> None:
    for path in done:
        place, old = os.path.realpath(os.path.join(folder, path)), before[path]
        _quietly(os.unlink, place)
        if old is not None:
            with open(place, "wb") as file:
                file.write(old)
    for temporary in staged.values():
        _quietly(os.unlink, temporary)
    for path in reversed(made):
        _quietly(os.rmdir, path)


def _quietly(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        return


def _cannot(verb: str, place: str, error: OSError) -> str:
    shown = display_path(place)
    blocker = place
    while blocker and not os.path.lexists(blocker):
        blocker = os.path.dirname(blocker)
    if blocker != place and blocker and not os.path.isdir(blocker):
        return f"`{display_path(blocker)}` is a file, not a folder"
    if os.path.isdir(place):
        return f"`{shown}` is a folder, not a file"
    return f"cannot {verb} `{shown}`: {error.strerror or error}"


def display_path(path: str) -> str:
    """The path as the user would type it: from the current folder if it is in there."""
    here = os.getcwd()
    absolute = os.path.normpath(os.path.join(here, path))
    prefix = here.rstrip(os.sep) + os.sep
    return absolute[len(prefix) :] if absolute.startswith(prefix) else absolute


# ---------------------------------------------------------------------------- what is said


def _status(before: bytes | None, now: bytes) -> str:
    if before is None:
        return "missing"
    return "unchanged" if before == now else "changed"


def _report(product: Product, statuses: dict[str, str]) -> None:
    if product.as_json:
        _print_json(product, statuses)
        return
    for path, status in statuses.items():
        word = "unchanged" if status == "unchanged" else "wrote"
        place = display_path(os.path.join(product.folder, path))
        sys.stderr.write(f"{word:<9} {place}\n")


def _report_check(product: Product, before: dict[str, bytes | None]) -> int:
    """The differences as a unified diff on stdout; 1 if there is one."""
    contents = {path: text for _, path, text in product.files}
    statuses = {path: _status(before[path], text.encode()) for path, text in contents.items()}
    stale = [path for path, status in statuses.items() if status != "unchanged"]
    if product.as_json:
        _print_json(product, statuses)
        return 1 if stale else 0
    for path in stale:
        _print_diff(product, path, before[path], contents[path])
    if stale:
        count = f"{len(stale)} file{'s' * (len(stale) != 1)}"
        verb = "differ" if len(stale) != 1 else "differs"
        sys.stderr.write(f"{count} {verb} from the source; compile without --check to write\n")
        return 1
    sys.stderr.write(f"up to date: {len(contents)} file{'s' * (len(contents) != 1)}\n")
    return 0


def _print_diff(product: Product, path: str, before: bytes | None, now: str) -> None:
    from difflib import unified_diff

    from .render.cells import without_commands
    from .terminal import in_ci

    place = display_path(os.path.join(product.folder, path))
    old = "" if before is None else before.decode("utf-8", "replace")
    source = "/dev/null" if before is None else f"a/{place}"
    lines = unified_diff(
        old.splitlines(keepends=True), now.splitlines(keepends=True), source, f"b/{place}"
    )
    for line in lines:
        ended = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if in_ci():
            ended = without_commands(ended)
        sys.stdout.write(_coloured(ended) if product.colour else ended)


def _coloured(line: str) -> str:
    codes = {"+": "32", "-": "31", "@": "36"}
    code = codes.get(line[0])
    return f"\x1b[{code}m{line[:-1]}\x1b[0m\n" if code else line


def _print_json(product: Product, statuses: dict[str, str]) -> None:
    import json

    writes = product.mode in ("write", "force")
    words = {"missing": "written", "changed": "written"} if writes else {}
    files = [
        {
            "target": target,
            "path": display_path(os.path.join(product.folder, path)),
            "status": words.get(statuses[path], statuses[path]),
        }
        for target, path, _ in product.files
    ]
    answer = {"files": files, "diagnostics": json.loads(product.diagnostics)}
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
