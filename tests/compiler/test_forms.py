"""Forms of parameters: what annotations say, and that a value comes back from its JSON."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada import expressions, values
from levada import forms as runtime_forms
from levada.engine.parameters import violation
from levada.store import open_store
from levada_compiler.compilation import compile_file
from levada_compiler.front.instances import as_json
from levada_compiler.program import forms
from pydantic import BaseModel

TABLE = Path(__file__).parent / "types" / "forms.md"
MODULE = """\
import collections.abc as abc
import datetime as dt
import typing as t
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import annotated_types as at
from pydantic import BaseModel, Field

from levada import pipeline, step

Alias = dict[str, list[dt.date]]

class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"

@dataclass
class Layer:
    size: t.Annotated[int, at.Ge(1)]
    act: str = "relu"

class Range(t.NamedTuple):
    low: float
    high: float = 1.0

class Model(BaseModel):
    depth: int = Field(3, gt=0)

class Options(t.TypedDict):
    name: str

@step
def show(value: object) -> None: ...

"""


def rows() -> list[tuple[str, ...]]:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [tuple(cell.strip().strip("`") for cell in line.split("|")[1:-1]) for line in lines]


def test_annotations(tmp_path: Path) -> None:
    """All rows of the table at once: one parameter for each."""
    table = rows()
    named = {f"p{i}": row[0].replace(" OR ", " | ") for i, row in enumerate(table)}
    parameters = ", ".join(f"{name}: {text}" for name, text in named.items())
    module = tmp_path / "flow.py"
    body = f"@pipeline\ndef flow({parameters}):\n    show([{', '.join(named)}])\n"
    module.write_text(MODULE + body)
    found = compile_file(module)
    assert found.diagnostics == ()
    assert found.program is not None
    for parameter, (annotation, form, schema) in zip(found.program.parameters, table, strict=True):
        read = forms.of_parameter(parameter)
        expected = json.loads(form)
        if parameter.form:  # else the type of what JSON has says as much
            assert read == expected, annotation
        if "enum" not in str(expected):
            assert forms.schema(read) == json.loads(schema), annotation
        assert forms.is_form(json.dumps(read))
        jsonschema.Draft202012Validator.check_schema(forms.schema(read))


# ---------------------------------------------------------------------------- values and back


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass
class Layer:
    size: Any
    act: Any = "relu"


class Range(NamedTuple):
    low: Any
    high: Any


class Model(BaseModel):
    size: Any
    act: Any


NAME = __name__
MEMBERS = {member.name: member.value for member in Mode}
ZONES = st.none() | st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=30))])
#: A form, a value of it, and its JSON.
Case = tuple[Any, Any, Any]


def scalars() -> st.SearchStrategy[Case]:
    floats = st.floats(allow_nan=False, allow_infinity=False)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "int": st.integers(-(2**70), 2**70),
        "float": floats,
        "str": st.text(st.characters(codec="utf-8")),
        "bool": st.booleans(),
        "None": st.none(),
        "bytes": st.binary(max_size=20),
        "date": st.dates(),
        "datetime": st.datetimes(timezones=ZONES),
        "time": st.times(),
        "timedelta": st.timedeltas(),
        "Decimal": st.decimals(allow_nan=False, allow_infinity=False),
        "UUID": st.uuids(),
        "Path": st.text("abc/._-", min_size=1).map(Path),
    }
    each = [
        s.map(lambda value, form=form: (form, value, as_json(value))) for form, s in plain.items()
    ]
    member = st.sampled_from(Mode).map(
        lambda mode: ({"enum": f"{NAME}:Mode", "members": MEMBERS}, mode, mode.value)
    )
    return st.one_of(*each, member)


def containers(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(_tuple),
        inner.map(lambda one: (["list", one[0]], [one[1], one[1]], [one[2], one[2]])),
        inner.map(lambda one: (["tuple", one[0], "..."], (one[1],), [one[2]])),
        inner.map(lambda one: (["dict", "str", one[0]], {"$k": one[1]}, {"$k": one[2]})),
        st.tuples(st.integers(), inner).map(_dict_of_numbers),
        inner.filter(lambda one: one[0] != "None").map(_optional),
        st.tuples(inner, inner, st.sampled_from(["dataclass", "namedtuple", "made"])).map(_class),
    )


def _tuple(items: list[Case]) -> Case:
    parts = [item[0] for item in items]
    return ["tuple", *parts], tuple(item[1] for item in items), [item[2] for item in items]


def _dict_of_numbers(given: tuple[int, Case]) -> Case:
    key, (form, value, written) = given
    return ["dict", "int", form], {key: value}, {str(key): written}


def _optional(one: Case) -> Case:
    return ["union", one[0], "None"], one[1], one[2]


def _class(given: tuple[Case, Case, str]) -> Case:
    one, other, kind = given
    cls: Any = {"dataclass": Layer, "namedtuple": Range, "made": Model}[kind]
    names = ("low", "high") if kind == "namedtuple" else ("size", "act")
    form = {
        kind: f"{NAME}:{cls.__name__}",
        "fields": dict(zip(names, (one[0], other[0]), strict=True)),
    }
    value = cls(**dict(zip(names, (one[1], other[1]), strict=True)))
    if kind == "made":
        return form, value, dict(zip(names, (one[2], other[2]), strict=True))
    # The second field has a default, and is left out.
    form["defaults"] = {names[1]: other[2]}
    return form, value, {names[0]: one[2]}


@given(st.recursive(scalars(), containers, max_leaves=6))
def test_a_value_comes_back_from_its_json(case: Case) -> None:
    form, value, written = case
    assert forms.is_form(json.dumps(form))
    text = json.dumps(written, allow_nan=False)
    assert violation(json.loads(text), forms.schema(form)) == ""
    tree = runtime_forms.converted(ast.literal_eval(repr(form)), json.loads(text), "value")
    found = values.decode(tree)
    assert found == value
    assert type(found) is type(value)


@given(st.sampled_from(sorted(forms.TEXTS)), st.text(max_size=12))
def test_a_text_is_refused_before_a_run_or_converted(form: str, text: str) -> None:
    """What the schema lets by, the step's process can convert."""
    if violation(text, forms.schema(form)):
        with pytest.raises(runtime_forms.FormError):
            runtime_forms.converted(form, text, "value")
    elif form != "Path" or "\0" not in text:
        values.decode(runtime_forms.converted(form, text, "value"))


@pytest.mark.parametrize(
    ("form", "value", "message"),
    [
        ("date", "today", '`value` is "today", but a date (YYYY-MM-DD) is expected'),
        ("int", True, "`value` is true, but a whole number is expected"),
        (["list", "int"], ["a"], '`value[0]` is "a", but a whole number is expected'),
        (["tuple", "int", "int"], [1], "`value` is [1], but a list of 2 items is expected"),
        (["dict", "int", "str"], {"a": ""}, '`a key of value` is "a", but a whole number'),
        (["union", "date", "None"], 3, "`value` is 3, but a date (YYYY-MM-DD) or null is expected"),
        ({"enum": "m:E", "members": {"A": 1}}, 2, "`value` is 2, but one of 1 is expected"),
        (
            {"dataclass": "m:C", "fields": {"a": ["list", "date"]}},
            {"a": ["2025-02-30"]},
            '`value.a[0]` is "2025-02-30", but a date (YYYY-MM-DD) is expected',
        ),
        ({"dataclass": "m:C", "fields": {"a": "int"}}, {"b": 1}, "unknown field `b`"),
        ({"dataclass": "m:C", "fields": {"a": "int"}}, {}, "`value` has no `a`: a whole number"),
    ],
)
def test_what_is_not_of_a_form(form: Any, value: Any, message: str) -> None:
    with pytest.raises(runtime_forms.FormError) as raised:
        runtime_forms.converted(form, value, "value")
    assert message in str(raised.value)


def test_the_moments_of_days_and_zones() -> None:
    for value in (date(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), time(0, 0, 0, 1)):
        assert (
            values.decode(runtime_forms.converted(type(value).__name__, as_json(value), "value"))
            == value
        )
    assert Decimal(str(as_json(Decimal("1E+5")))) == Decimal("1E+5")
    assert as_json({UUID(int=0): timedelta()}) == {str(UUID(int=0)): "PT0S"}


class NoNodes:
    def __contains__(self, node: object, /) -> bool:
        return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("config.layers[1].size + 1", 3),
        ("len(config.layers)", 2),
        ("sum(layer.size for layer in config.layers)", 3),
        ("[layer.size for layer in config.layers if layer.size > 1]", [2]),
        ("config.day.year", 2025),
        ("config.day.isoformat()", "2025-01-02"),
        ("config.mode.value", "fast"),
        ("config.mode.name", "FAST"),
        ("config.weights[1]", 2.0),
        ("config.folder / 'x'", Path("data/x")),
        ("config is None", False),
        ("config.depth", 3),
    ],
)
def test_a_pipeline_reads_fields_without_the_class(
    text: str, expected: object, tmp_path: Path
) -> None:
    """Nor is its module there: the driver on Kubernetes has no code of the project."""
    layer = {"dataclass": "nowhere:Layer", "fields": {"size": "int"}}
    fields = {
        "layers": ["list", layer],
        "day": "date",
        "mode": {"enum": "nowhere:Mode", "members": {"FAST": "fast"}},
        "weights": ["dict", "int", "float"],
        "folder": "Path",
        "depth": "int",
    }
    form = {"made": "nowhere:Config", "fields": fields, "defaults": {"depth": 3}}
    given = {
        "layers": [{"size": 1}, {"size": 2}],
        "day": "2025-01-02",
        "mode": "fast",
        "weights": {"1": 2},
        "folder": "data",
    }
    scope = expressions.Scope(
        {"config": given},
        NoNodes(),  # type: ignore[arg-type]
        open_store(str(tmp_path)),
        definitions={"config": f"from_json(params.config, {form!r})"},
    )
    assert expressions.value(text, scope) == expected
