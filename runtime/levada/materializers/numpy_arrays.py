"""NumPy: arrays as ``.npy`` without pickle (NEP 1), scalars in place in the tree."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from levada.artifact import CorruptArtifact, MaterializerError, brief
from levada.previews import numbers
from levada.store import CHUNK
from levada.trees.canonical import canonical, parse
from levada.trees.classes import type_name
from levada.trees.encode import Encoder, base64

if TYPE_CHECKING:
    import numpy.typing as npt

    from levada.materializers import Sink, Source
    from levada.trees.decode import Decoder
    from levada.trees.tree_types import Content, Tree

_STRINGS = "npy-strings"  # {"dtype", "shape", "values"} in canonical JSON, values in C order
_MAX_HEADER = 1 << 20  # bytes; a header is a Python literal, and longer with each field
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What `dtype.str` gives for a scalar. Others can stand for many values, or huge ones.
_SCALAR_DTYPE = re.compile(r"[<>|=]?[a-zA-Z][0-9]{0,9}(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")
_PYTHON_KINDS = "biufc"  # kinds of dtype whose items are exactly bool, int, float, …


class NumpyMaterializer:
    """Keeps exact ndarrays; a memmap is kept as the array that it shows."""

    name = "numpy"

    def handles(self, value: object) -> bool:
        """Whether this is an ndarray and no subclass that holds more."""
        return type(value) in (np.ndarray, np.memmap)

    def save(self, value: npt.NDArray[np.generic], sink: Sink) -> None:
        """Write the array. Raises MaterializerError if its items are Python objects."""
        sink.type = "numpy:ndarray"
        sink.meta = {"dtype": str(value.dtype), "shape": list(value.shape)}
        sink.preview = partial(numbers.show, value)
        if value.dtype.kind in "OT":
            sink.format = _STRINGS
            sink.write(_strings(value))
            return
        _check_dtype(value.dtype)
        sink.format = "npy"
        _write_array(sink, np.asarray(value))

    def load(self, source: Source) -> object:
        """Read the array, writable as the one that was stored."""
        if source.format == _STRINGS:
            return _load_strings(parse(source.read()))
        with source.open() as file:
            version = np.lib.format.read_magic(file)
            # Version 3 differs from 2 in the names of fields only.
            read = _HEADERS[min(version, (2, 0))]
            shape, _, dtype = read(file, max_header_size=_MAX_HEADER)
            held = source.artifact.size - file.tell()
            if math.prod(shape) * dtype.itemsize != held:
                raise CorruptArtifact(
                    f"a stored array has {held} bytes, which are not {shape} of {dtype}"
                )
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False, max_header_size=_MAX_HEADER)


def _write_array(sink: Sink, array: npt.NDArray[np.generic]) -> None:
    """Write ``.npy``: as `numpy.lib.format.write_array` does, which copies the items first."""
    contiguous = array if array.flags.c_contiguous else array.T  # as the header says of it
    if not contiguous.flags.c_contiguous or array.dtype.names or not array.nbytes:
        np.lib.format.write_array(sink, array, allow_pickle=False)
        return
    header = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(sink, header)
    # Bytes by a view: a buffer cannot have all dtypes. A piece is hashed while the CPU has it.
    items = contiguous.reshape(-1).view(np.uint8)
    for start in range(0, items.size, CHUNK):
        sink.write(items[start : start + CHUNK].data)


def _check_dtype(dtype: np.dtype[np.generic]) -> None:
    """Refuse what ``.npy`` would change: metadata, titles, types of other packages."""
    if dtype.hasobject:
        raise MaterializerError(
            "an array of records with Python objects needs a pickle; use exact dtypes, or write"
            " @step(allow_pickle=True)"
        )
    described = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(dtype))
    if dtype.metadata or described != dtype or described.type is not dtype.type:
        raise MaterializerError(
            f"a .npy file cannot keep the dtype {dtype}; convert the array with .astype(…) first"
        )


def _strings(value: npt.NDArray[np.generic]) -> bytes:
    items = value.ravel().tolist()
    known = value.dtype.kind == "O" or value.dtype == np.dtypes.StringDType()
    if not known or not all(type(item) is str for item in items):
        raise MaterializerError(
            f"an array of dtype {value.dtype} with items that are not all str needs a pickle; use"
            " an exact dtype, return .tolist(), or write @step(allow_pickle=True)"
        )
    encoder = Encoder(None)
    kind = {"O": "object", "T": "string"}[value.dtype.kind]
    values = [encoder.encode(item) for item in items]
    return canonical({"dtype": kind, "shape": list(value.shape), "values": values})


def _load_strings(tree: Content) -> npt.NDArray[np.generic]:
    from levada.trees.decode import Decoder

    dtype = np.dtypes.StringDType() if tree["dtype"] == "string" else np.dtype(object)
    items = Decoder(None).decode(tree["values"])
    if type(items) is not list or not all(type(item) is str for item in items):
        raise CorruptArtifact("a stored array of strings holds something else")
    array = np.empty(len(items), dtype=dtype)
    array[:] = items
    return array.reshape(tree["shape"])


def encode_scalar(encoder: Encoder, value: object) -> Tree | None:
    """Encode a NumPy scalar as ``{"$numpy": [dtype, value]}``; None for what is no scalar."""
    if isinstance(value, np.dtype):
        return {"$numpy": ["dtype", _dtype_name(value)]}
    if not isinstance(value, np.generic) or type(value).__module__ != "numpy":
        return None
    dtype = value.dtype
    if isinstance(value, (np.longdouble, np.clongdouble)):
        # As text: the bytes of the extended formats have gaps that hold anything.
        return {"$numpy": [dtype.char, [str(value.real), str(value.imag)]]}
    if isinstance(value, (np.str_, np.bytes_)):  # str() and item() would drop NULs at the end
        return {"$numpy": [dtype.str, encoder.encode(value[:])]}
    if dtype.kind in _PYTHON_KINDS:
        return {"$numpy": [dtype.str, encoder.encode(value.item())]}
    if dtype.kind == "M":
        return {"$numpy": [dtype.str, str(value)]}
    if dtype.kind == "m":
        return {"$numpy": [dtype.str, int(value.astype(np.int64))]}
    _check_dtype(dtype)
    if dtype.fields:
        return None
    return {"$numpy": [dtype.str, {"$bytes": base64(value.tobytes())}]}


def _dtype_name(dtype: np.dtype[np.generic]) -> str:
    if dtype.fields or dtype.hasobject or dtype.metadata or np.dtype(dtype.str) != dtype:
        raise MaterializerError(f"the dtype {dtype} cannot be stored; return its description")
    return str(dtype.str)


def decode_scalar(decoder: Decoder, content: Content) -> object:
    """Decode ``[dtype, value]``. Raises CorruptArtifact for the dtype of anything but a scalar."""
    name, tree = content
    if name == "dtype":
        return _scalar_dtype(tree)
    dtype = _scalar_dtype(name)
    value = decoder.decode(tree)
    if name in ("g", "G"):
        real, imaginary = map(np.longdouble, value)
        return real if name == "g" else np.clongdouble(real) + np.clongdouble(1j) * imaginary
    if dtype.kind == "m" and type(value) is int:
        return np.array(value, dtype=np.int64).view(dtype)[()]
    if dtype.kind in "SU" and type(value) is {"S": bytes, "U": str}[dtype.kind]:
        return dtype.type(value)  # an array would drop NULs at the end
    if isinstance(value, bytes):
        if len(value) != dtype.itemsize:
            raise CorruptArtifact(f"$numpy has {len(value)} bytes for a {name}")
        return np.frombuffer(value, dtype=dtype)[0]
    if dtype.kind in "mSUV" or not isinstance(value, (bool, int, float, complex, str)):
        raise CorruptArtifact(f"$numpy cannot be {brief(tree)} of dtype {name}")
    return np.array(value, dtype=dtype)[()]


def _scalar_dtype(name: Content) -> np.dtype[np.generic]:
    if type(name) is not str or _SCALAR_DTYPE.fullmatch(name) is None:
        raise CorruptArtifact(f"$numpy cannot be of dtype {brief(name)}")
    dtype = np.dtype(name)
    if dtype.hasobject:
        raise CorruptArtifact(f"$numpy cannot be a scalar of dtype {name}")
    return dtype


def materializer_for(value: object) -> NumpyMaterializer | None:
    """Give the materializer. Raises MaterializerError for the subclasses of ndarray."""
    if MATERIALIZER.handles(value):
        return MATERIALIZER
    if isinstance(value, np.ma.MaskedArray):
        raise MaterializerError(
            "a masked array cannot be kept exactly; return .filled(…) and .mask as two arrays"
        )
    if isinstance(value, np.ndarray):
        raise MaterializerError(
            f"a {type_name(type(value))} would lose its class; return numpy.asarray(…) of it"
        )
    return None


MATERIALIZER = NumpyMaterializer()
BY_NAME = {MATERIALIZER.name: MATERIALIZER}
