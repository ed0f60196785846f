"""Previews of pictures: a PNG of at most 640 pixels a side that fits."""

from __future__ import annotations

from binascii import b2a_base64
from io import BytesIO
from typing import TYPE_CHECKING

from levada.previews import LARGEST_PART

if TYPE_CHECKING:
    from PIL.Image import Image

    from levada.previews import Preview

_SIDE, _SMALLEST_SIDE = 640, 40


def show(image: Image) -> Preview:
    """Show a picture by a thumbnail; the smaller, the more there is in it."""
    preview: Preview = {
        "kind": "image",
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
    }
    small = _reduced(image)
    side = _SIDE
    while side >= _SMALLEST_SIDE:
        small.thumbnail((side, side))
        data = BytesIO()
        small.save(data, format="PNG")
        if data.tell() <= LARGEST_PART:
            preview["png"] = b2a_base64(data.getbuffer(), newline=False).decode()
            break
        side = side * 2 // 3
    return preview


def _reduced(image: Image) -> Image:
    """Give a small copy: by whole factors first, which is fast for what is large."""
    factor = max(image.width, image.height) // (2 * _SIDE)
    if image.mode == "I;16":
        step = max(factor, 1)
        image = image.resize((max(image.width // step, 1), max(image.height // step, 1)))
        return image.point(lambda level: level / 256).convert("L")
    if image.mode not in ("1", "P"):
        return image.reduce(factor) if factor > 1 else image.copy()
    if factor > 1:
        size = (max(image.width // factor, 1), max(image.height // factor, 1))
        image = image.resize(size, resample=0)
    return image.convert("RGBA" if "transparency" in image.info else "RGB")


def show_png(data: bytes | memoryview) -> Preview:
    """Show what a PNG has."""
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(BytesIO(data)) as file:
        return show(file.copy())
