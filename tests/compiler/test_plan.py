"""The plan of a program: every kind of node, with its expressions as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import levada
import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import merged_settings, plan

SOURCE = '''\
from typing import NamedTuple
from levada import Retry, pipeline, step


class Report(NamedTuple):
    model: str
    auc: float


@step
def load(path: str) -> list[int]: ...


@step(retry=Retry(2, delay=1), environment={"A": "step", "B": "step"})
def train(data: list[int], depth: int) -> Report: ...


@step
def pick(reports: list[Report]) -> Report: ...


@step
def tell(text: str) -> None: ...


@pipeline
def report(text: str):
    tell(text)


@pipeline(timeout=60, environment={"A": "pipeline", "C": "pipeline"})
def churn(path: str = "data.csv", depths: list[int] = [4, 8]):
    """Find who leaves.

    Args:
        depths: How deep the trees are.
    """
    data = load(path)
    try:
        reports = [train(data, depth) for depth in depths if depth > 1]
        best = pick(reports)
        if best.auc > 0.9:
            tell(best.model)
        else:
            tell.options(retry=1)(f"auc {best.auc:.2f}")
    finally:
        report("over")
    return best.model, best.auc
'''


@pytest.fixture
def found(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "churn.py").write_text(SOURCE)
    program = compile_file(str(tmp_path / "churn.py"), "churn").program
    assert program is not None
    return plan(program)


def shape(nodes: list[dict[str, Any]]) -> list[Any]:
    """Kinds and ids, nested as they are."""
    slots = ("then", "otherwise", "body", "handler", "final")
    return [
        [node["kind"], node["id"], *(shape(node[s]) for s in slots if node.get(s))]
        for node in nodes
    ]


def test_head(found: dict[str, Any]) -> None:
    wanted = {"schema": "levada.plan/2", "pipeline": "churn", "file": "churn.py"}
    wanted |= {"description": "Find who leaves.", "compiler": levada.__version__}
    assert {name: found[name] for name in wanted} == wanted
    assert found["settings"]["timeout"] == 60


def test_parameters(found: dict[str, Any]) -> None:
    path, depths = found["parameters"]
    assert (path["name"], path["type"], path["default"]) == ("path", "str", "data.csv")
    assert (path["schema"], path["required"]) == ({"type": "string"}, False)
    assert depths["schema"] == {"type": "array", "items": {"type": "integer"}}
    assert depths["description"] == "How deep the trees are."


def test_steps(found: dict[str, Any]) -> None:
    train = found["steps"]["churn:train"]
    assert (train["module"], train["function"], train["source_root"]) == ("churn", "train", ".")
    assert (train["outputs"], train["returns"], train["file"]) == (
        ["model", "auc"],
        "Report",
        "churn.py",
    )
    assert train["code"].startswith("sha256:")


def test_body(found: dict[str, Any]) -> None:
    load, guard = found["body"]
    loop, pick, branch = guard["body"]
    assert load["inputs"] == {"path": "params.path"}
    (variable,) = [loop["target"]]
    assert (loop["items"], loop["where"]) == ("params.depths", [f"{variable} > 1"])
    assert loop["body"][0]["inputs"] == {"data": "load", "depth": variable}
    collected = f"[train[{variable}] for {variable} in params.depths if {variable} > 1]"
    assert pick["inputs"] == {"reports": collected}
    assert branch["condition"] == "pick.auc > 0.9"
    assert branch["otherwise"][0]["inputs"] == {"text": 'f"auc {pick.auc:.2f}"'}
    assert (guard["handler"], guard["final"][0]["kind"]) == (None, "group")
    assert found["result"] == {
        "values": ["pick.model", "pick.auc"],
        "names": found["result"]["names"],
        "kind": "tuple",
        "after": [],
    }


def test_settings_of_a_call(found: dict[str, Any]) -> None:
    loop, _, branch = found["body"][1]["body"]
    train = loop["body"][0]["settings"]
    assert train["environment"] == {"A": "step", "B": "step", "C": "pipeline"}
    assert (train["retry"]["count"], train["timeout"]) == (2, 60)
    assert branch["otherwise"][0]["settings"]["retry"]["count"] == 1


def test_it_is_json(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found)) == found


def test_a_call_goes_before_its_step_before_the_pipeline() -> None:
    found = merged_settings({"cache": True, "owner": "me"}, {"cache": False}, {"cache": True})
    assert found == {"cache": True}


def test_names_that_the_source_gives_to_variables(tmp_path: Path) -> None:
    """Variables are unique in a plan, so the second `depth` says what the source calls it."""
    path = tmp_path / "pipeline.py"
    path.write_text(
        """
from levada import pipeline, step


@step
def fit(depth: int) -> int:
    return depth


@pipeline
def main(depths: list[int], widths: list[int]) -> list[int]:
    first = [fit(depth) for depth in depths]
    second = [fit(depth + i) for i, depth in enumerate(widths)]
    return first + second
"""
    )
    compilation = compile_file(str(path))
    assert compilation.program is not None, compilation.diagnostics
    loops = [node for node in plan(compilation.program)["body"] if node["kind"] == "loop"]
    assert [(loop["target"], loop.get("named")) for loop in loops] == [
        ("depth", None),
        ("i, depth_2", ["depth_2 as depth"]),
    ]
