"""Pictures as PNG: PIL images exactly, matplotlib figures as what they look like.

A figure is loaded as a PIL image: its data and its axes are not kept.
"""

from __future__ import annotations

import sys
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from levada.artifact import MaterializerError, fits
from levada.previews import pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from PIL.Image import Image

    from levada.materializers import Sink, Source

#: Bytes that PIL takes for a pixel, where they are not four.
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
_EXACT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


class ImageMaterializer:
    """Keeps the pixels, the palette and the transparency of a PIL image."""

    name = "image"

    def handles(self, value: object) -> bool:
        """Whether this is an image of PIL."""
        image = sys.modules.get("PIL.Image")
        return image is not None and isinstance(value, image.Image)

    def save(self, value: Image, sink: Sink) -> None:
        """Write a PNG. Raises MaterializerError for a mode that PNG does not have."""
        if value.mode not in _EXACT_MODES or 0 in value.size:
            raise MaterializerError(
                f"PNG cannot keep an image of mode {value.mode} and size {value.size} exactly;"
                " return .convert('RGB') or a NumPy array of it"
            )
        transparency = value.info.get("transparency")
        options = {} if transparency is None else {"transparency": transparency}
        bare = value.copy()
        bare.info = dict(options.items())

        def draw(file: BytesIO, level: int) -> None:
            bare.save(file, format="PNG", compress_level=level)

        _write_png(draw, sink, "PIL.Image:Image")
        sink.preview = partial(pictures.show, value)

    def load(self, source: Source) -> Image:
        """Read the image."""
        return _read_png(source)


class FigureMaterializer:
    """Keeps how a matplotlib figure looks, at its own resolution."""

    name = "figure"

    def handles(self, value: object) -> bool:
        """Whether this is a figure."""
        figure = sys.modules.get("matplotlib.figure")
        return figure is not None and isinstance(value, figure.Figure)

    def save(self, value: Figure, sink: Sink) -> None:
        """Draw the figure into a PNG that does not name the version of matplotlib."""

        def draw(file: BytesIO, level: int) -> None:
            value.savefig(
                file, format="png", dpi=value.dpi, metadata={"Software": None},
                pil_kwargs={"compress_level": level},
            )  # fmt: skip

        _write_png(draw, sink, "matplotlib.figure:Figure")

    def load(self, source: Source) -> Image:
        """Give the picture as a PIL image."""
        return _read_png(source)


def _write_png(draw: Callable[[BytesIO, int], None], sink: Sink, name: str) -> None:
    """Write what is drawn into a file at a level of compression."""
    from PIL.PngImagePlugin import PngImageFile

    data = BytesIO()
    draw(data, 6)
    data.seek(0)
    if not fits(_size(PngImageFile(data)), data.getbuffer().nbytes):
        # A large picture of one colour, for example: it could not be loaded.
        data = BytesIO()
        draw(data, 0)
    sink.format = "png"
    sink.type = name
    sink.write(data.getbuffer())
    sink.preview = partial(pictures.show_png, data.getvalue())


def _read_png(source: Source) -> Image:
    from PIL.PngImagePlugin import PngImageFile

    # Not by `Image.open`, which has a limit of its own that saving does not have.
    with PngImageFile(BytesIO(source.read())) as file:
        source.check(_size(file))
        return file.copy()


def _size(image: Image) -> int:
    """Return the bytes that the pixels take in memory."""
    return image.width * image.height * _BYTES.get(image.mode, 4)


def materializer_for(value: object) -> ImageMaterializer | FigureMaterializer | None:
    """Give the materializer. Raises MaterializerError for the axes of a figure."""
    for materializer in (IMAGE, FIGURE):
        if materializer.handles(value):
            return materializer
    if hasattr(value, "get_figure"):
        raise MaterializerError(
            f"a {type(value).__name__} is a part of a figure; return its .get_figure()"
        )
    return None


IMAGE = ImageMaterializer()
FIGURE = FigureMaterializer()
BY_NAME = {IMAGE.name: IMAGE, FIGURE.name: FIGURE}
