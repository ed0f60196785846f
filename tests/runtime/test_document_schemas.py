"""What is read from a store is checked against its published schema, as a library would do it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import levada
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada.document_schemas import fits
from referencing import Registry, Resource

FOLDER = Path(levada.__file__).parent / "schemas"
ALL = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
DIGEST = "sha256:" + "0" * 64
ARTIFACT = {
    "digest": DIGEST,
    "size": 1,
    "format": "json",
    "materializer": "tree",
    "type": "builtins:int",
    "meta": {},
}
OBSERVED: dict[str, Any] = {
    "files": {"a.csv": [1, "stamp", DIGEST], "b": None},
    **{name: {"x": DIGEST} for name in ("folders", "patterns", "modules", "classes", "variables")},
    "connections": [],
    "unseen": [],
}
ENTRY: dict[str, Any] = {
    "schema": "levada.cache/2",
    "key": "0" * 64,
    "parts": {"step": "m:f", "inputs": {"x": DIGEST}},
    "created": 1.5,
    "reads": {"run_id": DIGEST},
    "observed": OBSERVED,
    "returns": ARTIFACT,
    "outputs": {"y": {"tree": 1, "display": 1}},
    "metrics": [],
    "params": {},
    "artifacts": {"z": ARTIFACT},
    "from": {"run_id": "r", "node": "f", "map_index": [0], "attempt": 1},
}
JOURNAL: dict[str, Any] = {"time": 1.0, "start": [["f", [0, 1], 1]], "cancel": "by hand"}
TIME = "2026-01-02T15:04:05.000001Z"
ENDED: dict[str, Any] = {
    "schema": "levada.index/1",
    "kind": "ended",
    "pipeline": "p",
    "run_id": "r",
    "status": "failed",
    "finished": TIME,
    "seconds": 1.5,
    "metrics": {"fit.auc": {"last": "NaN", "min": 0.5, "max": 1, "count": 2}},
    "code": {"m:f": DIGEST},
    "inputs": {"fit[0].x": DIGEST},
    "outputs": {"fit[0]": DIGEST},
    "counts": dict.fromkeys(
        ("steps", "cached", "failed", "skipped", "attempts", "inputs", "outputs"), 1
    ),
    "error": {"type": "ValueError", "message": "no", "node": "fit", "map_index": [0]},
    "peak_memory": 1,
    "cpu_seconds": 0.5,
}
ANNOTATION: dict[str, Any] = {
    "schema": "levada.annotation/1",
    "pipeline": "p",
    "run_id": "r",
    "time": TIME,
    "user": None,
    "tags": {"owner": "mila", "old": None},
    "note": "good",
}
DOCUMENTS = {"cache": ENTRY, "journal": JOURNAL, "index": ENDED, "annotation": ANNOTATION}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(0.1, 0.9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def _open(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_open(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _open(part)
        for name, part in schema.items()
        if not (name == "additionalProperties" and part is False)
    }


REGISTRY: Registry[Any] = Registry().with_resources(
    (each["$id"], Resource.from_contents(_open(each))) for each in ALL.values()
)


def expected(document: Any, name: str) -> bool:
    """As the library says it, with fields that no schema names allowed."""
    schema = _open(ALL[name])
    return bool(jsonschema.Draft202012Validator(schema, registry=REGISTRY).is_valid(document))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_whole_document_fits(name: str) -> None:
    assert fits(DOCUMENTS[name], name)
    assert expected(DOCUMENTS[name], name)
    assert fits({**DOCUMENTS[name], "newer": 1}, name)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key or index there."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [at for key in keys for at in places(value[key])]


@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_a_damaged_document_is_judged_as_the_library_does(name: str, data: st.DataObject) -> None:
    document = copy.deepcopy(DOCUMENTS[name])
    holder, key = data.draw(st.sampled_from(places(document)))
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(JSON)
    assert fits(document, name) == expected(document, name)


@given(JSON)
def test_any_json_is_judged(value: Any) -> None:
    for name in ALL:
        assert fits(value, name) == expected(value, name)
