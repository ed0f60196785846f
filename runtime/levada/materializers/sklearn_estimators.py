"""Scikit-learn estimators by skops, with trusted types limited to what they are made of.

skops names objects by their address and dates its files, so its bytes differ from run to run; both
are replaced, and the same estimator gives the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

import skops.io

from levada.artifact import CorruptArtifact, MaterializerError
from levada.previews.models import show_estimator
from levada.trees.classes import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from levada.materializers import Sink, Source

#: Of this, classes of any kind may be parts of an estimator, except in the modules of _NEVER.
_TRUSTED_PACKAGE = "sklearn"
_NEVER = (
    *("sklearn.callback", "sklearn.conftest", "sklearn.datasets", "sklearn.externals"),
    *("sklearn.tests", "sklearn.utils._mocking", "sklearn.utils._testing"),
    "sklearn.utils._test_common",
)
_UNTRUSTED = tuple(f"{module}." for module in _NEVER)
#: Of NumPy and SciPy only classes of these kinds are parts of estimators. Others do something when
#: they are made or deleted: ``numpy.lib.npyio.DataSource`` removes a folder.
_TRUSTED_BASES = {
    "numpy": (
        *("numpy:generic", "numpy:dtype", "numpy.random:BitGenerator", "numpy.random:Generator"),
        *("numpy.random:RandomState", "numpy.random:SeedSequence"),
    ),
    "scipy": (
        *("scipy.interpolate:BSpline", "scipy.interpolate:interp1d", "scipy.sparse:sparray"),
        *("scipy.sparse:spmatrix", "scipy.spatial:KDTree", "scipy.spatial:cKDTree"),
    ),
}
#: Of NumPy, no subclass of this is trusted: ``numpy.memmap`` opens and overwrites a file.
_ARRAY = "numpy.ndarray"
#: The node of an archive that calls a class with any arguments.
_CALLING = "ConstructorFromReduceNode"
_SCHEMA = "schema.json"
_ZIP = b"PK"  # how an archive starts; a matrix of SciPy is one within the estimator's
# Where a vectorizer remembers the address of what it checked last; no address is 0.
_ADDRESS = "_stop_words_id"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold


class SklearnMaterializer:
    """Keeps estimators whose parts are all of scikit-learn, SciPy or NumPy."""

    name = "sklearn"

    def handles(self, value: object) -> bool:
        """Whether this is an estimator or another object of scikit-learn."""
        return type(value).__module__.partition(".")[0] == "sklearn"

    def save(self, value: object, sink: Sink) -> None:
        """Write a skops archive. Raises MaterializerError if a part is of another package."""
        sink.format = "skops"
        try:
            data = skops.io.dumps(value)
        except Exception as error:  # skops raises whatever the parts' __getstate__ does.
            raise _refusal(value, f"{type(error).__name__}: {error}") from error
        if foreign := _foreign(data, skops.io.get_untrusted_types(data=data)):
            raise _refusal(value, f"it holds {', '.join(foreign)}")
        sink.write(_normalised(data))
        sink.preview = partial(show_estimator, value)

    def load(self, source: Source) -> object:
        """Read the archive. Raises MaterializerError if it names any other type."""
        data = source.read()
        _check_members(data, source)
        named = skops.io.get_untrusted_types(data=data)
        if foreign := _foreign(data, named):
            raise MaterializerError(
                f"a stored {source.artifact.type} names {', '.join(foreign)}, which is not of"
                " scikit-learn, so it is not loaded"
            )
        return skops.io.loads(data, trusted=named)


def _check_members(data: bytes, source: Source) -> None:
    """Bound what the files in an archive are, and those in the sparse matrices among them."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        expanded = sum(member.file_size for member in members)
        source.check(expanded)
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise CorruptArtifact("a stored estimator is compressed, which Levada's are not")
        for member in members:
            with archive.open(member) as content:
                if content.read(len(_ZIP)) == _ZIP:
                    content.seek(0)
                    with zipfile.ZipFile(content) as matrix:
                        expanded += sum(part.file_size for part in matrix.infolist())
                    source.check(expanded)


def _refusal(value: object, reason: str) -> MaterializerError:
    return MaterializerError(
        f"a {type_name(type(value))} cannot be stored without a pickle: {reason}; write"
        " @step(allow_pickle=True)"
    )


def _is_trusted(name: str) -> bool:
    """Whether a name is that of a class that estimators are made of: no function is trusted."""
    module, _, attribute = name.rpartition(".")
    package = module.partition(".")[0]
    if package not in (_TRUSTED_PACKAGE, *_TRUSTED_BASES) or f"{module}.".startswith(_UNTRUSTED):
        return False
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    if not isinstance(found, type) or hasattr(found, "__del__"):
        return False
    if package == _TRUSTED_PACKAGE:
        return _is_defined_in(found, module, attribute)
    return name == _ARRAY or issubclass(found, tuple(_bases(package)))


def _is_defined_in(found: type, module: str, attribute: str) -> bool:
    """Whether a class is a module's own: a module also has the names that it imports.

    Some classes in Cython name only the last part of their module.
    """
    own = found.__module__ in (module, module.rpartition(".")[2])
    return own and found.__qualname__ == attribute


def _foreign(data: bytes, named: Iterable[str]) -> list[str]:
    """Name what an archive holds or calls and may not."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
    called = {name for name in _called(schema) if not name.startswith(f"{_TRUSTED_PACKAGE}.")}
    return sorted({name for name in named if not _is_trusted(name)} | called)


def _called(schema: object) -> Iterator[str]:
    """Name the classes that an archive's schema calls with arguments of its own."""
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if node.get("__loader__") == _CALLING:
                yield f"{node.get('__module__')}.{node.get('__class__')}"
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _bases(package: str) -> Iterator[type]:
    for name in _TRUSTED_BASES[package]:
        module, _, attribute = name.partition(":")
        yield getattr(import_module(module), attribute)


def _normalised(data: bytes) -> bytes:
    """Name objects and files in the order in which they come, and date nothing."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        files: dict[str, str] = {}
        schema = _renamed(schema, {}, files)
        members = {_SCHEMA: json.dumps(schema, separators=(",", ":")).encode()}
        members |= {new: _plain(archive.read(old)) for old, new in files.items()}
    output = BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return output.getvalue()


def _plain(content: bytes) -> bytes:
    """Take the compression from a sparse matrix, as everything else in the archive is stored.

    What compresses well could not be loaded: see `Source.check`.
    """
    if content[:2] != _ZIP:
        return content
    output = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(content)) as compressed,
        zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as plain,
    ):
        for part in compressed.infolist():
            plain.writestr(zipfile.ZipInfo(part.filename, _EPOCH), compressed.read(part))
    return output.getvalue()


def _renamed(node: Any, ids: dict[int, int], files: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(item, ids, files) for item in node]
    if not isinstance(node, dict):
        return node
    renamed: dict[str, object] = {}
    for key, item in node.items():
        if key == "__id__":
            renamed[key] = ids.setdefault(item, len(ids))
        elif key == "file" and isinstance(item, str) and "__loader__" in node:
            ending = item.rpartition(".")[2]
            renamed[key] = files.setdefault(item, f"{len(files)}.{ending}")
        elif key == _ADDRESS:
            renamed[key] = {**_renamed(item, ids, files), "content": "0"}
        else:
            renamed[key] = _renamed(item, ids, files)
    return renamed


def materializer_for(value: object) -> SklearnMaterializer | None:
    """Give the materializer; a subclass of an estimator is code of somebody else's."""
    if MATERIALIZER.handles(value):
        return MATERIALIZER
    if type(value).__mro__[-2].__module__.startswith("sklearn") or hasattr(value, "get_params"):
        raise _refusal(value, "its class is not of scikit-learn itself")
    return None


MATERIALIZER = SklearnMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
