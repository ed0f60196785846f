"""How values that JSON does not have are kept: each by a materializer, in a format of its own.

A materializer is any object with::

    name: str                                  recorded; finds it again on load
    def handles(self, value) -> bool           exact types only: a subclass may hold more
    def save(self, value, sink: Sink) -> None  write bytes to it, set sink.format and sink.meta,
                                               and sink.preview if people can be shown something
    def load(self, source: Source) -> object   runs no code that the stored bytes choose

It is made known by `register`, in the module that defines the type, or by an entry point in the
group ``levada.materializers`` of an installed distribution. What is registered comes first, then
entry points, then those that are built in. The same value should give the same bytes.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from levada.artifact import (
    Artifact,
    ArtifactError,
    CorruptArtifact,
    MaterializerError,
    check_expansion,
    fits,
)
from levada.store import StoreError
from levada.trees.classes import builtin_base, find_class, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import EntryPoint
    from types import ModuleType
    from typing import Any, BinaryIO, Protocol

    from levada.previews import Previews
    from levada.store import BlobWriter, Store
    from levada.trees.decode import Decoder

    class Materializer(Protocol):
        """Keeps values of some types; see the module's text."""

        @property
        def name(self) -> str:
            """The name under which it is recorded."""

        def handles(self, value: Any, /) -> bool:
            """Whether this value is one of its own."""

        def save(self, value: Any, sink: Sink, /) -> None:
            """Write the value's bytes."""

        def load(self, source: Source, /) -> object:
            """Read the value again."""


_PACKAGE = "levada.materializers"
# The module of a value's class, up to its first dot -> the module here that knows it.
_BUILTIN = {
    "numpy": "numpy_arrays",
    "pandas": "pandas_frames",
    "polars": "polars_frames",
    "pyarrow": "arrow_tables",
    "torch": "torch_tensors",
    "sklearn": "sklearn_estimators",
    "matplotlib": "images",
    "PIL": "images",
}
# The name of a materializer -> the module here that has it.
_NAMES = {
    "arrow": "arrow_tables",
    "bytes": "raw_bytes",
    "figure": "images",
    "image": "images",
    "numpy": "numpy_arrays",
    "pandas": "pandas_frames",
    "path": "paths",
    "pickle": "pickles",
    "polars": "polars_frames",
    "sklearn": "sklearn_estimators",
    "torch": "torch_tensors",
    "torch-state-dict": "torch_tensors",
}
_registered: list[Materializer] = []
_installed: list[Materializer] | None = None


class Sink:
    """Where a materializer writes: a binary file with a format and a meta to fill in.

    ``type`` is recorded as the value's class; ``store`` takes further blobs. ``preview`` is
    a function that gives what people see of the value (`levada.previews`), or None.
    """

    def __init__(self, writer: BlobWriter, store: Store, type: str) -> None:  # noqa: A002
        self.type = type
        self._writer = writer
        self.store = store
        self.format = "bytes"
        self.meta: dict[str, Any] = {}
        self.preview: Callable[[], dict[str, Any]] | None = None
        self.write = writer.write
        self.tell = writer.tell
        self.flush = writer.flush
        self.writable = writer.writable
        self.readable = writer.readable
        self.seekable = writer.seekable

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._writer.closed

    def close(self) -> None:
        """Do nothing: the blob is complete when ``save`` returns."""

    def fits(self, expanded: int) -> bool:
        """Whether what is written so far may become so many bytes when it is loaded."""
        return fits(expanded, self._writer.size)

    def restart(self) -> None:
        """Forget what is written so far."""
        self._writer.restart()


class Source:
    """What a materializer reads from: a verified blob and what was recorded of it."""

    def __init__(self, artifact: Artifact, store: Store, decoder: Decoder) -> None:
        self.artifact = artifact
        self.store = store
        self.decoder = decoder
        self.format = artifact.format
        self.meta = artifact.meta

    def read(self) -> bytes:
        """Read all of it."""
        data = self.store.read_blob(self.artifact.digest)
        self.artifact.check_size(len(data))
        return data

    def check(self, expanded: int) -> None:
        """Bound what the blob becomes before memory is taken for it, in bytes.

        Raises CorruptArtifact above 1 GiB if it is also above 100 times the size of the blob.
        """
        check_expansion(expanded, self.artifact.size)

    def open(self) -> BinaryIO:
        """Open it, verified. Reading as a stream keeps memory low for what is large."""
        self.verify()
        return self.store.open_blob(self.artifact.digest)

    def path(self) -> str:
        """Give a local file with it, verified, to be read only."""
        self.verify()
        path = self.store.blob_path(self.artifact.digest)
        return self.download() if path is None else path

    def download(self) -> str:
        """Copy it to a new file in the workspace."""
        from levada.materializers.paths import copy_blob, new_folder

        target = os.path.join(new_folder(), "blob")
        copy_blob(self.store, self.artifact.digest, target)
        return target

    def verify(self) -> None:
        """Make sure that the bytes are those that were written."""
        self.artifact.check_size(self.store.check_blob(self.artifact.digest))


def register(materializer: Materializer) -> Materializer:
    """Make a materializer known in this process; it comes before those that are built in."""
    for position, known in enumerate(_registered):
        if known.name == materializer.name:
            _registered[position] = materializer
            return materializer
    _registered.append(materializer)
    return materializer


def registered_for(value: object) -> Materializer | None:
    """Give the registered materializer for a value."""
    return _first(_registered, value)


def builtin_for(value: object) -> ModuleType | _Installed | None:
    """Give who keeps values of this library: an installed distribution's, or a module here."""
    installed = _first(_installed_materializers(), value)
    if installed is not None:
        return _Installed(installed)
    for base in type(value).__mro__:
        module = _BUILTIN.get(base.__module__.partition(".")[0])
        if module is not None:
            return _module(module)
    return None


class _Installed:
    """An installed materializer in the shape of a module here."""

    def __init__(self, materializer: Materializer) -> None:
        self._materializer = materializer

    def materializer_for(self, _: object) -> Materializer:
        return self._materializer


def save_leaf(
    materializer: Materializer, value: object, store: Store, previews: Previews | None = None
) -> Artifact:
    """Store a value as a blob. Raises MaterializerError or StoreError; then nothing is left."""
    with store.blob_writer() as writer:
        sink = Sink(writer, store, type_name(type(value)))
        materializer.save(value, sink)
    artifact = Artifact(
        writer.digest, writer.size, sink.format, materializer.name, sink.type, sink.meta
    )
    if previews is not None and sink.preview is not None:
        previews.add(artifact, sink.preview)
    return artifact


def load_leaf(artifact: Artifact, store: Store, decoder: Decoder) -> object:
    """Load a leaf. Raises CorruptArtifact, MaterializerError or StoreError."""
    if artifact.is_pickle and not decoder.allow_pickle:
        raise MaterializerError(
            f"a stored {artifact.type} is a pickle, and loading a pickle runs the code in it;"
            " write @step(allow_pickle=True) on the step that takes it, if you trust its maker"
        )
    materializer, source = _of(artifact), Source(artifact, store, decoder)
    if type(materializer).__module__.startswith(f"{_PACKAGE}."):
        return _load_builtin(materializer, source)
    return materializer.load(source)


def _load_builtin(materializer: Materializer, source: Source) -> object:
    """Load by a materializer of Levada's own, whose library may raise anything of a damaged blob.

    A materializer of somebody else raises what it raises.
    """
    kind = source.artifact.type
    try:
        return materializer.load(source)
    except (ArtifactError, StoreError, RecursionError):
        raise
    except MemoryError as error:
        raise MaterializerError(
            f"there is not enough memory to load a stored {kind}: {error}"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # libraries' own have no number
            raise MaterializerError(f"a stored {kind} cannot be loaded here: {error}") from error
        raise CorruptArtifact(f"a stored {kind} is not what it says: {error}") from error


def _of(artifact: Artifact) -> Materializer:
    """Find the materializer that an artifact names.

    The step that loads a value need not have imported the module that registers it: if that is the
    module of the value's class, it is imported now, as for any class of the project.
    """
    name = artifact.materializer
    found = _by_name(name)
    if found is None and ":" in artifact.type:
        with suppress(MaterializerError, CorruptArtifact):
            find_class(artifact.type)
        found = _by_name(name)
    if found is None:
        raise MaterializerError(
            f"a stored {artifact.type} was saved by the materializer {name!r}, which nothing here"
            " registers. Call `levada.materializers.register` in the module that defines the class,"
            " import the module that calls it in the module of the step that takes the value, or"
            " install the distribution that has the materializer"
        )
    return found


def _by_name(name: str) -> Materializer | None:
    if name == "tree":
        return _TREE
    for materializer in _registered:
        if materializer.name == name:
            return materializer
    if name in _NAMES:
        found: Materializer = _module(_NAMES[name]).BY_NAME[name]
        return found
    return next((each for each in _installed_materializers() if each.name == name), None)


class _TreeMaterializer:
    """Loads a tree that is stored as a blob of its own, for example another step's output."""

    name = "tree"

    def handles(self, _: object) -> bool:
        return False

    def save(self, value: object, sink: Sink) -> None:
        raise NotImplementedError

    def load(self, source: Source) -> object:
        from levada.trees.canonical import parse

        return source.decoder.decode(parse(source.read()))


_TREE = _TreeMaterializer()


def _module(name: str) -> ModuleType:
    try:
        module: ModuleType = __import__(f"{_PACKAGE}.{name}", fromlist=["*"])
    except ImportError as error:
        raise MaterializerError(
            f"{error.name} is needed to store or load this value and cannot be imported"
            f" ({error}); add it to the step's requirements"
        ) from error
    return module


def _first(materializers: Iterable[Materializer], value: object) -> Materializer | None:
    return next((one for one in materializers if one.handles(value)), None)


def _installed_materializers() -> list[Materializer]:
    """Load the entry points; asked only for values of other libraries, which cost more."""
    global _installed
    if _installed is None:
        from importlib.metadata import entry_points

        found = sorted(entry_points(group="levada.materializers"), key=lambda entry: entry.name)
        loaded = [_load_entry(entry) for entry in found]
        _installed = [one() if isinstance(one, type) else one for one in loaded]
    return _installed


def _load_entry(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise MaterializerError(
            f"the installed materializer {entry.name!r} ({entry.value}) cannot be loaded: {error};"
            " repair or remove its distribution"
        ) from error


def refusal(value: object) -> MaterializerError:
    """Say why a value of no known type is refused, and what to do."""
    cls = type(value)
    for is_one, reason in _REFUSALS:
        if is_one(value):
            return MaterializerError(reason.format(type_name(cls), builtin_base(cls).__qualname__))
    return MaterializerError(
        f"no materializer keeps a {type_name(cls)}; return plain data, make it a dataclass,"
        " register a materializer for it, or write @step(allow_pickle=True)"
    )


def _is_iterator(value: object) -> bool:
    return hasattr(value, "__next__")


def _is_view(value: object) -> bool:
    return type(value).__name__ in ("dict_keys", "dict_values", "dict_items")


def _is_code(value: object) -> bool:
    return callable(value) and (isinstance(value, type) or hasattr(value, "__qualname__"))


def _is_module(value: object) -> bool:
    return isinstance(value, type(sys))


def _is_file(value: object) -> bool:
    return hasattr(value, "fileno") and hasattr(value, "read")


def _is_container_subclass(value: object) -> bool:
    return isinstance(value, (dict, list, tuple, set, frozenset, str, bytes, int, float, complex))


_REFUSALS = (
    (_is_file, "an open file ({}) has no value to store; return the Path of the file"),
    (
        _is_iterator,
        "an iterator ({}) is used up by whoever reads it first, so it cannot be stored; return"
        " list(…) of it",
    ),
    (_is_view, "a view of a dict ({}) cannot be stored; return list(…) of it"),
    (_is_module, "a module cannot be stored; import it in the step that needs it"),
    (_is_code, "a function or a class ({}) is code, not data; import it in the step that needs it"),
    (
        _is_container_subclass,
        "a {0} is a subclass of {1}, and as a plain {1} it would lose its class; return {1}(…) of"
        " it, or write @step(allow_pickle=True)",
    ),
)

__all__ = [
    "Sink",
    "Source",
    "builtin_for",
    "load_leaf",
    "refusal",
    "register",
    "registered_for",
    "save_leaf",
]
