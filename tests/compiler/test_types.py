"""Annotations as types, and what fits what: the tables in ``types/``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada_compiler.front import types
from levada_compiler.program.ir import Type

CASES = Path(__file__).parent / "types"
MODULES = {"pd": "pandas", "t": "typing", "abc": "collections.abc", "np": "numpy", "dt": "datetime"}
BASES: dict[str, tuple[str, ...]] = {
    "Report": (),
    "Special": ("pipeline:Report",),
    "Name": ("builtins.str",),
    "Sized": ("typing.Protocol",),
    "Options": ("typing.TypedDict",),
    "Pair": ("typing.NamedTuple",),
    "Odd": ("somewhere.Else",),
    "Model": (),
}


def resolve(dotted: str) -> str | None:
    if dotted in BASES:
        return f"pipeline:{dotted}"
    module, _, name = dotted.partition(".")
    return f"{MODULES[module]}.{name}" if module in MODULES else None


def bases(name: str) -> tuple[str, ...] | None:
    return BASES.get(name.removeprefix("pipeline:"))


def read(annotation: str) -> Type:
    text = annotation.replace(" OR ", " | ")
    return types.read(ast.parse(text, mode="eval").body, resolve)


def shape(kind: Type) -> str:
    inner = ", ".join([*map(shape, kind.arguments), *kind.values])
    return f"{kind.name}[{inner}]" if inner else kind.name


def rows(name: str) -> list[tuple[str, ...]]:
    lines = (CASES / name).read_text().splitlines()
    table = [line.split("|")[1:-1] for line in lines if line.startswith("| `")]
    return [tuple(cell.strip().strip("`") for cell in cells) for cells in table]


@pytest.mark.parametrize(("annotation", "expected"), rows("annotations.md"))
def test_annotations(annotation: str, expected: str) -> None:
    assert shape(read(annotation)) == expected


@pytest.mark.parametrize(("given", "wanted", "fits"), rows("assignable.md"))
def test_assignable(given: str, wanted: str, fits: str) -> None:
    assert types.assignable(read(given), read(wanted), bases) is (fits == "yes")


@pytest.mark.parametrize(("given", "wanted", "fits"), rows("assignable.md"))
def test_knowing_less_never_raises_an_alarm(given: str, wanted: str, fits: str) -> None:
    alarm = not types.assignable(read(given), read(wanted))
    assert not alarm or fits == "no" or wanted in ("Sized", "Name")


def test_the_text_is_as_written() -> None:
    assert types.text(read("pd.DataFrame")) == "pd.DataFrame"
    assert types.text(read("'int OR None'")) == "int | None"
    assert types.text(types.read(None, resolve)) == "Any"
    assert types.text(Type("union", (Type("pipeline:Report"), Type("None")))) == "Report | None"
    assert types.text(Type("literal", values=('"a"', "null"))) == "Literal['a', None]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (True, "bool"),
        ([], "list"),
        ([1, 2], "list[int]"),
        ([1, "a"], "list[int | str]"),
        ({"a": [1.5]}, "dict[str, list[float]]"),
        ({}, "dict"),
    ],
)
def test_types_of_values(value: object, expected: str) -> None:
    assert types.text(types.of_value(value)) == expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("list[int]", "int"),
        ("dict[str, int]", "str"),
        ("tuple[int, str]", "union[int, str]"),
        ("tuple[int, ...]", "int"),
        ("str", "str"),
        ("bytes", "int"),
        ("list[int] OR None", "int"),
        ("t.Literal['a']", "str"),
        ("abc.Iterable[float]", "float"),
        ("list", "any"),
        ("Report", "any"),
    ],
)
def test_elements(annotation: str, expected: str) -> None:
    assert shape(types.element(read(annotation))) == expected


def test_fields_of_tuples() -> None:
    assert shape(types.field(read("tuple[int, str]"), "1")) == "str"
    assert shape(types.field(read("tuple[int, ...]"), "7")) == "int"
    assert shape(types.field(read("tuple[int, str]"), "2")) == "any"
    assert shape(types.field(read("Report"), "auc")) == "any"


def test_a_constant_fits_a_literal_by_its_value() -> None:
    assert types.accepts("a", read("t.Literal['a', 'b']"))
    assert not types.accepts("c", read("t.Literal['a', 'b']"))
    assert not types.accepts("c", read("int OR None"))
    assert types.accepts([1, None], read("list[t.Optional[int]]"))
    assert types.accepts(10**5000, read("int"))
    assert types.accepts("a", read("Sized"), bases)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_fits_its_own_type(value: object) -> None:
    kind = types.of_value(value)
    assert types.assignable(kind, kind)
    assert types.accepts(value, kind)


@pytest.mark.parametrize("text", ["|".join(["int"] * 5000), "list[" * 80 + "int" + "]" * 80])
def test_deep_annotations_are_no_trouble(text: str) -> None:
    try:
        node = ast.parse(text, mode="eval").body
    except (RecursionError, MemoryError):  # what Python refuses itself
        return
    types.read(node, resolve)
