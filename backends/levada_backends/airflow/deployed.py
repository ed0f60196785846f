"""A DAG file that is deployed, beside the one that is compiled here."""

from __future__ import annotations

import re

_SOURCE = re.compile(r"^Source: (sha256:[0-9a-f]{64})$", re.MULTILINE)
_VERSION = re.compile(r"^Made from .* by Levada (\S+?)\.?$", re.MULTILINE)
#: The way from the file to the project, which depends on the folder that it is in.
_PROJECT = re.compile(r'Path\(__file__, "[^"\n]*"\)')
_SHOWN = len("sha256:") + 12
#: Characters of a line that are shown.
_MOST = 100


def source_of(text: str) -> str | None:
    """The digest of the source that a DAG file was made from; None if Levada did not make it."""
    found = _SOURCE.search(text)
    return found[1] if found else None


def difference(there: str, here: str) -> str:
    """What is wrong with the file that is there, as the end of a sentence; "" if it is the same.

    The same but for the way to the project, and the ends of lines, which git may change.
    """
    if _comparable(there) == _comparable(here):
        return ""
    source, own = source_of(there), source_of(here) or ""
    if source is None:
        return "was not made by Levada"
    if source != own:
        return f"was compiled from another source: {source[:_SHOWN]} there, {own[:_SHOWN]} here"
    version, own_version = _VERSION.search(there), _VERSION.search(here)
    if version and own_version and version[1] != own_version[1]:
        return f"was compiled by Levada {version[1]}, and here is {own_version[1]}"
    return f"was compiled with other options: {_first_difference(there, here)}"


def _comparable(text: str) -> list[str]:
    return _PROJECT.sub("PROJECT", text).splitlines()


def _first_difference(there: str, here: str) -> str:
    one, other = there.splitlines(), here.splitlines()
    pairs = zip(_comparable(there), _comparable(here), one, other, strict=False)
    for a, b, line, own in pairs:
        if a != b:
            return f"`{_cut(line)}` there, `{_cut(own)}` here"
    return f"it has {len(one)} lines there, {len(other)} here"


def _cut(line: str) -> str:
    text = line.strip()
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
