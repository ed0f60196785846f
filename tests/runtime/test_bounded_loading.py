"""What is in the store may be anything: loading it is bounded, and what is wrong has one error."""

from __future__ import annotations

import io
import json
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from hypothesis import example, given
from hypothesis import strategies as st
from levada import artifact, input_classes, materializers, values
from levada.artifact import Artifact, ArtifactError, CorruptArtifact, MaterializerError
from levada.materializers import Sink, Source
from levada.store import Store, StoreError, open_store
from levada.trees.decode import _TAGS
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

#: The bound in these tests, in bytes: small, so that they are fast.
SMALL = 1 << 20


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(artifact, "MAX_EXPANDED", SMALL)
    return open_store(str(tmp_path / "store"))


def tree_blob(store: Store, tree: Any) -> Artifact:
    data = values.canonical(tree)
    return Artifact(store.put_blob(data), len(data), "json", "tree", "builtins:list")


def reference(leaf: Artifact) -> Any:
    return {"$artifact": leaf.as_json()}


def doubled(store: Store, times: int) -> Artifact:
    found = tree_blob(store, [1])
    for _ in range(times):
        found = tree_blob(store, [reference(found)] * 2)
    return found


def test_a_few_trees_cannot_stand_for_all_that_there_is(store: Store) -> None:
    bomb = doubled(store, 60)
    with pytest.raises(CorruptArtifact, match="when it is loaded"):
        values.load(bomb, store)
    with pytest.raises(CorruptArtifact, match="when it is loaded"):
        values.display(reference(bomb), store)
    assert values.verify(bomb, store)
    assert input_classes.names([reference(bomb)], store) == []


def test_a_value_may_be_referred_to_often(store: Store) -> None:
    items = [reference(tree_blob(store, ["x" * 300]))] * 2000
    assert values.load(tree_blob(store, items), store) == [["x" * 300]] * 2000
    assert values.load(doubled(store, 5), store) == values.display(
        reference(doubled(store, 5)), store
    )


#: A tree of each kind of set or dict, of keys as trees.
HASHED = {
    "$set": lambda keys: keys,
    "$frozenset": lambda keys: keys,
    "$dict": lambda keys: [[key, 1] for key in keys],
    "$ordereddict": lambda keys: [[key, 1] for key in keys],
    "$counter": lambda keys: [[key, 1] for key in keys],
    "$defaultdict": lambda keys: [None, [[key, 1] for key in keys]],
}


@pytest.mark.parametrize("tag", HASHED)
def test_keys_of_one_hash_are_bounded(store: Store, tag: str) -> None:
    """The hash of an int is its remainder by 2**61 - 1: it took minutes to load 100,000 such."""

    def loaded(keys: list[object]) -> Any:
        tree = values.encode(keys)
        return values.load(tree_blob(store, {tag: HASHED[tag](tree)}), store)

    same = [number * (2**61 - 1) for number in range(100_000)]
    began = time.process_time()
    for keys in (same, [(number, "a") for number in same[:1000]]):
        with pytest.raises(CorruptArtifact, match="have the same hash"):
            loaded(keys)
    assert time.process_time() - began < 10
    assert len(loaded(same[:256])) == 256
    assert len(loaded([*range(5000), *(-number for number in range(1, 5000))])) == 9999


def test_a_long_chain_of_references_is_refused(store: Store) -> None:
    chain = tree_blob(store, [1])
    for _ in range(3000):
        chain = tree_blob(store, [reference(chain)])
    with pytest.raises(ArtifactError):
        values.load(chain, store)
    with pytest.raises(ArtifactError):
        values.display(reference(chain), store)
    assert values.verify(chain, store)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_json_is_refused(store: Store, depth: int) -> None:
    data = b"[" * depth + b"]" * depth
    digest = store.put_blob(data)
    deep = Artifact(digest, len(data), "json", "tree", "builtins:list")
    with pytest.raises(ArtifactError):
        values.load(deep, store)
    with pytest.raises(ArtifactError):
        values.display(reference(deep), store)
    folder = b'[["file","a",' + data + b"]]"
    with pytest.raises(ArtifactError):
        values.load(
            Artifact(
                store.put_blob(folder), len(folder), "folder", "path", "pathlib:Path", {"name": "x"}
            ),
            store,
        )


@pytest.mark.parametrize(
    "tree",
    [
        {"$fraction": "1e1000000000"},
        {"$fraction": "1_0/3"},
        {"$decimal": [0, [1], 0]},
        {"$decimal": "one"},
        {"$int": "0x" + "z" * 1000},
        {"$int": 5},
        {"$float": []},
        {"$str": {"a": 1}},
        {"$bytes": []},
        {"$complex": ["a" * 100, 2, 3]},
        {"$range": [0, 1, 0]},
        {"$range": ["a", 1, 0]},
        {"$timedelta": [10**300, 0, 0]},
        {"$timedelta": ["days" * 10, 1, 1]},
        {"$datetime": ["2020-01-01", "America", 0]},
        {"$datetime": ["2020-01-01", "../../etc/passwd", 0]},
        {"$datetime": ["2020-01-01", "x" * 10_000, 0]},
        {"$datetime": ["2020-01-01", ["x", 1e300, 0], 0]},
        {"$time": []},
        {"$deque": [[], 10**30]},
        {"$defaultdict": [[], []]},
        {"$set": [[]]},
        {"$dict": [[1]]},
        {"$enum": []},
        {"$pydantic": [1, 2]},
        {"$numpy": ["V1000000000", 1]},
        {"$numpy": ["V1000000000", {"$bytes": "AAAA"}]},
        {"$numpy": ["(1000000000,)i8", 1]},
        {"$numpy": ["i4,i4", [1, 2]]},
        {"$numpy": [{"names": ["a"], "formats": ["V1000000000"]}, 1]},
        {"$numpy": ["<f8", [[0] * 100] * 100]},
        {"$numpy": ["O", 1]},
        {"$numpy": ["S5", 10**11]},
        {"$numpy": ["S2000000000", 10**11]},
        {"$numpy": ["U5", [1]]},
        {"$numpy": ["<m8[s]", {"$range": [0, 10**12, 1]}]},
        {"$numpy": ["<i8", {"$range": [0, 10**12, 1]}]},
        {"$numpy": ["dtype", ["i4"] * 3]},
        {"$numpy": ["dtype", None]},
        {"$pandas": ["Timestamp", "", [10**30, "s", None]]},
        {"$pandas": ["Timestamp", "", [0, "s", "Nowhere"]]},
        {"$pandas": ["Period", "", [0, "Z" * 1000]]},
        {"$pandas": ["Interval", "", [1, "a", "left"]]},
        {"$unknown": 1},
        {"$tuple": {}},
        {"$artifact": {"digest": "x"}},
    ],
)
def test_malformed_tags_are_corrupt(tree: Any) -> None:
    with pytest.raises(ArtifactError):
        values.decode(tree)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_NAMES = st.sampled_from([*_TAGS, "$artifact", "a"])


@given(
    st.recursive(
        _LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=2),
        max_leaves=12,
    )
)
@example({"$timedelta": ["a", 1, 1]})
@example({"$float": []})
def test_any_json_is_a_value_or_one_of_our_errors(tree: Any) -> None:
    for look in (values.decode, values.display):
        with suppress(ArtifactError, StoreError):
            look(tree)


class Foreign:
    """A value whose materializer, a user's, raises an error of its own."""


class ForeignMaterializer:
    name = "test-foreign"

    def handles(self, value: object) -> bool:
        return type(value) is Foreign

    def save(self, _: object, sink: Sink) -> None:
        sink.write(b"x")

    def load(self, _: Source) -> object:
        raise KeyError("its own")


@pytest.mark.parametrize("value", [Foreign(), (Foreign(),)])
def test_what_a_registered_materializer_raises_stays_what_it_is(
    store: Store, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materializers, "_registered", [ForeignMaterializer()])
    with pytest.raises(KeyError, match="its own"):
        values.load(values.save(value, store), store)


def blob(store: Store, data: bytes, form: str, materializer: str, type_: str) -> Artifact:
    meta = {"name": "x", "kind": "Table"}
    return Artifact(store.put_blob(data), len(data), form, materializer, type_, meta)


def parquet(table: pa.Table, **options: Any) -> bytes:
    data = io.BytesIO()
    pq.write_table(table, data, **options)
    return data.getvalue()


def arrow(table: pa.Table, codec: str) -> bytes:
    data = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_file(data, table.schema, options=options) as writer:
        writer.write_table(table)
    return data.getvalue()


def archive(files: dict[str, bytes], *, compressed: bool = True) -> bytes:
    data = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def picture(size: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (size, size)).save(data, "PNG", compress_level=9)
    return data.getvalue()


def npy(shape: str, dtype: str = "<f8") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


ZEROS = np.zeros(4 * SMALL)
NUMBERS = pa.table({"a": ZEROS})
PLAIN = {"use_dictionary": False, "compression": "zstd"}
SKOPS = ("skops", "sklearn", "sklearn.linear_model._base:LinearRegression")
BOMBS = {
    "pages that are compressed": (parquet(NUMBERS, **PLAIN), "parquet", "pandas", "pandas:Series"),
    "a dictionary": (parquet(NUMBERS), "parquet", "pandas", "pandas:Series"),
    "long texts in a dictionary": (
        parquet(pa.table({"a": ["x" * SMALL] * 20})), "parquet", "pandas", "pandas:Series",
    ),
    "only differences": (
        parquet(
            pa.table({"a": np.zeros(4 * SMALL, dtype=int)}),
            column_encoding="DELTA_BINARY_PACKED", **PLAIN,
        ),
        "parquet", "pandas", "pandas:Series",
    ),
    "the second version of pages": (
        parquet(NUMBERS, data_page_version="2.0", **PLAIN), "parquet", "pandas", "pandas:Series",
    ),
    "nothing but missing values": (
        parquet(pa.table({"a": pa.nulls(20 * SMALL, pa.int64())}), **PLAIN),
        "parquet", "pandas", "pandas:Series",
    ),
    "missing values in lists": (
        parquet(pa.table({"a": pa.array([None] * SMALL, pa.list_(pa.int8()))}), **PLAIN),
        "parquet", "pandas", "pandas:Series",
    ),
    "zstd in a table": (arrow(NUMBERS, "zstd"), "arrow", "arrow", "pyarrow:Table"),
    "lz4 in a table": (arrow(NUMBERS, "lz4"), "arrow", "arrow", "pyarrow:Table"),
    "zstd in a frame": (arrow(NUMBERS, "zstd"), "arrow", "polars", "polars:DataFrame"),
    "an archive": (archive({"schema.json": b"{}", "0.npy": bytes(8 * SMALL)}), *SKOPS),
    "an archive in an archive": (
        archive({"schema.json": b"{}", "0": archive({"a": bytes(8 * SMALL)})}, compressed=False),
        *SKOPS,
    ),
    "a description": (archive({"schema.json": b"[" + b"[]," * 9999 + b"[]]"}), *SKOPS),
    "a picture": (picture(1000), "png", "image", "PIL.Image:Image"),
    "an array of few bytes": (npy("(10**12,)"), "npy", "numpy", "numpy:ndarray"),
    "an array of a long shape": (npy("(1000000000000,)"), "npy", "numpy", "numpy:ndarray"),
    "an array of huge items": (npy("(1,)", "|V2000000000"), "npy", "numpy", "numpy:ndarray"),
    "a folder of one file": (
        json.dumps(
            [["file", str(n), "sha256:" + "0" * 64, SMALL, False] for n in range(200)]
        ).encode(),
        "folder", "path", "pathlib:Path",
    ),
    "a long name": (
        json.dumps([["folder", "a/" * 100_000 + "a"]]).encode(), "folder", "path", "pathlib:Path",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_expands_too_much_is_refused(store: Store, name: str) -> None:
    stored = blob(store, *BOMBS[name])
    with pytest.raises(CorruptArtifact):
        values.load(stored, store)


def sparse_neighbours() -> Any:
    matrix = scipy.sparse.csr_matrix(np.zeros((4, 200_000)))
    matrix.data, matrix.indices = np.ones(800_000), np.tile(np.arange(200_000), 4)
    matrix.indptr = np.arange(0, 800_001, 200_000)
    return KNeighborsClassifier(algorithm="brute").fit(matrix, [0, 1, 0, 1])


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": ZEROS}),
        pd.Series([None] * (2 * SMALL), dtype="string"),
        pd.Series(pd.NaT, index=range(SMALL), dtype="datetime64[s]"),
        pl.DataFrame({"a": ZEROS}),
        NUMBERS,
        ZEROS,
        Image.new("RGB", (1000, 1000)),
    ],
    ids=lambda value: type(value).__module__,
)
def test_what_is_saved_is_loaded_however_well_it_compresses(store: Store, value: Any) -> None:
    saved = values.save(value, store)
    assert values.save(value, store) == saved
    loaded = values.load(saved, store)
    if isinstance(value, np.ndarray):
        assert np.array_equal(loaded, value)  # type: ignore[arg-type]
    elif isinstance(value, Image.Image):
        assert loaded == value
    else:
        assert value.equals(loaded)
        assert not isinstance(value, (pd.DataFrame, pd.Series)) or saved.format == "arrow"
    assert store.list("tmp") == []


def test_a_frame_whose_categories_are_a_huge_range_is_refused(store: Store) -> None:
    column = pd.Series(pd.Categorical([1], categories=pd.RangeIndex(3)))
    saved = values.save(column, store)
    table = pq.read_table(io.BytesIO(store.read_blob(saved.digest)))
    text = table.schema.metadata[b"levada"].decode()
    changed = table.replace_schema_metadata({"levada": text.replace("[0,3,1]", f"[0,{10**12},1]")})
    assert "[0,3,1]" in text
    stored = blob(store, parquet(changed, **PLAIN), "parquet", "pandas", "pandas:Series")
    with pytest.raises(CorruptArtifact, match="when it is loaded"):
        values.load(stored, store)


def test_a_sparse_matrix_in_an_estimator_is_loaded(store: Store) -> None:
    model = sparse_neighbours()
    loaded: Any = values.load(values.save(model, store), store)
    assert (loaded._fit_X != model._fit_X).nnz == 0


def test_a_folder_of_equal_files_is_refused_if_it_could_not_be_loaded(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    for number in range(150):
        (tmp_path / "folder" / str(number)).write_bytes(bytes(10_000))
    with pytest.raises(MaterializerError, match="same content"):
        values.save(tmp_path / "folder", store)


KEPT = {
    "array": np.arange(6).reshape(2, 3),
    "strings": np.array(["a", "b"], dtype=object),
    "frame": pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["x", "y"])}),
    "table": pa.table({"a": [1]}),
    "polars": pl.DataFrame({"a": [1]}),
    "picture": Image.new("L", (2, 2)),
    "bytes": bytes(100_000),
    "path": Path(__file__),
    "model": KNeighborsClassifier().fit([[0], [1]], [0, 1]),
}
ODD: list[Any] = [None, True, -1, 10**30, "x", "..", [], [[]], {}, {"a": []}, 0.5]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("name", KEPT)
def test_odd_metadata_is_an_error_of_ours_or_ignored(store: Store, name: str, odd: Any) -> None:
    saved = values.save(KEPT[name], store).as_json()
    changes: list[dict[str, Any]] = [{"meta": {**saved["meta"], key: odd}} for key in saved["meta"]]
    changes += [{"meta": {}}, {"meta": {"extra": odd}}, {"size": odd}, {"type": odd}]
    changes += [{"format": odd}]
    for change in changes:
        with suppress(ArtifactError, StoreError):
            values.decode({"$artifact": saved | change}, store)


@pytest.mark.parametrize("name", KEPT)
def test_bytes_of_another_kind_are_an_error_of_ours(store: Store, name: str) -> None:
    saved = values.save(KEPT[name], store)
    for other in KEPT:
        data = store.read_blob(values.save(KEPT[other], store).digest)
        for part in (data, data[: len(data) // 2], b"", data[:-1] + b"\xff"):
            broken = Artifact(
                store.put_blob(part), len(part), saved.format, saved.materializer, saved.type,
                saved.meta,
            )  # fmt: skip
            with suppress(ArtifactError, StoreError):
                values.load(broken, store)


@dataclass
class Called:
    """Tells when it is made, as a class of the project may delete a file."""

    instances: ClassVar[list[Called]] = []

    def __post_init__(self) -> None:
        self.instances.append(self)


@pytest.mark.parametrize(
    "value",
    [
        np.array(["MARK"], dtype=object),
        pd.Series([1, 2], name="MARK"),
        pd.DataFrame({"a": [1]}, index=pd.Index([2], name="MARK")),
    ],
    ids=["array", "name", "index"],
)
def test_no_class_of_the_project_is_called_by_what_is_in_a_blob(store: Store, value: Any) -> None:
    """Only a run's parameters have instances that are made by calling their class."""
    saved = json.dumps(values.save(value, store).as_json())
    made = json.dumps({"$made": [f"{__name__}:Called", {}]})
    digest = json.loads(saved)["digest"]
    data = store.read_blob(digest).replace(b'"MARK"', made.encode())
    forged = json.loads(saved.replace('"MARK"', made))
    forged |= {"digest": store.put_blob(data), "size": len(data)}
    assert forged != json.loads(saved)
    Called.instances.clear()
    with pytest.raises(ArtifactError):
        values.load(Artifact.from_json(forged), store)
    assert Called.instances == []
