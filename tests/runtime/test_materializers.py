"""Values of other libraries: kept exactly in an open format, or refused with a way out."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from levada import materializers, values
from levada.artifact import Artifact, CorruptArtifact, MaterializerError
from levada.materializers import paths
from levada.store import Store, open_store
from matplotlib.figure import Figure
from numpy.lib.npyio import DataSource
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.runtime.materializer_values import FAMILIES, OTHER_FORMATS

if TYPE_CHECKING:
    from levada.materializers import Sink, Source

CASES = [
    pytest.param(family, name, id=f"{family}: {name}")
    for family, (_, make, _) in FAMILIES.items()
    for name in make()
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize(("family", "name"), CASES)
def test_round_trip(family: str, name: str, store: Store) -> None:
    form, make, equal = FAMILIES[family]
    value = make()[name]
    artifact = values.save(value, store)
    loaded = values.load(artifact, store)
    assert artifact.format == OTHER_FORMATS.get(name, form)
    assert equal(value, loaded)
    assert type(loaded) is type(value)
    assert values.verify(artifact, store)
    if name != "forest":  # Its nodes have gaps of memory that hold anything after a load.
        assert values.save(loaded, store) == artifact


def test_digests_are_the_same_in_every_process(tmp_path: Path) -> None:
    program = (
        "from tests.runtime.materializer_values import print_digests;"
        f"print_digests({str(tmp_path / 'store')!r})"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


class Mine(BaseEstimator):
    """An estimator of a project."""


class Frame(pd.DataFrame):
    """A frame of a project."""


def frequency(offset: Any) -> Any:
    return pd.date_range("2026-01-05", periods=4, freq=offset)


def refused() -> dict[str, tuple[Any, str]]:
    figure = Figure()
    return {
        "objects": (np.array([1, "a"], dtype=object), "items that are not all str"),
        "records with objects": (np.zeros(1, dtype=[("a", "O")]), "records with Python objects"),
        "masked array": (np.ma.array([1]), "masked array"),
        "record array": (np.rec.array([(1,)], dtype=[("a", "i4")]), "would lose its class"),
        "LazyFrame": (pl.DataFrame({"a": [1]}).lazy(), r"\.collect\(\)"),
        "polars objects": (pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "exactly"),
        "sparse": (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "to_dense"),
        "holidays": (frequency(pd.offsets.CDay(holidays=["2026-12-25"])), "index.freq = None"),
        "hours": (frequency(pd.offsets.BusinessHour(start="08:00")), "index.freq = None"),
        "an offset without a name": (frequency(pd.DateOffset(months=1)), "index.freq = None"),
        "frame of objects": (pd.DataFrame({"a": [object()]}), r"value\['a'\]"),
        "subclass of a frame": (Frame({"a": [1]}), "would lose its class"),
        "estimator of a project": (Mine(), "not of scikit-learn itself"),
        "pipeline with it": (make_pipeline(Mine()), "it holds tests.runtime"),
        "pipeline with a function": (make_pipeline(FunctionTransformer(os.system)), "system"),
        "axes": (figure.add_subplot(), "get_figure"),
        "CMYK": (Image.new("CMYK", (2, 2)), "PNG cannot keep an image of mode CMYK"),
    }


@pytest.mark.parametrize("name", list(refused()))
def test_refused(name: str, store: Store) -> None:
    value, message = refused()[name]
    with pytest.raises(MaterializerError, match=message):
        values.save(value, store)


def test_refused_values_may_be_pickled(store: Store) -> None:
    value = [np.array([1, "a"], dtype=object), make_pipeline(Mine())]
    artifact = values.save(value, store, allow_pickle=True)
    assert artifact.is_pickled
    loaded = values.load(artifact, store, allow_pickle=True)
    assert (loaded[0].tolist(), type(loaded[1][0])) == ([1, "a"], Mine)


def test_a_figure_is_kept_as_a_picture(store: Store) -> None:
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.add_subplot().plot([1, 2])
    artifact = values.save(figure, store)
    assert (artifact.format, artifact.type) == ("png", "matplotlib.figure:Figure")
    assert values.load(artifact, store).size == (100, 50)
    assert values.save(figure, store) == artifact


# What an attacker who can write to the store might leave there.


def crafted(store: Store, data: bytes, form: str, materializer: str, **meta: Any) -> Artifact:
    return Artifact(store.put_blob(data), len(data), form, materializer, "x:y", meta)


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_crafted_array_runs_nothing(store: Store, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(tmp_path / "run")], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptArtifact):
        values.load(crafted(store, buffer.getvalue(), "npy", "numpy"), store)
    assert not (tmp_path / "run").exists()


def test_a_pickle_under_another_format_runs_nothing(store: Store, tmp_path: Path) -> None:
    data = pickle.dumps(Bomb(tmp_path / "run"))
    for form in ("json", "npy", "parquet", "skops"):
        with pytest.raises((CorruptArtifact, MaterializerError)):
            values.load(crafted(store, data, form, "pickle"), store)
    assert not (tmp_path / "run").exists()


def test_a_crafted_estimator_runs_nothing(store: Store) -> None:
    artifact = values.save(LogisticRegression(), store)
    output = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(store.read_blob(artifact.digest))) as good,
        zipfile.ZipFile(output, "w") as bad,
    ):
        schema = json.loads(good.read("schema.json"))
        schema["__module__"], schema["__class__"] = "os", "system"
        bad.writestr("schema.json", json.dumps(schema))
    with pytest.raises(MaterializerError, match=r"names (posix|os)\.system"):
        values.load(crafted(store, output.getvalue(), "skops", "sklearn"), store)


def test_a_part_of_an_estimator_that_does_something_is_not_made(store: Store) -> None:
    """NumPy's DataSource removes the folder that it names when it is deleted."""
    estimator = LogisticRegression()
    estimator.extra_ = DataSource.__new__(DataSource)
    estimator.extra_._istmpdest = False
    data = skops.io.dumps(estimator)
    with pytest.raises(MaterializerError, match=r"names numpy\.lib\.npyio\.DataSource"):
        values.load(crafted(store, data, "skops", "sklearn"), store)


@pytest.mark.parametrize(
    "entries",
    [
        [["file", "../evil", "DIGEST", 1, False]],
        [["file", "/tmp/evil", "DIGEST", 1, False]],
        [["file", "a/../../evil", "DIGEST", 1, False]],
        [["link", "a", "/etc"], ["file", "b", "DIGEST", 1, False]],
        [["link", "a", "../.."]],
        [["link", "d/a", "../../x"]],
        [["folder", "d/e"], ["link", "d/e/f", "../.."], ["link", "out", "d/e/f/../../x"]],
        [["link", "a", "b/../.."], ["link", "b", "c"], ["folder", "c"]],
        [["link", "a", "b"], ["file", "a/c", "DIGEST", 1, False]],
        [["file", "a", "DIGEST", 1, False], ["folder", "a/b"]],
        [["file", "a", "DIGEST", 1, False], ["file", "a", "DIGEST", 1, False]],
        [["device", "a"]],
        {"a": 1},
    ],
    ids=json.dumps,
)
def test_a_crafted_folder_stays_in_its_place(entries: Any, store: Store) -> None:
    digest = store.put_blob(b"x")
    data = json.dumps(entries).replace("DIGEST", digest).encode()
    with pytest.raises(CorruptArtifact):
        values.load(crafted(store, data, "folder", "path", name="folder"), store)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "..", "", "a\0b", None])
def test_a_crafted_name_stays_in_its_place(name: str | None, store: Store) -> None:
    with pytest.raises(CorruptArtifact):
        values.load(crafted(store, b"x", "file", "path", name=name), store)


@pytest.mark.parametrize(
    "family", ["NumPy array", "pandas frame", "polars frame", "Arrow", "image"]
)
def test_bytes_of_another_format_are_called_corrupt(family: str, store: Store) -> None:
    good = values.save(next(iter(FAMILIES[family][1]().values())), store)
    data = b"these are not the bytes"
    bad = Artifact(
        store.put_blob(data), len(data), good.format, good.materializer, good.type, good.meta
    )
    with pytest.raises(CorruptArtifact):
        values.load(bad, store)


# Files and folders.


def test_a_folder_comes_back(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "é.txt").write_text("text")
    (folder / "run.sh").write_text("#!")
    (folder / "run.sh").chmod(0o755)
    (folder / "latest").symlink_to("a/é.txt")
    artifact = values.save(folder, store)
    loaded = values.load(artifact, store)
    assert sorted(str(path.relative_to(loaded)) for path in loaded.rglob("*")) == [
        "a", "a/empty", "a/é.txt", "latest", "run.sh",
    ]  # fmt: skip
    assert (loaded / "latest").read_text() == "text"
    assert (loaded / "latest").is_symlink()
    assert os.access(loaded / "run.sh", os.X_OK)
    assert loaded.name == "model"
    assert values.save(loaded, store) == artifact


def test_a_step_cannot_damage_the_store_through_its_copy(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    artifact = values.save(tmp_path / "data.csv", store)
    first = values.load(artifact, store)
    first.write_text("changed")
    assert values.load(artifact, store).read_text() == "a,b\n"
    assert values.verify(artifact, store)


def test_times_and_temporary_names_are_not_part_of_a_file(store: Store, tmp_path: Path) -> None:
    digests = set()
    for name in ("tmpabcd1234.csv", "tmp0_zz9999.csv"):
        (tmp_path / name).write_text("a")
        os.utime(tmp_path / name, (1, len(digests)))
        digests.add(values.digest(values.encode(tmp_path / name, store)))
    assert len(digests) == 1


def test_a_damaged_file_in_a_folder_is_found(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("text")
    artifact = values.save([tmp_path / "folder"], store)
    tree = json.loads(store.read_blob(artifact.digest))
    (entry,) = json.loads(store.read_blob(tree[0]["$artifact"]["digest"]))
    blob = Path(store.blob_path(entry[2]) or "")
    blob.chmod(0o644)
    blob.write_text("other")
    assert not values.verify(artifact, store)
    with pytest.raises(CorruptArtifact, match="damaged"):
        values.load(artifact, store)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_link_that_leads_out_of_the_folder_is_refused(
    target: str, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(target)
    with pytest.raises(MaterializerError, match="outside of the folder"):
        values.save(tmp_path / "folder", store)


def test_links_within_a_folder_are_kept(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a/b").mkdir(parents=True)
    for link, target in {"x": "a/b/y/z", "a/b/y": "../..", "z": "loop", "loop": "z"}.items():
        (folder / link).symlink_to(target)
    loaded = values.load(values.save(folder, store), store)
    assert (loaded / "x").readlink() == Path("a/b/y/z")


def test_a_pipe_is_refused(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MaterializerError, match="neither a file nor a folder"):
        values.save(tmp_path / "pipe", store)


def test_files_go_where_the_step_works(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    before = paths._workspace
    paths.set_workspace(tmp_path / "work")
    try:
        loaded = values.load(values.save(tmp_path / "file", store), store)
    finally:
        paths._workspace = before
    assert loaded.is_relative_to(tmp_path / "work")


# Materializers of a user's.


class Celsius:
    """A value that only its own materializer knows."""

    def __init__(self, degrees: int) -> None:
        self.degrees = degrees


class CelsiusMaterializer:
    """Keeps degrees as text."""

    name = "celsius"

    def handles(self, value: Any) -> bool:
        return type(value) is Celsius

    def save(self, value: Celsius, sink: Sink) -> None:
        sink.format = "degrees"
        sink.meta = {"unit": "C"}
        sink.write(str(value.degrees).encode())

    def load(self, source: Source) -> Celsius:
        assert source.meta == {"unit": "C"}
        with source.open() as file:
            assert Path(source.path()).read_bytes() == source.read()
            return Celsius(int(file.read()))


def test_a_registered_materializer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materializers, "_registered", [])
    materializers.register(CelsiusMaterializer())
    artifact = values.save({"today": Celsius(21)}, store)
    assert values.load(artifact, store)["today"].degrees == 21
    monkeypatch.setattr(materializers, "_registered", [])
    with pytest.raises(MaterializerError, match="which nothing here registers"):
        values.load(artifact, store)


def test_a_materializer_by_entry_point(store: Store, tmp_path: Path) -> None:
    """A distribution that is installed, in a process of its own."""
    folder = tmp_path / "site"
    (folder / "warm-1.0.dist-info").mkdir(parents=True)
    (folder / "warm-1.0.dist-info" / "METADATA").write_text("Name: warm\nVersion: 1.0\n")
    (folder / "warm-1.0.dist-info" / "entry_points.txt").write_text(
        "[levada.materializers]\nwarm = tests.runtime.test_materializers:CelsiusMaterializer\n"
    )
    program = (
        "from levada import values; from levada.store import open_store;"
        "from tests.runtime.test_materializers import Celsius;"
        f"store = open_store({store.url!r}); artifact = values.save(Celsius(3), store);"
        "print(artifact.materializer, values.load(artifact, store).degrees)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == ["celsius", "3"]


def test_json_values_import_no_library() -> None:
    program = (
        "import sys; from levada import values;"
        "values.decode(values.encode({'a': [1, (2.5, None)], 'b': {b'x'}}));"
        "print(sorted({'numpy', 'pandas', 'pathlib', 'importlib.metadata', 'levada.materializers'}"
        " & set(sys.modules)))"
    )
    run = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "is_trusted"),
    [
        ("sklearn.preprocessing._data.StandardScaler", True),
        ("sklearn.tree._tree.Tree", True),
        ("numpy.ndarray", True),
        ("numpy.memmap", False),
        ("numpy.lib.npyio.DataSource", False),
        ("sklearn.compose._column_transformer.Counter", False),
        ("sklearn.compose._column_transformer.partial", False),
        ("sklearn.feature_selection._base.attrgetter", False),
        ("sklearn.base.defaultdict", False),
    ],
)
def test_an_estimator_has_classes_of_its_own_library_only(name: str, is_trusted: bool) -> None:
    """A module of the library also has the names of what it imports."""
    from levada.materializers import sklearn_estimators

    assert sklearn_estimators._is_trusted(name) == is_trusted


def test_an_estimator_calls_no_class_of_another_library() -> None:
    from levada.materializers import sklearn_estimators

    node = {"__loader__": "ConstructorFromReduceNode", "__module__": "numpy", "__class__": "memmap"}
    assert list(sklearn_estimators._called({"content": [{"a": node}]})) == ["numpy.memmap"]
