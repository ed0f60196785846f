"""What people are shown of stored values: how previews look, and what they never do."""

from __future__ import annotations

import base64
import json
import warnings
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from levada import document_schemas, materializers, previews, values
from levada.artifact import Artifact
from levada.previews import Previews
from levada.store import Store, blob_name, open_store
from levada_records.previews import read_preview

from tests.engine.project import Project

SECRET = "s3cr3t-v4lue"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def preview_of(value: object, store: Store, *, allow_pickle: bool = False) -> Any:
    made = Previews(store, [SECRET])
    artifact = values.save(value, store, allow_pickle, previews=made)
    assert made.warnings == []
    found = read_preview(store, artifact)
    if found is not None:
        schema = json.loads(Path(document_schemas._FOLDER, "preview.json").read_text())
        jsonschema.validate(found, schema)
        assert artifact.preview is not None
        assert artifact.preview["kind"] == found["kind"]
        assert len(store.read_blob(artifact.preview["digest"])) <= previews.LIMIT
    return found


# ---------------------------------------------------------------- each kind


def frame_of_pandas() -> object:
    import pandas as pd

    return pd.DataFrame({"x": [1.0, None, 3.0], "name": ["a", SECRET, None]})


def frame_of_polars() -> object:
    import polars as pl

    return pl.DataFrame({"x": [1.0, None, 3.0], "name": ["a", SECRET, None]})


def table_of_arrow() -> object:
    import pyarrow as pa

    return pa.table({"x": [1.0, None, 3.0], "name": ["a", SECRET, None]})


@pytest.mark.parametrize("make", [frame_of_pandas, frame_of_polars, table_of_arrow])
def test_a_frame_is_shown_by_its_columns_and_first_rows(make, store):
    found = preview_of(make(), store)
    x, name = found["columns"]
    assert (found["kind"], found["rows"], found["columns_total"]) == ("table", 3, 2)
    assert (x["name"], x["nulls"], x["min"], x["max"], x["mean"]) == ("x", 1, 1.0, 3.0, 2.0)
    assert x["quantiles"] == [1.5, 2.0, 2.5]
    assert (name["name"], name["nulls"]) == ("name", 1)
    assert found["head"] == [[1.0, "a"], [None, "***"], [3.0, None]]
    assert found["truncated"] is False


def test_a_large_frame_is_shown_by_a_sample(store):
    import numpy as np
    import pandas as pd

    found = preview_of(pd.DataFrame({"x": np.arange(1_000_000)}), store)
    assert found["rows"] == 1_000_000
    assert 100_000 < found["sampled"] < 1_000_000
    assert len(found["head"]) == 50
    assert found["columns"][0]["quantiles"][1] == pytest.approx(500_000, rel=0.01)


def test_a_wide_frame_of_long_texts_is_cut_until_it_fits(store):
    import pandas as pd

    found = preview_of(pd.DataFrame({f"c{n}": ["é" * 1000] * 60 for n in range(500)}), store)
    assert (found["rows"], found["columns_total"], found["truncated"]) == (60, 500, True)
    assert 0 < len(found["head"]) < 50
    assert all(cell.endswith("…") for row in found["head"] for cell in row)


def test_frames_of_any_labels_and_types(store):
    import numpy as np
    import pandas as pd

    frames = [
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame(index=[1, 2, 3]),
        pd.DataFrame({"i": [np.inf, -np.inf, np.nan]}),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        pd.DataFrame({"c": pd.Categorical(["u", None]), "d": pd.to_datetime(["2020-01-01", None])}),
        pd.Series([1, 2], name="s"),
        pd.Series([1, 2]),
        pd.date_range("2020-01-01", periods=3),
        pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
        pd.array([1, None], dtype="Int64"),
    ]
    for frame in frames:
        assert preview_of(frame, store)["kind"] == "table"


def test_a_small_array_is_shown_whole_and_a_curve_by_points(store):
    import numpy as np

    confusion = preview_of(np.array([[50, 2], [3, 45]]), store)
    assert (confusion["shape"], confusion["values"]) == ([2, 2], [[50, 2], [3, 45]])
    curve = preview_of(np.linspace(0, 1, 10_000), store)
    assert "values" not in curve
    assert (curve["points"][0], curve["points"][-1]) == ([0, 0.0], [9999, 1.0])
    assert sum(curve["histogram"]["counts"]) == 10_000
    large = preview_of(np.zeros((1000, 1000)).T[:, 1:], store)
    assert (large["shape"], large["min"], large["max"]) == ([1000, 999], 0.0, 0.0)
    assert large["sampled"] <= 200_000


def test_arrays_of_any_type(store):
    import numpy as np

    for array in (
        np.zeros((0, 3)),
        np.array(5),
        np.array([np.nan, np.inf]),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["a", "b"], dtype=object),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.array([2**64 - 1], dtype=np.uint64),
        np.array([b"abc"]),
        np.array([1e308, -1e308]),
    ):
        assert preview_of(array, store)["shape"] == list(array.shape)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_picture_has_a_thumbnail(mode, store):
    from PIL import Image

    found = preview_of(Image.new(mode, (3000, 1500)), store)
    assert (found["width"], found["height"]) == (3000, 1500)
    with Image.open(BytesIO(base64.b64decode(found["png"]))) as thumbnail:
        assert thumbnail.size == (640, 320)


def test_a_picture_of_noise_has_a_smaller_thumbnail(store):
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), dtype=np.uint8)
    found = preview_of(Image.fromarray(pixels), store)
    with Image.open(BytesIO(base64.b64decode(found["png"]))) as thumbnail:
        assert 40 <= thumbnail.width < 640


def test_a_figure_has_a_thumbnail(store):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    found = preview_of(figure, store)
    assert base64.b64decode(found["png"]).startswith(b"\x89PNG")


def test_an_estimator_is_shown_by_its_parameters(store):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    found = preview_of(model.fit([[1.0], [2.0], [3.0]], [0, 1, 1]), store)
    assert found["class"] == "sklearn.pipeline:Pipeline"
    assert found["parameters"]["logisticregression__C"] == 0.5
    lone = preview_of(model[-1], store)
    assert lone["fitted"]["classes_"] == "[0, 1]"


def test_a_long_text_is_shown_by_its_start(store):
    found = preview_of("a" * 4090 + SECRET + "b" * 10_000, store)
    assert (found["kind"], found["truncated"], len(found["text"])) == ("text", True, 4096)
    assert found["text"].endswith("a***bbb")  # a secret is masked where the text is cut, too
    assert found["size"] == 14_102


def test_nested_data_are_cut(store):
    found = preview_of({"numbers": list(range(5000)), "who": (SECRET,)}, store)
    assert found["value"] == {"numbers": list(range(50)), "who": ["***"]}
    assert found["truncated"] is True


def test_a_dict_of_frames_has_the_previews_of_its_parts(store):
    found = preview_of({"train": frame_of_pandas(), "count": 3}, store)
    digest = found["value"]["train"]["digest"]
    assert found["parts"][digest]["rows"] == 3
    assert found["parts"][digest]["head"][1] == [None, "***"]


def test_plots_are_shown_whole(store):
    plotly = {"data": [{"x": list(range(1500))}], "layout": {"title": "t"}}
    vega = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": [{"a": number} for number in range(600)]},
    }
    assert preview_of(plotly, store) == {
        "schema": previews.SCHEMA, "kind": "plotly", "spec": plotly,
    }  # fmt: skip
    assert preview_of(vega, store)["spec"] == vega
    assert preview_of(plotly | {"data": [list(range(50_000))]}, store)["kind"] == "json"


def test_files_and_folders(store, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.txt").write_text("é" * 9000)
    (folder / "data.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "plot.json").write_text('{"data": [], "layout": {}}')
    (folder / "empty").touch()
    text = preview_of(folder / "report.txt", store)
    assert (text["kind"], len(text["text"]), text["size"]) == ("text", 4096, 18_000)
    assert preview_of(folder / "data.bin", store)["kind"] == "bytes"
    assert preview_of(folder / "plot.json", store)["kind"] == "plotly"
    assert preview_of(folder / "empty", store)["text"] == ""
    listed = preview_of(folder, store)
    assert (listed["files"], listed["names"][0]) == (4, ["data.bin", 1024])
    assert preview_of(b"\xff" * 100_000, store)["kind"] == "bytes"


# ---------------------------------------------------------------- what they never do


@pytest.mark.parametrize("value", [1, "text", None, [1, 2], {"a": 1}, (1, "x"), True, b"x"])
def test_small_values_have_none_for_the_record_shows_them(value, store):
    made = Previews(store)
    assert values.save(value, store, previews=made).preview is None
    assert len(list(store.walk("blobs"))) == 1


class Odd:
    """Nothing keeps this but a pickle."""

    def __init__(self) -> None:
        self.data = "x" * 10_000


def test_a_pickle_has_none(store):
    assert preview_of(Odd(), store, allow_pickle=True) is None


def test_the_preview_is_no_part_of_the_value(store):
    frame = frame_of_pandas()
    bare = values.save(frame, store)
    shown = values.save(frame, store, previews=Previews(store))
    assert (bare.preview, bare) == (None, shown)
    assert "preview" in shown.as_json()
    trees = [values.encode(each) for each in (bare, shown)]
    assert trees[0] == trees[1]
    assert values.digest(trees[0]) == values.digest(trees[1])
    assert Artifact.from_json(shown.as_json()).preview == shown.preview


class Fragile:
    """A value whose materializer cannot show it."""


class FragileMaterializer:
    name = "fragile"

    def __init__(self, show: Any) -> None:
        self.show = show

    def handles(self, value: object) -> bool:
        return isinstance(value, Fragile)

    def save(self, value: object, sink: materializers.Sink) -> None:  # noqa: ARG002
        sink.write(b"fragile")
        sink.preview = self.show

    def load(self, source: materializers.Source) -> object:  # noqa: ARG002
        return Fragile()


def too_large() -> dict[str, Any]:
    return {"kind": "mine", "text": "x" * 100_000}


def no_json() -> dict[str, Any]:
    return {"kind": "mine", "value": object()}


def raising() -> dict[str, Any]:
    raise ValueError(f"cannot show {SECRET}")


def warning() -> dict[str, Any]:
    warnings.warn("look out", UserWarning, stacklevel=1)
    return {"kind": "mine", "value": 1}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(materializers, "_registered", [])
    return lambda show: materializers.register(FragileMaterializer(show))


@pytest.mark.parametrize(
    ("show", "said"),
    [
        (raising, "ValueError: cannot show ***"),
        (no_json, "TypeError: Object of type object is not JSON serializable"),
        (lambda: None, "TypeError"),
        (lambda: {"no": "kind"}, "KeyError: 'kind'"),
        (too_large, ""),
    ],
)
def test_a_preview_that_fails_is_left_out(show, said, store, registered):
    registered(show)
    made = Previews(store, [SECRET])
    artifact = values.save(Fragile(), store, previews=made)
    assert artifact.preview is None
    assert store.read_blob(artifact.digest) == b"fragile"
    assert len(made.warnings) == bool(said)
    assert all(said in text and SECRET not in text for text in made.warnings)


def test_a_materializer_of_somebody_else_shows_its_values_without_a_warning(store, registered):
    registered(warning)
    assert preview_of(Fragile(), store) == {"schema": previews.SCHEMA, "kind": "mine", "value": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"schema": "levada.preview/2", "kind": "table"}', b"x" * 70_000],
)
def test_what_is_no_preview_is_as_if_it_were_not_there(content, store):
    held = {"digest": store.put_blob(content), "size": len(content), "kind": "table"}
    assert read_preview(store, {"preview": held}) is None


def test_a_missing_or_damaged_preview(store, tmp_path):
    artifact = values.save(frame_of_pandas(), store, previews=Previews(store))
    assert artifact.preview is not None
    path = tmp_path / "store" / blob_name(artifact.preview["digest"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"table", b"tabel"))
    assert read_preview(store, artifact) is None
    path.unlink()
    assert read_preview(store, artifact) is None
    assert read_preview(store, None) is None
    assert read_preview(store, {"preview": "sha256:no"}) is None


# ---------------------------------------------------------------- in runs

RUN = """\
from typing import NamedTuple
import pandas as pd
from levada import log_artifact

class Split(NamedTuple):
    train: pd.DataFrame
    test: pd.DataFrame
    size: int

@step(cache=True)
def split(rows: int) -> Split:
    frame = pd.DataFrame({"x": range(rows)})
    log_artifact("whole", frame)
    return Split(frame[: rows // 2], frame[rows // 2 :], rows)

@step
def count(train: pd.DataFrame) -> int:
    return len(train)

@pipeline
def main(rows: int = 10):
    parts = split(rows)
    return count(parts.train)
"""


def test_a_run_has_them_and_a_cache_hit_has_those_of_the_first(tmp_path):
    project = Project(tmp_path, RUN)
    store = open_store(project.store)
    first, again = (project.record(project.run(), "split") for _ in range(2))
    assert [record["cache"]["hit"] for record in (first, again)] == [False, True]
    for record in (first, again):
        assert document_schemas.fits(record, "record")
        train = read_preview(store, record["outputs"]["train"]["artifact"])
        assert train is not None
        assert (train["rows"], train["columns"][0]["name"]) == (5, "x")
        whole = read_preview(store, record["artifacts"]["whole"])
        assert whole is not None
        assert whole["rows"] == 10
        assert record["outputs"]["size"] == {"tree": 10, "display": 10}
    assert first["outputs"] == again["outputs"]


def test_they_change_no_cache_key(tmp_path, monkeypatch):
    project = Project(tmp_path, RUN)
    monkeypatch.setenv("LEVADA_PREVIEWS", "off")
    bare = project.run()
    monkeypatch.delenv("LEVADA_PREVIEWS")
    assert "preview" not in project.record(bare, "split")["outputs"]["train"]["artifact"]
    again = project.run()
    assert project.record(again, "count")["cache"]["hit"] is True
    (tmp_path / "store" / "cache").rename(tmp_path / "gone")
    anew = project.run()
    assert "preview" in project.record(anew, "split")["outputs"]["train"]["artifact"]
    keys = {project.record(each, "count")["cache"]["key"] for each in (bare, again, anew)}
    assert len(keys) == 1


def test_in_memory():
    store = open_store("memory://previews/here")
    artifact = values.save(frame_of_pandas(), store, previews=Previews(store))
    found = read_preview(store, artifact)
    assert found is not None
    assert found["kind"] == "table"


def test_a_damaged_entry_in_a_record_is_dropped():
    held = {
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "format": "json",
        "materializer": "tree",
        "type": "a:b",
    }
    for wrong in (1, [], {"digest": 1}, {"digest": "x", "size": True, "kind": "k"}):
        assert Artifact.from_json({**held, "preview": wrong}).preview is None


def test_libraries_that_are_not_loaded_stay_so(tmp_path):
    import subprocess
    import sys

    script = (
        "import sys; from levada import values; from levada.previews import Previews\n"
        "from levada.store import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "values.save('x' * 9000, store, previews=Previews(store))\n"
        "values.save({'a': [1] * 9000}, store, previews=Previews(store))\n"
        "print(sorted({'numpy', 'pandas', 'PIL', 'typing', 'pathlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-S", "-c", script, str(tmp_path / "store")]
    environment = {"PYTHONPATH": str(Path(values.__file__).parents[1])}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_function_gives_the_preview_only_once_the_value_is_stored(store, registered):
    seen: list[int] = []

    def show() -> dict[str, Any]:
        seen.append(len(list(store.walk("blobs"))))
        return {"kind": "mine"}

    registered(partial(show))
    values.save(Fragile(), store, previews=Previews(store))
    assert seen == [1]
