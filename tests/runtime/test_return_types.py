"""What a step returned against what it is declared to return."""

from __future__ import annotations

import datetime
import enum
import sys
import time
import typing
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import numpy as np
import pandas as pd
import pytest
from levada.return_types import FIRST, declared_return, find_mismatch, type_text

T = TypeVar("T")
Json = Union[None, bool, int, float, str, "list[Json]", "dict[str, Json]"]
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"


class Report(NamedTuple):
    auc: float
    names: list[str]


@dataclass
class Config:
    depth: int


class Deep(Config):
    pass


class Named(Protocol):
    name: str


class Box(Generic[T]):
    pass


class Options(TypedDict, total=False):
    depth: int
    names: list[str]


class Needed(TypedDict):
    depth: int


FITS = [
    (1, int),
    (True, int),
    (1, float),
    (1.5, "float"),
    (1, complex),
    ("a", str),
    (b"a", bytes),
    (None, None),
    (None, "None"),
    ([], list[int]),
    ([1, 2], "list[int]"),
    ([1, "a"], list),
    ([1, "a"], typing.List),  # noqa: UP006
    ([1, "a"], list[Any]),
    ({"a": 1}, dict[str, float]),
    ({"a": {1: ["x"]}}, dict[str, dict[int, list[str]]]),
    (OrderedDict(a=1), dict[str, int]),
    (defaultdict(int, a=1), Mapping[str, int]),
    (Counter("aab"), Counter[str]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[()]),
    ((1, "a", None), tuple),
    ({1}, set[int]),
    (frozenset("a"), frozenset[str]),
    (["a"], Sequence[str]),
    ("text", Sequence[int]),
    (range(3), Sequence[str]),
    ({"a": 1}, Iterable[str]),
    (None, int | None),
    (1, Optional[int]),  # noqa: UP045
    ("a", Union[int, str]),  # noqa: UP007
    ([1], list[int] | list[str]),
    (["a"], "list[int] | list[str]"),
    ("a", Literal["a", "b"]),
    (Colour.RED, Colour),
    (Config(1), Config),
    (Deep(1), Config),
    (Config("one"), Config),  # the fields of a dataclass are its own matter
    (Report(1, ["a"]), Report),
    (UserId(1), UserId),
    (datetime.datetime(2026, 1, 1), datetime.date),
    (Path("a"), Path),
    ({"depth": 1}, Options),
    ({}, Options),
    ({"depth": 1, "more": 2}, Needed),
    ({"a": [1, {"b": None}]}, Json),
    (pd.DataFrame({"a": [1]}), pd.DataFrame),
    (pd.DataFrame({"a": [1]}), "pd.DataFrame"),
    (np.arange(3), np.ndarray),
    (np.arange(3), "np.ndarray[Any, np.dtype[np.float64]]"),
    # NumPy's scalars pass for what they stand for.
    (np.float64(1), float),
    (np.float32(1), float),
    (np.int64(1), float),
    (np.int64(1), int),
    (np.uint8(1), int),
    (np.bool_(True), bool),
    (np.str_("a"), str),
    (np.int64(1), np.int64),
    # What is said of nothing in particular is not checked.
    (1, Any),
    (1, object),
    (1, T),
    (1, "T"),
    (1, Named),
    ("a", Annotated[str, "int"]),
    (Box(), Box[int]),
    (len, Callable[[int], str]),
    (1, "not_imported.Frame"),
    (1, "if"),
    ([1], "list[Missing]"),
    (1, "Missing | str"),
]


@pytest.mark.parametrize(("value", "declared"), FITS)
def test_it_fits(value: object, declared: object) -> None:
    assert find_mismatch(value, declared, globals()) is None


DIFFERS = [
    ("1", int, "", "int", "str"),
    (1.0, int, "", "int", "float"),
    ("1", float, "", "float", "str"),
    (1, str, "", "str", "int"),
    ("a", bytes, "", "bytes", "str"),
    (1, bool, "", "bool", "int"),
    (1j, float, "", "float", "complex"),
    ({}, None, "", "None", "dict"),
    (None, int, "", "int", "None"),
    ((1,), list[int], "", "list[int]", "tuple"),
    ([1, 2, "3"], "list[int]", "[2]", "int", "str"),
    ({"a": 1, "b": "x"}, dict[str, float], '["b"]', "float", "str"),
    ({1: [None]}, dict[int, list[str]], "[1][0]", "str", "None"),
    ({1: 1}, dict[str, int], " key 1", "str", "int"),
    ((1, 2), tuple[int, str], "[1]", "str", "int"),
    ((1, 2, 3), tuple[int, int], "", "tuple of 2 values", "tuple of 3"),
    ((1, 2, None), tuple[int, ...], "[2]", "int", "None"),
    ({"a"}, set[int], "[0]", "int", "str"),
    ("a", int | None, "", "int | None", "str"),
    ([1, "a"], list[int] | None, "[1]", "int", "str"),
    ("c", Literal["a", "b"], "", "Literal['a', 'b']", "str"),
    (1, Literal[True], "", "Literal[True]", "int"),
    ("red", Colour, "", f"{__name__}.Colour", "str"),
    ({"depth": 1}, Config, "", f"{__name__}.Config", "dict"),
    (Report("high", ["a"]), Report, ".auc", "float", "str"),
    (Report(1, ["a", 2]), Report, ".names[1]", "str", "int"),
    ((1, []), Report, "", f"{__name__}.Report", "tuple"),
    ("a", Annotated[int, "a number"], "", "int", "str"),
    ("a", UserId, "", "int", "str"),
    ({"depth": "1"}, Options, '["depth"]', "int", "str"),
    ({"a": 1}, Needed, "", f"{__name__}.Needed", "dict without 'depth'"),
    ({"a": [1, {"b": ()}]}, Json, '["a"][1]["b"]', None, "tuple"),
    ([{"a": 1}], pd.DataFrame, "", "pandas.DataFrame", "list"),
    (np.float64(1.5), int, "", "int", "numpy.float64"),
    (np.int64(1), str, "", "str", "numpy.int64"),
    (np.arange(3), list[int], "", "list[int]", "numpy.ndarray"),
]


@pytest.mark.parametrize(("value", "declared", "place", "wanted", "found"), DIFFERS)
def test_it_differs(
    value: object, declared: object, place: str, wanted: str | None, found: str
) -> None:
    mismatch = find_mismatch(value, declared, globals())
    assert mismatch is not None
    # pandas says of its classes that they are in `pandas` only from 3.0 on.
    shown = mismatch.declared.replace("pandas.core.frame.", "pandas.")
    assert (mismatch.place, mismatch.found) == (place, found)
    assert wanted is None or shown == wanted


def test_the_first_items_of_a_long_list_and_the_last_are_checked() -> None:
    values: list[object] = [0] * 5_000_000
    started = time.perf_counter()
    assert find_mismatch(values, list[int], {}) is None
    assert time.perf_counter() - started < 2
    values[-1] = "x"
    last = find_mismatch(values, list[int], {})
    assert last is not None
    assert last.place == "[4999999]"
    values[-1], values[FIRST - 1] = 0, None
    assert find_mismatch(values, list[int], {}) is not None
    values[FIRST - 1], values[FIRST] = 0, None
    assert find_mismatch(values, list[int], {}) is None


def test_what_is_nested_takes_a_bounded_time() -> None:
    value = [[[0] * 500] * 500] * 500
    started = time.perf_counter()
    assert find_mismatch(value, list[list[list[int]]], {}) is None
    assert time.perf_counter() - started < 5


def test_a_value_that_holds_itself() -> None:
    value: list[Any] = []
    value.append(value)
    assert find_mismatch(value, Json, globals()) is None


def test_a_module_that_is_imported_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("other_name")
    other.__file__ = __file__
    monkeypatch.setitem(sys.modules, "other_name", other)
    twin = type("Config", (), {"__module__": "other_name"})
    assert find_mismatch(twin(), Config, {}) is None
    assert find_mismatch(twin(), Colour, {}) is not None


def test_the_declaration_of_a_function() -> None:
    def outer(value):  # type: ignore[no-untyped-def]
        return value

    def inner(value) -> int:  # type: ignore[no-untyped-def]
        return len(value)

    assert declared_return(outer) is ...
    outer.__wrapped__ = inner  # type: ignore[attr-defined]
    assert declared_return(outer) == "int"


def test_how_types_are_written() -> None:
    assert type_text(dict[str, list[int]]) == "dict[str, list[int]]"
    assert type_text(Optional[int]) == "Optional[int]"  # noqa: UP045
    assert type_text("pd.DataFrame") == "pd.DataFrame"
