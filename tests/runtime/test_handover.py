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
from levada import handover, records
from levada.attempt import Attempt
from levada.cache import Lookup
from levada.errors import UsageError
from levada.request import StepRequest
from levada.store import digest_of, open_store

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


def pod(store: Path, orders: str) -> subprocess.CompletedProcess[str]:
    """Run what a pod runs, with the digest that its arguments have."""
    return subprocess.run(
        [sys.executable, "-m", "levada.contained", "stored", orders],
        env={**os.environ, "LEVADA_STORE": str(store), "LEVADA_PROJECT": str(PROJECT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("changed", ["", "request", "list"])
def test_a_pod_runs_only_what_its_arguments_say(tmp_path: Path, changed: str) -> None:
    """Whoever writes to the store can make it fail, and not have it run something else."""
    store = open_store(str(tmp_path / "store"))
    path, data = "runs/p/r/double/1/request.json", json.dumps(request(tmp_path)).encode()
    other = json.dumps(request(tmp_path, inputs={"x": 5})).encode()
    store.write_once(path, other if changed == "request" else data)
    orders = store.put_blob(json.dumps([[path, digest_of(data)]]).encode())
    blob = Path(str(store.blob_path(orders)))
    if changed == "list":
        blob.chmod(0o644)
        blob.write_text(json.dumps([[path, digest_of(other)]]))
    ended = pod(tmp_path / "store", orders)
    record = records.latest_success(store, "p", "r", "double", None)
    if changed:
        assert ended.returncode == 1
        assert record is None
        assert "Traceback" not in ended.stderr
        assert ("somebody changed it" if changed == "request" else "damaged") in ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr
        assert record["inputs"]["x"]["tree"] == 4


def test_a_clock_that_is_set_back_gives_no_negative_time(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    attempt = Attempt(StepRequest.from_json(request(tmp_path)), store)
    attempt.started += 3_600_000_000_000
    attempt.write("failed")
    record = records.read_record(store, "runs/p/r/double/1")
    assert record["seconds"] == 0.0
    assert record["finished"] == record["started"]
