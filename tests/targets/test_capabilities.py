# ruff: noqa: ARG002
"""What a target does not say that it can do, the compiler refuses at its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.options import POSITIVE, TEXT, Option, OptionTable
from levada_compiler.program.constructs import CONSTRUCTS
from levada_compiler.program.ir import Program
from levada_compiler.target import Capabilities, Capability, ignores, refuses, supports
from levada_compiler.target_checks import check

SHARED = """\
from typing import NamedTuple
from levada import after, pipeline, step

class Report(NamedTuple):
    auc: float
    size: int

@step
def train(depth: int) -> Report: ...
@step
def tell(text: str) -> None: ...
@pipeline
def inner(n: int): train(n)
"""
#: For each construct lines of a pipeline that use it, where and nowhere else a `<` stands before.
USES = {
    "step call": "<train(1)",
    "named outputs": "report = train(1)\n    train(<report.size)",
    "expressions": 'tell(<f"{train(1)}")',
    "branch": "report = train(1)\n    <if report.auc > 0.5:\n        train(2)",
    "fan-out": "<for depth in depths:\n        train(depth)",
    "nested fan-out": "for a in depths:\n        <for b in depths:\n            train(b)",
    "try/finally": "<try:\n        train(1)\n    finally:\n        train(2)",
    "try/except": "<try:\n        train(1)\n    except Exception:\n        train(2)",
    "sub-pipeline": "<inner(3)",
    "after": "report = train(1)\n    <train.after(report)(2)",
    "options": "train.options(<retry=3)(1)",
    "raise": "report = train(1)\n    if report.auc > 0.5:\n        <raise ValueError('no')",
    "pipeline outputs": "<return train(1)",
}


class Toy:
    """A target that has no line of its own about what it cannot do."""

    name = "toy"
    description = ""

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        raise AssertionError("it is not asked about what it cannot do")

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        raise AssertionError


class Quiet(Toy):
    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        return ()


def compiled(body: str, folder: Path, decorator: str = "@pipeline") -> tuple[Program, int, int]:
    """The program, and the line and column of the mark in its body."""
    parameters = "depths: list[int] = [1, 2]" if "depths" in body else ""
    module = f"{SHARED}{decorator}\ndef flow({parameters}):\n    {body}\n"
    before = module.partition("<")[0]
    path = folder / "flow.py"
    path.write_text(module.replace("<", "", 1))
    compilation = compile_file(str(path), "flow")
    assert compilation.program is not None, compilation.diagnostics
    column = len(before) - before.rfind("\n")
    return compilation.program, before.count("\n") + 1, column


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("construct", USES)
def test_a_construct_is_refused_where_it_is_used(
    construct: str, is_listed: bool, tmp_path: Path
) -> None:
    everything = Capabilities.everything("done")
    others = tuple(each for each in everything.constructs if each.name != construct)
    own = refuses({construct: "toys have none"}) if is_listed else ()
    toy = Toy(Capabilities((*others, *own), everything.settings))
    program, line, column = compiled(USES[construct], tmp_path)
    (found,) = check(toy, program, {})
    assert found.id == "unsupported-construct"
    assert (found.span.line, found.span.column) == (line, column)
    assert found.message == f"the target `toy` cannot run {CONSTRUCTS[construct]}"
    assert found.label == ("toys have none" if is_listed else found.label)


def test_every_construct_is_tried() -> None:
    assert {*USES, "parameters"} == set(CONSTRUCTS)


def test_a_parameter_is_refused(tmp_path: Path) -> None:
    others = supports({name: "done" for name in CONSTRUCTS if name != "parameters"})
    program, *_ = compiled("<for depth in depths:\n        train(depth)", tmp_path)
    (found,) = check(Toy(Capabilities(others, ())), program, {})
    assert found.message == "the target `toy` cannot run a parameter of the pipeline"


def test_several_places_are_one_diagnostic(tmp_path: Path) -> None:
    others = supports({name: "done" for name in CONSTRUCTS if name != "fan-out"})
    loop = "for depth in depths:\n        train(depth)\n    "
    program, *_ = compiled(f"<{loop * 3}", tmp_path)
    (found,) = check(Toy(Capabilities(others, ())), program, {})
    assert [label.text for label in found.labels] == ["here too", "here too"]


RETRIED = "train.options(<retry=3)(1)"


@pytest.mark.parametrize(
    ("settings", "rule", "label"),
    [
        (supports({"retry": "by the queue"}), None, ""),
        (refuses({"retry": "a queue tries once"}), "unsupported-setting", "a queue tries once"),
        (ignores({"retry": "a queue tries once"}), "ignored-setting", "a queue tries once"),
        ((), "ignored-setting", "the target does not say what it does with this"),
        ((Capability("retry", False, "no", way_out="use 0"),), "unsupported-setting", "no"),
    ],
)
def test_a_setting_is_used_ignored_or_refused(
    settings: tuple[Capability, ...], rule: str | None, label: str, tmp_path: Path
) -> None:
    toy = Quiet(Capabilities(Capabilities.everything("done").constructs, settings))
    program, line, column = compiled(RETRIED, tmp_path)
    found = check(toy, program, {})
    assert [one.id for one in found] == ([rule] if rule else [])
    for one in found:
        assert (one.span.line, one.span.column, one.label) == (line, column, label)


@pytest.mark.parametrize("nothing", ["retry=0", "cache=True", "environment={}", "catchup=False"])
def test_a_setting_that_asks_for_nothing_is_no_problem(nothing: str, tmp_path: Path) -> None:
    settings = refuses(dict.fromkeys(("retry", "cache", "environment", "catchup"), "never"))
    toy = Quiet(Capabilities(Capabilities.everything("done").constructs, settings))
    program, *_ = compiled("<train(1)", tmp_path, f"@pipeline({nothing})")
    assert check(toy, program, {}) == ()


class ToyOptions(OptionTable):
    size = Option[int](POSITIVE, 1, "How large it is.", example="3")
    colour = Option[str](TEXT, "", "What it looks like.", example='"red"')


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 2, "colour": "blue"}, None),
        ({"size": 0}, "`size` must be at least 1, not 0"),
        ({"colour": 5}, "`colour` must be a string, not 5"),
    ],
)
def test_an_option_is_checked_by_its_definition(
    given: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    toy = Quiet(Capabilities.everything("done", ToyOptions))
    program, *_ = compiled("<train(1)", tmp_path)
    found = check(toy, program, given)
    said = f"in [tool.levada.targets.toy] {message}"
    assert [one.message for one in found] == ([said] if message else [])
    assert all("write `" in one.help for one in found)


def test_an_option_that_is_left_out_has_its_default() -> None:
    options = ToyOptions({"size": 7})
    assert (options.size, options.colour) == (7, "")
    assert options == ToyOptions({"size": 7}) != ToyOptions({})
