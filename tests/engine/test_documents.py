"""Whatever becomes of a run, its documents are those of the published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import levada
import pytest
from levada import values
from levada.store import open_store

from tests.engine.project import Project

SCHEMAS = Path(levada.__file__).parent / "schemas"

BODIES = {
    "succeeded": "log_metric('auc', 0.5); return 1",
    "failed": "raise ValueError('no')",
    "killed": "os._exit(3)",
    "timeout": "signal.signal(signal.SIGALRM, signal.SIG_IGN); time.sleep(60)",
}

NUMBERS = (("one", 1), ("two", 2))


def check(document: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(document.read_text())
    schema = json.loads((SCHEMAS / document.name).read_text())
    jsonschema.Draft202012Validator(schema).validate(content)
    return content


@pytest.mark.parametrize("name", BODIES)
def test_documents(tmp_path: Path, name: str) -> None:
    project = Project(
        tmp_path,
        f"@step(timeout=1)\ndef work(i: int, xs: list[int]) -> int:\n    {BODIES[name]}\n\n"
        "@pipeline\ndef main(xs: list[int] = [3]):\n    return [work(i, xs) for i in xs]\n",
    )
    outcome = project.run()
    folder = Path(project.store, outcome.folder)
    run = check(folder / "run.json")
    ended = check(folder / "outcome.json")
    record = check(folder / "work" / "[0]" / "1" / "record.json")
    assert run["run_id"] == ended["run_id"] == record["run_id"] == outcome.run_id
    assert ended["status"] == outcome.status
    assert run["environment"]["packages"]["pytest"] == pytest.__version__
    assert record["inputs"].keys() == {"i", "xs"}
    assert record["step"] == "pipeline:work"


def test_a_record_says_where_the_function_starts(tmp_path: Path) -> None:
    """It is imported for that: a plan has no line numbers. What the cache answers is not."""
    step = "@step\ndef work(i: int) -> int:\n    return i\n\n"
    body = step + "@pipeline\ndef main():\n    return work(1)\n"
    project = Project(tmp_path, body)
    text = (tmp_path / "pipeline.py").read_text()
    line = text[: text.index("@step")].count("\n") + 1
    ran, hit = project.run(), project.run()
    codes = [
        check(Path(project.store, run.folder, "work", "1", "record.json"))["code"]
        for run in (ran, hit)
    ]
    assert [(code["file"], code["line"]) for code in codes] == [
        ("pipeline.py", line),
        ("pipeline.py", None),
    ]


def test_an_entry_under_the_key_of_another_is_a_miss(tmp_path: Path) -> None:
    steps = "".join(f"@step\ndef {n}(x: int) -> int:\n    return {v}\n\n" for n, v in NUMBERS)
    body = steps + "@pipeline\ndef main():\n    return one(0), two(0)\n"
    project = Project(tmp_path, body)
    project.run()
    found = {}
    for path in Path(project.store, "cache").glob("*/*.json"):
        found[json.loads(path.read_text())["parts"]["step"]] = path
    found["pipeline:two"].chmod(0o644)
    found["pipeline:two"].write_text(found["pipeline:one"].read_text())
    again = project.run()
    store = open_store(project.store)
    assert [values.decode(tree, store) for tree in again.outputs] == [1, 2]
    assert [project.record(again, name)["cache"]["hit"] for name, _ in NUMBERS] == [True, False]
