"""The JSON form of a program: an exact round trip, a schema that says the same, clear errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_compiler.program import ir, ir_json

from tests.compiler.whole_programs import programs

SCHEMA_FILE = Path(ir_json.__file__).with_name("ir.schema.json")
VALID = (Path(__file__).parent / "verify" / "program.json").read_text()
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(programs())
def test_the_round_trip_is_exact(program: ir.Program) -> None:
    text = ir_json.dump(program)
    loaded = ir_json.load(text)
    assert repr(loaded) == repr(program)  # by repr: nan is not equal to itself, 0.0 is to -0.0
    assert ir_json.dump(loaded) == text
    assert ir_json.load(text.encode().decode()) is not None  # it is text that UTF-8 can hold


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(programs())
def test_the_schema_takes_what_is_written(program: ir.Program) -> None:
    VALIDATOR.validate(json.loads(ir_json.dump(program)))


def test_the_schema_in_the_package_is_that_of_the_classes() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert json.loads(SCHEMA_FILE.read_text()) == ir_json.json_schema(), (
        "write `json.dumps(ir_json.json_schema(), indent=2)` to ir.schema.json"
    )


def test_what_is_written_is_readable_and_leaves_out_defaults() -> None:
    document = json.loads(ir_json.dump(ir_json.load(VALID)))
    assert document["schema"] == "levada.ir/2"
    assert document == json.loads(VALID)


def edited(edit: Any) -> str:
    document = json.loads(VALID)
    edit(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not JSON: Expecting value (line 1, column 1)"),
        ("[]", "a program is an object, not []"),
        ("{}", "schema: expected 'levada.ir/2', not null"),
        ('{"schema": "levada.ir/9"}', "schema: expected 'levada.ir/2', not \"levada.ir/9\""),
        ('{"schema": "levada.ir/2"}', "name: this is missing"),
        ('{"a": NaN}', 'this is not JSON: `NaN` (write {"$float": "nan"})'),
        ("[" * 100_000, "this is nested too deeply"),
        ("1" * 5000, "Exceeds the limit"),
        (edited(lambda d: d.update(name=1)), "name: expected text, not 1"),
        (edited(lambda d: d.update(more=1)), "more: this is not a field of Program"),
        (edited(lambda d: d.update(version=1)), "version: this is not a field of a program"),
        (edited(lambda d: d.update(span="1:2")), "span: expected file:line:column-line:column"),
        (edited(lambda d: d.update(body={})), "body: expected a list, not {}"),
        (edited(lambda d: d["body"].append({"type": "while"})), "body[7]: expected an object of a"),
        (edited(lambda d: d["body"].append(None)), "body[7]: expected an object of a type among"),
        (
            edited(lambda d: d["body"][1]["target"].update(is_tuple=0)),
            "body[1].target.is_tuple: expected true or false, not 0",
        ),
        (
            edited(lambda d: d["body"][1]["target"].update(names=[3])),
            "body[1].target.names[0]: expected an object (Target), not 3",
        ),
        (
            edited(lambda d: d["body"][0]["arguments"][0]["value"].update(value=[1])),
            "body[0].arguments[0].value.value: expected a constant, not [1]",
        ),
        (
            edited(lambda d: d["body"][0]["arguments"][0]["value"].update(value={"$float": "1"})),
            "body[0].arguments[0].value.value: expected a constant",
        ),
        (
            edited(lambda d: d.update(description={"$characters": [-1]})),
            "description: expected text",
        ),
        (
            edited(
                lambda d: d["body"][2]["otherwise"][0]["arguments"][0]["value"]["arguments"][
                    0
                ].pop()
            ),
            "body[2].otherwise[0].arguments[0].value.arguments[0]: expected 2 items, not 1",
        ),
    ],
)
def test_what_is_not_a_program_is_an_ir_error(text: str, message: str) -> None:
    with pytest.raises(ir_json.IrError) as caught:
        ir_json.load(text)
    assert str(caught.value).startswith(message)


@settings(max_examples=100)
@given(st.data())
def test_any_change_loads_or_is_an_ir_error(data: st.DataObject) -> None:
    """One value anywhere replaced by another: never another exception, and the schema agrees."""
    document = json.loads(VALID)
    holder, key = data.draw(st.sampled_from(list(places(document))))
    odd = [None, 0, 1.5, "", "x", [], {}, [1], {"type": "const"}, True, {"$int": "0x1"}]
    holder[key] = data.draw(st.sampled_from(odd))
    try:
        ir_json.load(json.dumps(document))
    except ir_json.IrError:
        return
    VALIDATOR.validate(document)


def places(value: Any) -> Any:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)
