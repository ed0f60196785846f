"""Pictures as PNG: PIL images exactly, matplotlib figures as what they look like.

A figure is loaded as a PIL image: its data and its axes are not kept.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING

from levada.artifact import CorruptArtifact, MaterializerError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from levada.materializers import Sink, Source

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
        data = BytesIO()
        transparency = value.info.get("transparency")
        options = {} if transparency is None else {"transparency": transparency}
        bare = value.copy()
        bare.info = dict(options.items())
        bare.save(data, format="PNG", compress_level=6)
        _write_png(data, sink, "PIL.Image:Image")

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
        data = BytesIO()
        value.savefig(data, format="png", dpi=value.dpi, metadata={"Software": None})
        _write_png(data, sink, "matplotlib.figure:Figure")

    def load(self, source: Source) -> Image:
        """Give the picture as a PIL image."""
        return _read_png(source)


def _write_png(data: BytesIO, sink: Sink, name: str) -> None:
    sink.format = "png"
    sink.type = name
    sink.write(data.getbuffer())


def _read_png(source: Source) -> Image:
    from PIL import Image

    try:
        with Image.open(BytesIO(source.read()), formats=["PNG"]) as file:
            return file.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptArtifact(f"a stored picture is not what it says: {error}") from error


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
