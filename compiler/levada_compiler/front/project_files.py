"""Files of the project that constants read: YAML, JSON, TOML and text, as data.

Only regular files below the project's root are read, up to a size, and nothing in them is run.
Paths are relative to the root, as a pipeline runs there; ``Path(__file__).parent`` works too.
"""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

from levada.pyproject import parse_toml

from .file_formats import MAX_VALUES, TooManyValuesError, parse_yaml
from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from .constants import Folder

#: How large a file may be, in bytes: one that is only read, and one that is parsed as YAML or TOML.
MAX_BYTES: Final = 1_000_000
MAX_PARSED: Final = 250_000
#: What reads a file, by its qualified name; `open` and the methods of paths and files besides.
READERS: Final = ("json.load", "tomllib.load", "tomllib.loads", "yaml.safe_load")
METHODS: Final = ("open", "read", "read_bytes", "read_text")
_ENCODINGS: Final = ("utf-8", "utf8", "UTF-8", "utf-8-sig")


class OpenFile:
    """What ``open(…)`` gives while compiling: the content of a file, as bytes or as text.

    With ``ends`` it can be read once, as in Python; a constant is evaluated again at times.
    """

    def __init__(self, name: str, content: bytes | str) -> None:
        self.name = name
        self.ends = False
        self._content = content
        self._is_read = False

    def read(self) -> bytes | str:
        """Return the content. Raises ValueError where Python would give nothing."""
        if self.ends and self._is_read:
            raise ValueError(f"`{self.name}` is read twice: keep what it gave the first time")
        self._is_read = True
        return self._content


def opened(folder: Folder, node: ast.Call) -> OpenFile:
    """Return what ``open(path, mode)`` opens."""
    if not node.args:
        raise _refused(folder, node, "`open` is called without a path")
    return _open(folder, node, _path(folder, node.args[0]), node.args[1:])


def of_method(folder: Folder, node: ast.Call, receiver: Any) -> Any:
    """Return what a method of a path or of an open file gives."""
    assert isinstance(node.func, ast.Attribute)  # noqa: S101 - a call of a method
    name = node.func.attr
    if isinstance(receiver, OpenFile):
        if name == "read" and not node.args and not node.keywords:
            return receiver.read()
        raise _refused(
            folder, node, f"`{name}` of a file cannot be called while compiling: call `read()`"
        )
    if not isinstance(receiver, Path):
        from levada.operations import method

        arguments, keywords = folder.elements(node.args), folder.keywords(node)
        return method(receiver, name, arguments, keywords, folder.budget)
    if name == "open":
        return _open(folder, node, receiver, node.args)
    content = _read(folder, node, receiver)
    if name == "read_bytes":
        return content
    _check_encoding(folder, node)
    return _text(folder, node, receiver, content)


def call(folder: Folder, node: ast.Call, qualified: str) -> Any:
    """Return what a reader makes of a file, or of a text."""
    if len(node.args) != 1 or node.keywords:
        raise _refused(folder, node, f"`{ast.unparse(node.func)}` is called with one file")
    given = folder.value(node.args[0])
    content = given.read() if isinstance(given, OpenFile) else given
    name = f"`{given.name}`" if isinstance(given, OpenFile) else "the text"
    is_load = not qualified.endswith("loads")
    if not isinstance(content, str | bytes) or (
        is_load and not isinstance(given, OpenFile) and qualified != "yaml.safe_load"
    ):
        raise _refused(folder, node, f"`{ast.unparse(node.func)}` does not get a file here")
    if qualified == "json.load":
        return _parsed_json(folder, node, name, content)
    if len(content) > MAX_PARSED:
        why = f"{name} has more than {MAX_PARSED:,} bytes, which takes long to parse"
        raise NotConstantError(node, why, "constant-too-large", folder.module)
    if qualified == "yaml.safe_load":
        return _parsed_yaml(folder, node, name, content)
    return _parsed_toml(folder, node, name, content)


# ---------------------------------------------------------------------------- reading


def _path(folder: Folder, node: ast.expr) -> Path:
    """Return the path that an expression gives, which may name the module's own place."""
    found = folder.at_place().value(node)
    if not isinstance(found, str | Path):
        raise _refused(folder, node, "this is not the path of a file")
    return Path(found)


def _open(folder: Folder, node: ast.Call, path: Path, rest: list[ast.expr]) -> OpenFile:
    modes = [*rest, *[each.value for each in node.keywords if each.arg == "mode"]]
    mode = folder.value(modes[0]) if modes else "r"
    if mode not in ("r", "rt", "rb") or len(modes) > 1:
        raise _refused(folder, node, "a file is only read while compiling, by the mode `r` or `rb`")
    content = _read(folder, node, path)
    if mode == "rb":
        return OpenFile(str(path), content)
    _check_encoding(folder, node)
    return OpenFile(str(path), _text(folder, node, path, content))


def _check_encoding(folder: Folder, node: ast.Call) -> None:
    for keyword in node.keywords:
        if keyword.arg == "mode":
            continue
        if keyword.arg != "encoding" or folder.value(keyword.value) not in _ENCODINGS:
            raise _refused(folder, keyword.value, "a file is read as UTF-8 while compiling")


def _text(folder: Folder, node: ast.AST, path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        why = f"`{path.name}` is not UTF-8: {error.reason} at byte {error.start}"
        raise NotConstantError(node, why, "constant-error", folder.module) from error


def _read(folder: Folder, node: ast.AST, path: Path) -> bytes:
    """Return the content of a regular file below the project's root."""
    project = folder.modules.project
    if not project.is_own(folder.module.path):
        raise _refused(folder, node, "a package reads a file of its own")
    root = os.path.realpath(project.root)
    try:
        real = os.path.realpath(Path(project.root) / path)
    except (OSError, ValueError):
        real = ""
    if not real.startswith(root.rstrip(os.sep) + os.sep):
        why = f"`{path}` is not below the root of the project, and nothing else is read"
        raise NotConstantError(node, why, module=folder.module, help=_WAY_OUT)
    shown = os.path.relpath(real, root)
    folder.modules.data_files.add(real)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.open(real, flags)
    except OSError as error:
        why = f"`{shown}` cannot be read: {(error.strerror or str(error)).lower()}"
        way_out = "paths are relative to the root of the project; correct it, or add the file"
        raise NotConstantError(node, why, module=folder.module, help=way_out) from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(folder, node, f"`{shown}` is not a regular file")
        content = _content(file)
    finally:
        os.close(file)
    if len(content) > MAX_BYTES:
        why = f"`{shown}` has more than {MAX_BYTES:,} bytes"
        raise NotConstantError(node, why, "constant-too-large", folder.module, help=_WAY_OUT)
    return content


def _content(file: int) -> bytes:
    """Return the content of a file, up to one byte more than the limit."""
    parts: list[bytes] = []
    left = MAX_BYTES + 1
    while left > 0 and (part := os.read(file, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


# ---------------------------------------------------------------------------- formats


def _parsed_json(folder: Folder, node: ast.AST, name: str, content: str | bytes) -> Any:
    from levada.operations import call as called

    if isinstance(content, bytes):
        content = _text(folder, node, Path(name.strip("`")), content)
    try:
        return called("json.loads", [content], {}, folder.budget)
    except ValueError as error:
        raise _wrong(folder, node, name, "JSON", error) from error


def _parsed_toml(folder: Folder, node: ast.AST, name: str, content: str | bytes) -> Any:
    try:
        return parse_toml(content if isinstance(content, str) else content.decode())
    except (ValueError, RecursionError) as error:
        raise _wrong(folder, node, name, "TOML", error) from error


def _parsed_yaml(folder: Folder, node: ast.AST, name: str, content: str | bytes) -> Any:
    try:
        return parse_yaml(content)
    except ImportError:
        why = "PyYAML is not installed where this is compiled"
        way_out = "install it (`pip install pyyaml`), or keep the values as JSON or TOML"
        raise NotConstantError(node, why, module=folder.module, help=way_out) from None
    except TooManyValuesError:
        why = f"{name} has more than {MAX_VALUES:,} values, aliases written out"
        raise NotConstantError(node, why, "constant-too-large", folder.module) from None
    except (ValueError, RecursionError) as error:
        raise _wrong(folder, node, name, "YAML", error) from error


# ---------------------------------------------------------------------------- errors

_WAY_OUT: Final = "read it in a step, or make the value a parameter of the pipeline"


def _refused(folder: Folder, node: ast.AST, why: str) -> NotConstantError:
    return NotConstantError(node, why, module=folder.module, help=_WAY_OUT)


def _wrong(
    folder: Folder, node: ast.AST, name: str, kind: str, error: Exception
) -> NotConstantError:
    said = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    why = f"{name} is not {kind} that can be read: {' '.join(said.split())}"
    return NotConstantError(node, why, "constant-error", folder.module)
