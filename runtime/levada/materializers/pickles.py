"""Pickles: only for steps that allow them, since loading one runs the code in it.

The same value need not give the same bytes, so what follows may be computed again.
"""

from __future__ import annotations

from levada.artifact import PICKLE_FORMAT, CorruptArtifact, MaterializerError
from levada.trees.classes import type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from levada.materializers import Sink, Source

PROTOCOL = 5  # of PEP 574; fixed, so that every supported Python reads it


class PickleMaterializer:
    """Keeps any value that can be pickled; with cloudpickle if it is there."""

    name = "pickle"

    def handles(self, _: object) -> bool:
        """Take any value: whether it can be pickled is known only by trying."""
        return True

    def save(self, value: object, sink: Sink) -> None:
        """Write a pickle. Raises MaterializerError if there can be none."""
        sink.format = PICKLE_FORMAT
        try:
            data = _pickler().dumps(value, protocol=PROTOCOL)
        except Exception as error:  # A value's own __reduce__ may raise anything.
            raise MaterializerError(
                f"a {type_name(type(value))} cannot even be pickled"
                f" ({type(error).__name__}: {error}); return plain data instead"
            ) from error
        sink.write(data)

    def load(self, source: Source) -> object:
        """Read a pickle, which runs code. Raises CorruptArtifact if that fails."""
        import pickle

        data = source.read()
        try:
            return pickle.loads(data)  # noqa: S301
        except Exception as error:  # What it runs may raise anything.
            raise CorruptArtifact(
                f"a pickled {source.artifact.type} cannot be loaded here"
                f" ({type(error).__name__}: {error}); load it with the packages that made it"
            ) from error


def _pickler() -> ModuleType:
    try:
        import cloudpickle
    except ImportError:
        import pickle

        return pickle
    found: ModuleType = cloudpickle
    return found


MATERIALIZER = PickleMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
