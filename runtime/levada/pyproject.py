"""``pyproject.toml`` as a document."""

from __future__ import annotations

from levada.regular_files import regular

FILE = "pyproject.toml"
_MOST_PARTS = 100
#: The start of such a key: of a line, a table or an inline table.
_MANY_PARTS = rf"(?:^|[\[{{,])[ \t]*(?:[\w\"'-]+[ \t]*\.[ \t]*){{{_MOST_PARTS}}}"


class ProjectError(Exception):
    """A ``pyproject.toml`` that cannot be read.

    ``line`` and ``column`` count from 1, and are 0 where they are unknown.
    """

    def __init__(self, message: str, file: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.message = message
        self.file = file
        self.line = line
        self.column = column


def read(path: str) -> dict[str, object]:
    """Return the document at ``path``, empty if there is no file. Raises ProjectError."""
    try:
        with open(path, "rb", opener=regular) as file:
            content = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProjectError(error.strerror or str(error), path) from error
    return _parse(content, path) if content else {}


def table(document: object, *names: str) -> dict[str, object]:
    """Return the table ``document[name][…]``, empty where it is not there or is no table."""
    found: object = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def texts(value: object) -> list[str]:
    """Return the strings of a list, none of any other value."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def tables(value: object) -> list[dict[str, object]]:
    """Return the tables of a list, an empty one for anything else in it."""
    return [table(each) for each in value] if isinstance(value, list) else []


def parse_toml(text: str) -> dict[str, object]:
    """Return the document of some TOML. Raises ValueError and RecursionError.

    A key of more than _MOST_PARTS parts is refused, for it takes the square of that in memory.
    """
    import re
    import tomllib  # 10 ms, so not before there is something to read

    if found := re.search(_MANY_PARTS, text, re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        raise tomllib.TOMLDecodeError(f"a key of more than {_MOST_PARTS} parts (at line {line})")
    return tomllib.loads(text)


def _parse(content: bytes, path: str) -> dict[str, object]:
    import tomllib

    try:
        return parse_toml(content.decode())
    except UnicodeDecodeError as error:
        raise ProjectError("this is not UTF-8 text", path) from error
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(*_placed(str(error), path)) from error
    except RecursionError as error:
        raise ProjectError("it is nested too deeply", path, 1) from error


def _placed(message: str, path: str) -> tuple[str, str, int, int]:
    """Split tomllib's ``… (at line 3, column 4)`` (or ``(at end of document)``).

    Gives what is said, the file, the line and the column.
    """
    text, _, place = message.partition(" (at ")
    words = place.replace(",", " ").rstrip(")").split()
    if words[:1] == ["line"]:
        return text, path, int(words[1]), int(words[3]) if words[2:3] == ["column"] else 0
    with open(path, "rb", opener=regular) as file:
        return text, path, max(1, len(file.read().splitlines())), 0
