"""Previews of files and folders: the start of a text, a picture, the names in a folder."""

from __future__ import annotations

import os
import sys
from binascii import b2a_base64

from levada.previews import LARGEST_PART, trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from levada.previews import Preview

_PNG = b"\x89PNG\r\n\x1a\n"
_PICTURES = (_PNG, b"\xff\xd8\xff", b"GIF8", b"RIFF")
#: Bytes that a text is decoded of: 4,096 characters have at most four each.
_START = 16_384
_LARGEST_JSON = 60_000
#: Bytes of a picture that is decoded for a thumbnail.
_LARGEST_PICTURE = 20_000_000
_MOST_NAMES = 200


def show_file(path: str) -> Preview:
    """Show a file."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(_START)
        if start.startswith(_PICTURES) and size <= _LARGEST_PICTURE:
            return _picture(start + file.read(), path)
        whole = start + file.read(_LARGEST_JSON) if size <= _LARGEST_JSON else b""
    return show_bytes(start, size, whole)


def show_bytes(start: bytes, size: int, whole: bytes = b"") -> Preview:
    """Show content by its start; ``whole`` is all of it, if it is small enough to be JSON."""
    if whole[:1] == b"{" and (plot := _plot(whole)) is not None:
        return plot
    try:
        text = start[:_START].decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3 or len(start) < _START:
            return {"kind": "bytes", "size": size, "start": start[:64].hex()}
        text = start[: error.start].decode()  # a character is cut in two
    if "\0" in text:
        return {"kind": "bytes", "size": size, "start": start[:64].hex()}
    shown = trees.text(text, size)
    shown["truncated"] = shown["truncated"] or size > len(start)
    return shown


def show_folder(entries: Sequence[Sequence[Any]]) -> Preview:
    """Show a folder by what its materializer lists: kind, path, and of a file digest and size."""
    files = [entry for entry in entries if entry[0] == "file"]
    names = [[entry[1], entry[3] if entry[0] == "file" else None] for entry in entries]
    return {
        "kind": "folder",
        "files": len(files),
        "size": sum(entry[3] for entry in files),
        "names": names[:_MOST_NAMES],
        "truncated": len(names) > _MOST_NAMES,
    }


def _plot(whole: bytes) -> Preview | None:
    import json

    try:
        shown = trees.show(json.loads(whole))
    except (ValueError, RecursionError):
        return None
    return shown if shown is not None and shown["kind"] in ("vega", "plotly") else None


def _picture(data: bytes, path: str) -> Preview:
    if "PIL" in sys.modules:  # the step drew with it: nothing is imported for a preview
        from PIL import Image

        from levada.previews import pictures

        with Image.open(path) as image:
            image.load()
            return pictures.show(image)
    if data.startswith(_PNG) and len(data) <= LARGEST_PART:
        return {"kind": "image", "png": b2a_base64(data, newline=False).decode()}
    return {"kind": "bytes", "size": len(data), "start": data[:64].hex()}
