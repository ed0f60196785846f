"""Bytes that are too many to stand in a tree."""

from __future__ import annotations

from levada.previews.files import show_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.materializers import Sink, Source


#: Bytes that a preview looks at.
_START = 16_384


class BytesMaterializer:
    """Keeps bytes and bytearrays as they are."""

    name = "bytes"

    def handles(self, value: object) -> bool:
        """Whether this is bytes or a bytearray, and no subclass."""
        return type(value) in (bytes, bytearray)

    def save(self, value: bytes | bytearray, sink: Sink) -> None:
        """Write the bytes."""
        sink.format = "bytes"
        sink.write(value)
        sink.preview = lambda: show_bytes(bytes(value[:_START]), len(value))

    def load(self, source: Source) -> bytes | bytearray:
        """Read the bytes."""
        data = source.read()
        return bytearray(data) if source.artifact.type == "builtins:bytearray" else data


MATERIALIZER = BytesMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
