"""The DAG files of the cases in real Airflows: they import, and runs go as plain Python would."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
from levada_backends.airflow import TARGET, record_link
from levada_compiler.compilation import compile_file

from tests.conformance.records import run_folder
from tests.engines import airflow as engine
from tests.engines.required import require_engine

from .emission import CASES, FOLDER, OPTIONS, golden, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engines.airflow import Airflow, Run

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[3]

#: Other tests deploy to the same Airflow.
PREFIX = "target_"

#: Neither a template nor a command.
TEXT = "{{ ti }} $(x) '\"\\ \N{BALLOON}"

#: pipeline, parameters, state of the run, outputs, steps that must not have run
RUNS: list[tuple[str, dict[str, Any], str, dict[str, Any], list[str]]] = [
    ("fan_out", {}, "success", {"top": 1.4}, []),
    ("fan_out", {"depths": []}, "success", {"top": 0.0}, ["train", "measure"]),
    ("branch", {}, "success", {"0": "deployed 8.0"}, ["ask"]),
    ("branch", {"path": "a", "limit": 1.0}, "success", {"0": "asked about 1.0"}, ["deploy"]),
    ("branch", {"path": "", "limit": 1.0}, "success", {"0": "nothing"}, ["deploy", "ask"]),
    ("guard", {}, "success", {"0": 1}, ["fallback"]),
    ("guard", {"url": TEXT}, "success", {"0": 6}, ["fallback"]),
    ("guard", {"url": "bad"}, "success", {"0": 1}, ["parse"]),
    ("branch_in_fan_out", {}, "success", {"0": "down 3, UP 15"}, []),
    ("branch_in_fan_out", {"values": [1, 11, 4]}, "success", {"0": "down 3, up 33!, UP 12"}, []),
    ("ignored", {}, "success", {}, ["use", "use_2"]),
    ("ignored", {"second": -1}, "failed", {}, ["use", "use_2", "return"]),
    ("library", {}, "success", {"found": "2.0"}, ["tell"]),
    ("library", {"depths": [-9]}, "success", {"found": "nothing to publish"}, ["publish"]),
    ("groups", {}, "success", {"result": 10}, ["total_2"]),
    ("groups", {"everything": False}, "success", {"result": 8}, ["size", "total"]),
]


def test_runs_go_as_plain_python_would(airflow: Airflow) -> None:
    version = int(airflow.version)
    cases = [case for case in CASES if options(case).get("airflow", version) == version]
    files = [deployed_files(case, airflow) for case in cases]
    airflow.deploy({path: text for each in files for path, text in each.items()}, timeout=180)
    # A task takes three seconds of processor time in Airflow 2: there it is every second run.
    chosen = RUNS if version == 3 or os.environ.get("LEVADA_EVERY_INPUT") else RUNS[1::2]
    runs = airflow.start_runs([(PREFIX + name, parameters) for name, parameters, *_ in chosen])
    for run, (name, parameters, state, outputs, idle) in zip(
        airflow.wait(runs, timeout=900), chosen, strict=True
    ):
        told = f"{name} {parameters}: {run.describe()}"
        assert run.state == state, told
        states = run.states()
        assert not [task for task in idle if "success" in states[task]], told
        if outputs:
            assert run.xcom("return")["outputs"] == outputs, told


def test_a_permanent_error_is_not_tried_again(airflow: Airflow) -> None:
    airflow.deploy({f"{PREFIX}retries.py": deployable("retries", airflow)}, timeout=180)
    run = airflow.run(f"{PREFIX}retries", {"text": TEXT}, timeout=600)
    assert run.state == "success", run.describe()
    assert run.task("flaky").try_number == 2
    assert run.task("hopeless").try_number == 1
    assert run.xcom("return")["outputs"] == {"attempt": 2, "outcome": TEXT}


def test_a_task_leads_to_its_record(airflow: Airflow) -> None:
    """Also one that failed, and one of a loop."""
    airflow.deploy({f"{PREFIX}linked.py": deployable("linked", airflow)}, timeout=180)
    run = airflow.run(f"{PREFIX}linked", {}, "a+run~1", timeout=600)
    for task, index in (("load", -1), ("train", 0), ("train", 1)):
        url = link(airflow, run.dag_id, run.run_id, task, index)
        page, _, path = url.partition("#")
        assert page == (
            f"https://levada.example.com/{run.dag_id}/a%2Brun~1/{task}"
            f"?item={index if index >= 0 else ''}&attempt=1"
        )
        assert (airflow.store / unquote(path) / "record.json").is_file()


def link(airflow: Airflow, dag_id: str, run_id: str, task: str, index: int) -> str:
    """The address that the button has; in Airflow 2, what its plugin takes."""
    path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task}"
    if airflow.version == "3":
        found = airflow.api.get(f"{path}/links", map_index=index)["extra_links"]["Record"]
    else:
        found = airflow.api.get(f"{path}/xcomEntries/record_url", map_index=index)["value"]
    return str(found)


def test_what_airflow_2_alone_has(tmp_path: Path) -> None:
    """Links by the name of a plugin's class, and SLAs."""
    install = "python -m tests.engines.airflow install"
    require_engine("Airflow 2", is_installed=engine.is_installed("2"), install=install)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / record_link.FILE).write_text(record_link.SOURCE)
    (tmp_path / "dags").mkdir()
    for name in ("linked", "natives"):
        (tmp_path / "dags" / f"{name}.py").write_text(golden(name).read_text())
    command = [str(engine.python("2")), "-c", SHOWN, str(tmp_path / "dags")]
    env = {"AIRFLOW_HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-3:] == [
        "load ['Record'] train ['Record']",
        "load 1:00:00 train 0:30:00",
        "called by missed",
    ]


SHOWN = """
import sys
from airflow.models import DagBag
from airflow.serialization.serialized_objects import SerializedDAG
dags = DagBag(sys.argv[1], include_examples=False).dags
tasks = SerializedDAG.from_json(SerializedDAG.to_json(dags["linked"])).task_dict
print(*(f"{name} {tasks[name].extra_links}" for name in ("load", "train")))
print(*(f"{name} {dags['natives'].task_dict[name].sla}" for name in ("load", "train")))
print("called by", dags["natives"].sla_miss_callback.__qualname__.split(".")[0])
"""


def deployable(case: str, airflow: Airflow) -> str:
    """The DAG file of a case, made for the folder that it is to be in."""
    return deployed_files(case, airflow)[f"{PREFIX}{case}.py"]


def deployed_files(case: str, airflow: Airflow) -> dict[str, str]:
    """The DAG file of a case and what it imports, made for the folder that they are to be in."""
    program = compile_file(FOLDER / "cases" / f"{case}.py", case).program
    assert program is not None
    project = os.path.relpath(ROOT, airflow.dags_folder.resolve())
    named = replace(program, name=PREFIX + case)
    return TARGET.emit(named, {**options(case), "project": project})


def test_what_airflow_has_of_its_own(airflow: Airflow) -> None:
    """Assets with what a step gave, and callbacks for failures, of a task and of the run."""
    airflow.deploy({f"{PREFIX}natives.py": deployable("natives", airflow)}, timeout=180)
    said = airflow.home / "said"
    alerts = ALERTS.format(file=str(said))
    airflow.deploy({"alerts.py": alerts})
    run = airflow.run(f"{PREFIX}natives", {"path": "raw/x"}, timeout=600)
    assert run.state == "success", run.describe()
    assert run.xcom("train")["metrics"] == {"loss": 0.5}
    events = asset_events(airflow, run.run_id)
    assert events["s3://lake/model"]["digest"] == run.xcom("train")["digest"]
    assert events["s3://lake/report"]["metrics"] == {"loss": 0.5}
    assert "digest" in events["s3://lake/parts"]
    run = airflow.run(f"{PREFIX}natives", {"path": "raw", "depth": 10, "level": 3}, timeout=600)
    assert run.state == "failed", run.describe()
    lines = wait_for(lambda: len(said_lines(said)) > 1 and said_lines(said))
    assert sorted(lines) == [f"run {run.run_id}", f"train {run.run_id}"]


def test_a_run_that_is_late_is_told_of(airflow_3: Airflow, tmp_path: Path) -> None:
    """In Airflow 2 this takes two minutes, and looks at what ran before."""
    said = airflow_3.home / "late"
    airflow_3.deploy({"lateness.py": LATENESS.format(file=str(said))})
    module = tmp_path / "late.py"
    module.write_text(LATE)
    program = compile_file(module).program
    assert program is not None
    (text,) = TARGET.emit(program, {**OPTIONS, "project": str(tmp_path)}).values()
    airflow_3.deploy({"late.py": text}, timeout=180)
    run = airflow_3.run("late", {}, timeout=600)
    assert run.state == "success", run.describe()
    assert wait_for(lambda: said_lines(said)) == [run.run_id]


def said_lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def wait_for(found: Callable[[], list[str] | bool]) -> list[str]:
    """What is there in the end."""
    deadline = time.monotonic() + 180
    while not (lines := found()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return list(lines or ())


LATE = """
import time
from levada import pipeline, step

@step
def work() -> int:
    time.sleep(3)
    return 1

@pipeline(sla="1s", on_sla_miss="lateness:late")
def late():
    return work()
"""

LATENESS = """
def late(context):
    with open({file!r}, "a") as file:
        file.write(context["dag_run"]["dag_run_id"] + "\\n")
"""


def test_a_run_that_is_caught_up_knows_its_interval(airflow: Airflow, tmp_path: Path) -> None:
    """Its id in the records is Airflow's, and `context()` has Airflow's dates."""
    start = datetime.now(UTC).date() - timedelta(days=2)
    module = tmp_path / "caught_up.py"
    module.write_text(CAUGHT_UP.format(start=start.isoformat()))
    program = compile_file(module).program
    assert program is not None
    (text,) = TARGET.emit(program, {**OPTIONS, "project": str(tmp_path)}).values()
    airflow.deploy({"caught_up.py": text}, timeout=180)
    listed = started_runs(airflow, "caught_up", 2)
    runs = airflow.wait([airflow.follow("caught_up", one["dag_run_id"]) for one in listed], 600)
    for run, dates in zip(runs, listed, strict=True):
        assert run.state == "success", run.describe()
        folder = run_folder(str(airflow.store), "caught_up", run.run_id)
        engine = json.loads((folder / "run.json").read_text())["engine"]
        names = ("logical_date", "data_interval_start", "data_interval_end")
        expected = [datetime.fromisoformat(dates[name]) for name in names]
        assert [datetime.fromisoformat(engine[name]) for name in names] == expected
        told = run.xcom("return")["outputs"]["0"].split()
        assert [datetime.fromisoformat(each) for each in told] == expected


def test_a_backfill_is_a_run_for_each_interval_and_doing_it_again_an_attempt(
    airflow: Airflow, tmp_path: Path
) -> None:
    module = tmp_path / "filled.py"
    module.write_text(FILLED)
    program = compile_file(module).program
    assert program is not None
    (text,) = TARGET.emit(program, {**OPTIONS, "project": str(tmp_path)}).values()
    airflow.deploy({"filled.py": text}, timeout=180)
    for attempt in (1, 2):
        runs = [airflow.follow("filled", f"backfill__2026-03-{day}+00:00") for day in DAYS]
        airflow.command(*backfill(airflow.version, again=attempt == 2))
        wait_until_over(airflow, runs, attempt)
        for run, day in zip(runs, DAYS, strict=True):
            folder = run_folder(str(airflow.store), "filled", run.run_id)
            assert sorted(path.name for path in (folder / "when").iterdir()) == [
                str(number) for number in range(1, attempt + 1)
            ]
            start, end, number = run.xcom("return")["outputs"]["0"].split()
            assert (start, number) == (f"2026-03-{day}+00:00", str(attempt))
            assert end == (start if airflow.version == "3" else ENDS[day])


def backfill(version: str, *, again: bool) -> list[str]:
    """The command that fills these days, or does so once more."""
    if version == "2":
        command = ["dags", "backfill", "filled", "-s", "2026-03-28", "-e", "2026-03-29T23:00"]
        return [*command, "--yes", *(["--reset-dagruns"] if again else [])]
    command = ["backfill", "create", "--dag-id=filled"]
    command += ["--from-date=2026-03-28", "--to-date=2026-03-29T23:00"]
    return [*command, *(["--reprocess-behavior=completed"] if again else [])]


def wait_until_over(airflow: Airflow, runs: list[Run], attempt: int) -> None:
    """Return when each has an end of this number in the store, and none goes on."""
    name = "outcome.json" if attempt == 1 else f"outcome.{attempt}.json"
    ends = [run_folder(str(airflow.store), run.dag_id, run.run_id) / name for run in runs]
    deadline = time.monotonic() + 300
    while not all(end.exists() for end in ends):
        assert time.monotonic() < deadline, [run.refresh().describe() for run in runs]
        time.sleep(0.5)
    assert {run.state for run in airflow.wait(runs, 60)} == {"success"}
    # 3.x ends a backfill some time after its runs, and refuses another until then.
    while airflow.version == "3" and not all_backfills_are_over(airflow, runs[0].dag_id):
        assert time.monotonic() < deadline, "the backfill does not end"
        time.sleep(0.5)


def all_backfills_are_over(airflow: Airflow, dag_id: str) -> bool:
    """Whether none is left that goes on."""
    found = airflow.api.get_all("/backfills", "backfills", dag_id=dag_id)
    return all(backfill["completed_at"] for backfill in found)


def started_runs(airflow: Airflow, dag_id: str, count: int) -> list[dict[str, Any]]:
    """The runs that the scheduler has started, as soon as there are so many."""
    deadline = time.monotonic() + 120
    while len(found := airflow.api.get_all(f"/dags/{dag_id}/dagRuns", "dag_runs")) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


CAUGHT_UP = """
from levada import context, pipeline, step

@step
def when() -> str:
    now = context()
    return f"{{now.logical_date}} {{now.data_interval_start}} {{now.data_interval_end}}"

@pipeline(schedule="0 0 * * *", start_date="{start}", catchup=True)
def caught_up():
    return when()
"""

#: Six in the morning in Berlin, before and after its clocks go forward.
DAYS = ("28T05:00:00", "29T04:00:00")
ENDS = {DAYS[0]: "2026-03-29T04:00:00+00:00", DAYS[1]: "2026-03-30T04:00:00+00:00"}
FILLED = """
from levada import context, pipeline, step

@step(cache=False)
def when() -> str:
    now = context()
    return f"{now.logical_date} {now.data_interval_end} {now.attempt}"

@pipeline(schedule="0 6 * * *", timezone="Europe/Berlin", start_date="2026-01-01")
def filled():
    return when()
"""

ALERTS = """
def tell(context):
    say(context["ti"].task_id, context["run_id"])


def tell_all(context):
    say("run", context["run_id"])


def say(*words):
    with open({file!r}, "a") as file:
        file.write(" ".join(words) + "\\n")
"""


def asset_events(airflow: Airflow, run_id: str) -> dict[str, Any]:
    """The extra of each event that a run left, by the asset's URI."""
    name = "asset" if airflow.version == "3" else "dataset"
    path = "/assets/events" if airflow.version == "3" else "/datasets/events"
    key = "asset_events" if airflow.version == "3" else "dataset_events"
    events = airflow.api.get_all(path, key)
    mine = [event for event in events if event["source_run_id"] == run_id]
    return {event.get("uri") or event[f"{name}_uri"]: event["extra"] for event in mine}
