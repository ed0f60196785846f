"""A request in its computed form, as containers and pods get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import levada
import pytest
from levada import handover
from levada.cache import Lookup
from levada.errors import UsageError
from levada.request import StepRequest

PROJECT = Path(__file__).parent / "cases" / "attempts"


def request(store: Path, **more: Any) -> dict[str, Any]:
    """The request of an attempt of a step of this project."""
    step = {"module": "jobs", "function": "double", "source_roots": ["."], "settings": {}}
    place = {"pipeline": "p", "run_id": "r", "node": "double", "store": str(store)}
    return {**place, "project": str(PROJECT), "step": step, "inputs": {"x": 4}, **more}


@pytest.mark.parametrize("entry", [None, {"returns": {}}])
def test_it_is_read_as_it_was(tmp_path: Path, entry: dict[str, Any] | None) -> None:
    looked_up = Lookup("k", {"code": "c"}, None, [{"part": "run", "text": "none"}])
    given = StepRequest.from_json(request(tmp_path, map_index=[1], secrets=["TOKEN"]))
    content = handover.content(given.as_json(), looked_up)
    if entry:
        content["looked_up"]["entry"] = entry
    found, known = handover.read(json.dumps(content).encode())
    assert found.as_json() == given.as_json()
    assert known is not None
    assert (known.key, known.parts, known.reasons) == ("k", {"code": "c"}, looked_up.reasons)
    assert known.entry == entry


def test_without_a_look_into_the_cache(tmp_path: Path) -> None:
    content = handover.content(request(tmp_path), None)
    assert handover.read(json.dumps(content).encode())[1] is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"node": None}, "the field `node` is missing"),
        ({"nodes": []}, "there is no field `nodes`"),
        ({"loops": [{"for": "x in y"}]}, "the field `loops` is not of a request with computed"),
        ({"inputs": []}, r"the field `inputs` wants an object, not \[\]"),
        ({"step": {"module": 1}}, "the field `step.module` wants a string, not 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    text = json.dumps(request(tmp_path, **more)).encode()
    with pytest.raises(UsageError, match=message):
        handover.read(text)


def contained(file: Path) -> subprocess.CompletedProcess[str]:
    """What a container runs."""
    return subprocess.run(
        [sys.executable, "-m", "levada.contained", "run", str(file)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(levada.__file__).parents[1])},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_container_runs_the_request_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(handover.content(request(tmp_path / "store"), None)))
    done = contained(file)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "store").rglob("record.json")
    assert json.loads(path.read_text())["inputs"]["x"]["tree"] == 4


def test_a_request_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text("{")
    done = contained(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("levada-step: the request is not JSON")
