"""What people call the items of loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada import expressions, item_labels, values
from levada.expressions import Reference, Scope, Variable
from levada.store import Store, open_store
from levada.trees.canonical import leaf_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(str(tmp_path / "store"))
    made.prepare()
    return made


def variables(**given: object) -> dict[str, Variable]:
    return {name: Variable(value, 0) for name, value in given.items()}


def iterations(target: str, items: str, store: Store) -> list[dict[str, Variable]]:
    nothing: Any = {}
    return list(expressions.iterations(target, items, [], Scope({}, nothing, store)))


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({}, ""),
        ({"lr": 0.1, "depth": 4}, "lr=0.1, depth=4"),
        ({"share": 0.1 * 3}, "share=0.3"),
        ({"name": "a\nb\x1b[31m"}, "name=a\\nb\\x1b[31m"),
        ({"name": "Zoë"}, "name=Zoë"),
        ({"on": True, "other": None}, "on=True, other=None"),
        ({"pair": [1, "é"], "more": {"a": 0.5}}, 'pair=[1, "é"], more={"a": 0.5}'),
        (
            {"path": "s3://bucket/customers/date=2024-01-01/part-00000001.parquet"},
            "path=s3://bucket/customers/date=…01-01/part-00000001.parquet",
        ),
        (
            {"i": 7, "path": "s3://bucket/customers/date=2024-01-01/part-00000001.parquet"},
            "i=7, path=s3://bucket/customers/dat…01/part-00000001.parquet",
        ),
    ],
)
def test_labels(given: dict[str, object], label: str) -> None:
    assert item_labels.label(variables(**given), None) == label


@pytest.mark.parametrize(
    ("named", "label"),
    [
        ([], "x=1, x_2=3"),
        (["x_2 as depth"], "x=1, depth=3"),
        (["x as depth", "x_2 as depth"], "x=1, x_2=3"),
        (["x as depth", "x_2 as x"], "depth=1, x=3"),
        (["x_2 as x"], "x=1, x_2=3"),
        (["y as z"], "x=1, x_2=3"),
    ],
)
def test_variables_have_the_names_of_the_source(store: Store, named: list[str], label: str) -> None:
    """Those of which two would have one name keep that of the plan."""
    nothing: Any = {}
    scope = Scope({}, nothing, store)
    (found,) = expressions.iterations("x, x_2", "[(1, 3)]", [], scope, named)
    assert item_labels.label(found, None) == label


TEXTS = st.text(max_size=90)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), TEXTS, max_size=6))
def test_a_label_is_one_short_line(given: dict[str, str]) -> None:
    label = item_labels.label(variables(**given), None)
    assert len(label) <= 60 or len(given) > 2
    assert len(label) <= 240
    assert label.isprintable()


def test_the_targets_of_a_loop_are_named(store: Store) -> None:
    found = iterations("i, (name, n)", "enumerate(zip(['a', 'b'], [3, 4]))", store)
    assert [item_labels.label(each, store) for each in found] == [
        "i=0, name=a, n=3",
        "i=1, name=b, n=4",
    ]


def test_items_that_look_the_same_have_their_index(store: Store) -> None:
    found = iterations("lr", "[0.1, 0.2, 0.1]", store)
    assert item_labels.repeated(found) == [True, False, True]
    assert item_labels.label(found[2], store, index=(2,)) == "lr=0.1 #2"


def test_what_a_step_gave_is_read_if_it_is_small(store: Store) -> None:
    small = Reference(leaf_of(values.save(3, store).as_json()), store)
    large = Reference(leaf_of(values.save(list(range(100)), store).as_json()), store)
    assert item_labels.label(variables(x=small), store) == "x=3"
    assert item_labels.label(variables(x=small), None).startswith("x=int ")
    assert item_labels.label(variables(x=large), store).startswith("x=list ")


def test_a_secret_is_masked_before_it_is_cut() -> None:
    secret = "s3cr3t" * 20
    label = item_labels.label(variables(a=f"before {secret} after"), None, [secret])
    assert label == "a=before *** after"
