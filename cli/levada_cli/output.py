"""Compiled files on their way to disk: compared, written all or none, and reported.

What a compilation gives is a :class:`Product`, made by the compile command or taken from the
cache; everything after that point is here and is the same for both. Imports little: a compile
that hits the cache runs only this module and :mod:`.compile_cache`.
"""

from __future__ import annotations

import os
import sys

from levada_compiler.output_files import OutputError, display_path, read, write


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
    before = compared(product)
    if product.mode == "check":
        return _report_check(product, before)
    put(product, before)
    _report(product, statuses(product, before))
    return 0


def compared(product: Product) -> dict[str, bytes | None]:
    """What is in the product's files now; None where there is none.

    Raises OutputError as :func:`deliver`.
    """
    contents = _contents(product)
    before = read(product.folder, contents)
    if product.mode == "write":
        _refuse_foreign(product, before, contents)
    _refuse_others(product, before, contents)
    return before


def put(product: Product, before: dict[str, bytes | None]) -> None:
    """Write the files that differ from ``before``, all or none. Raises OutputError."""
    write(product.folder, _contents(product), before)


def statuses(product: Product, before: dict[str, bytes | None]) -> dict[str, str]:
    """How each file compares with what was there: `missing`, `changed` or `unchanged`."""
    return {path: _status(before[path], now) for path, now in _contents(product).items()}


def _contents(product: Product) -> dict[str, bytes]:
    return {path: text.encode("utf-8") for _, path, text in product.files}


def _refuse_foreign(
    product: Product, before: dict[str, bytes | None], contents: dict[str, bytes]
) -> None:
    """Never replace what Levada did not write: a file without the line at the top of its own."""
    for path, old in before.items():
        if not old or old == contents[path]:
            continue
        from levada_compiler.origin import is_made

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
        from levada_compiler.origin import conflict

        others = conflict(product.root, old.decode("utf-8", "replace"), contents[path].decode())
        if others:
            place = display_path(os.path.join(product.folder, path))
            raise OutputError(
                f"`{place}` was made from {others}: give one of them a name by"
                " `@pipeline(name=…)`, or compile them into folders of their own"
            )


# ---------------------------------------------------------------------------- what is said


def _status(before: bytes | None, now: bytes) -> str:
    if before is None:
        return "missing"
    return "unchanged" if before == now else "changed"


def _report(product: Product, found: dict[str, str]) -> None:
    if product.as_json:
        _print_json(product, found)
        return
    for path, status in found.items():
        word = "unchanged" if status == "unchanged" else "wrote"
        place = display_path(os.path.join(product.folder, path))
        sys.stderr.write(f"{word:<9} {place}\n")


def _report_check(product: Product, before: dict[str, bytes | None]) -> int:
    """The differences as a unified diff on stdout; 1 if there is one."""
    contents = {path: text for _, path, text in product.files}
    found = statuses(product, before)
    stale = [path for path, status in found.items() if status != "unchanged"]
    if product.as_json:
        _print_json(product, found)
        return 1 if stale else 0
    for path in stale:
        place = os.path.join(product.folder, path)
        print_difference(place, before[path], contents[path], colour=product.colour)
    if stale:
        count = f"{len(stale)} file{'s' * (len(stale) != 1)}"
        verb = "differ" if len(stale) != 1 else "differs"
        sys.stderr.write(f"{count} {verb} from the source; compile without --check to write\n")
        return 1
    sys.stderr.write(f"up to date: {len(contents)} file{'s' * (len(contents) != 1)}\n")
    return 0


def print_difference(path: str, before: bytes | None, now: str, *, colour: bool) -> None:
    """Print what differs in a file as a unified diff on stdout."""
    from difflib import unified_diff

    from levada_compiler.render.cells import without_commands

    from .terminal import in_ci

    place = display_path(path)
    old = "" if before is None else before.decode("utf-8", "replace")
    source = "/dev/null" if before is None else f"a/{place}"
    lines = unified_diff(
        old.splitlines(keepends=True), now.splitlines(keepends=True), source, f"b/{place}"
    )
    for line in lines:
        ended = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        if in_ci():
            ended = without_commands(ended)
        sys.stdout.write(_coloured(ended) if colour else ended)


def _coloured(line: str) -> str:
    codes = {"+": "32", "-": "31", "@": "36"}
    code = codes.get(line[0])
    return f"\x1b[{code}m{line[:-1]}\x1b[0m\n" if code else line


def _print_json(product: Product, found: dict[str, str]) -> None:
    import json

    writes = product.mode in ("write", "force")
    words = {"missing": "written", "changed": "written"} if writes else {}
    files = [
        {
            "target": target,
            "path": display_path(os.path.join(product.folder, path)),
            "status": words.get(found[path], found[path]),
        }
        for target, path, _ in product.files
    ]
    answer = {"files": files, "diagnostics": json.loads(product.diagnostics)}
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
