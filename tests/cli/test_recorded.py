"""What commands read of a run elsewhere, where its store can be read from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from levada import records
from levada.project import Project
from levada.store import Store, open_store
from levada_cli.commands.recorded import Recorded
from levada_cli.commands.remote import Place
from levada_compiler import targets
from levada_compiler.client import Run, StepState

from tests.runtime.test_command import Engine

RUN = Run("flow", "r")


def recorded(store: str, folder: Path) -> Recorded:
    """The records of the run in this store."""
    place = Place(targets.load("kubernetes"), None, {"store": store}, Project(str(folder), []))
    return Recorded(place, RUN)


def ended(store: Store, output: Any) -> None:
    """Write how the run ended, which returned this."""
    store.prepare()
    outcome = records.outcome(RUN.pipeline, RUN.run_id, outputs=[output], kind="value")
    records.write_outcome(store, outcome)


def test_outputs(tmp_path: Path) -> None:
    ended(open_store(str(tmp_path / "store")), 3)
    assert recorded("store", tmp_path).outputs() == (3,)


def test_a_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ended(open_store(str(tmp_path / "store")), 3)
    assert recorded("~/store", tmp_path / "project").outputs() == (3,)


def test_a_folder_of_other_machines_is_no_store_of_this(tmp_path: Path) -> None:
    assert recorded("/nowhere/on/this/machine", tmp_path).outputs() is None


def test_an_output_that_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the engine says is shown all the same."""
    ended(open_store(str(tmp_path / "store")), {"$artifact": {}})
    assert recorded("store", tmp_path).outputs() is None
    assert "warning: the store cannot be read from here" in capsys.readouterr().err


def test_items_are_called_as_their_records_say(tmp_path: Path) -> None:
    task = {"pipeline": "flow", "sources": {"x": "x"}, "loops": [{"for": "x in [5, 6]"}]}
    place = {"LEVADA_RUN_ID": "r", "LEVADA_MAP_INDEX": "1", "LEVADA_TRY": "2"}
    Engine(tmp_path / "store").step("double", node="train", **task, **place)
    steps = [
        StepState("train", "succeeded", (1,), attempt=2),
        StepState("train", "running", (0,), attempt=1),
        StepState("train", "succeeded", (2,), "x=9", attempt=1),
        StepState("one", "succeeded", attempt=1),
    ]
    found = recorded("store", tmp_path).labelled(steps)
    assert [step.label for step in found] == ["x=6", "", "x=9", ""]


def test_a_bucket_whose_client_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert recorded("s3://team/levada", tmp_path).outputs() is None
    assert "pip install 'levada[s3]'" in capsys.readouterr().err
