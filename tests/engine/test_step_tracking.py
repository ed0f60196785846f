"""What steps log, from their own process and from those that they start, and by `logging`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from levada.store import open_store

from tests.engine.project import Project

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
CHILD = """
import multiprocessing, threading
from concurrent.futures import ThreadPoolExecutor
from levada import context, log_artifact, log_metric, log_params

def child(number):
    log_metric("value", number, step=number)
    log_params({f"param{number}": number})
    log_artifact(f"artifact{number}", [number])
    return context().node

@step(cache=True)
def work() -> list[str]:
"""
MAIN = "\n@pipeline\ndef main():\n    return work()\n"


def run(folder: Path, body: str) -> Project:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return Project(folder, CHILD + lines + "\n" + MAIN)


WAYS = {
    method: f"with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
    "    return pool.map(child, range(3))"
    for method in ("fork", "spawn", "forkserver")
} | {
    "threads": "with ThreadPoolExecutor(2) as pool:\n    return list(pool.map(child, range(3)))",
    "joblib": "import joblib\n"
    "return joblib.Parallel(n_jobs=2)(joblib.delayed(child)(n) for n in range(3))",
    "script": "text = 'import sys; from pipeline import child; print(child(int(sys.argv[1])))'\n"
    "path = {'PYTHONPATH': os.pathsep.join(sys.path)}\n"
    "command = [sys.executable, '-c', text]\n"
    "return [subprocess.check_output([*command, str(n)], text=True, env=os.environ | path).strip()"
    " for n in range(3)]",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_other_processes_and_threads_log_is_recorded(tmp_path: Path, way: str) -> None:
    if "joblib" in way:
        pytest.importorskip("joblib")
    project = run(tmp_path, way)
    outcome = project.run()
    assert outcome.displayed_outputs() == ["work"] * 3, outcome.error
    record = project.record(outcome, "work")
    (metric,) = record["metrics"]
    assert (metric["name"], metric["min"], metric["max"], metric["count"]) == ("value", 0, 2, 3)
    series = json.loads(open_store(project.store).read_blob(metric["series"]))["value"]
    assert sorted(series["value"]) == sorted(series["step"]) == [0, 1, 2]
    assert record["params"] == {f"param{number}": number for number in range(3)}
    assert record["artifacts"].keys() == {f"artifact{number}" for number in range(3)}
    folder = Path(project.store, outcome.folder, "work", "1")
    assert {path.name for path in folder.iterdir()} == {"record.json", "log"}


def test_a_child_that_is_killed_as_it_logs_does_no_harm(tmp_path: Path) -> None:
    body = (
        "folder = Path(os.environ['LEVADA_ATTEMPT']).parent\n"
        "(folder / 'tracked.jsonl').write_text('[\"metric\", {\"na')\nreturn []"
    )
    assert run(tmp_path, body).run().status == "succeeded"


def test_what_a_child_reads_of_the_context_counts_for_the_cache(tmp_path: Path) -> None:
    body = (
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        return pool.map(read_run, [1])"
    )
    source = "def read_run(_):\n    return context().run_id\n\n"
    project = Project(tmp_path, source + CHILD + f"    {body}\n" + MAIN)
    first, second = project.run().displayed_outputs(), project.run().displayed_outputs()
    assert first != second


def test_a_process_that_outlives_the_attempt_prints(tmp_path: Path) -> None:
    body = "return [os.environ['LEVADA_ATTEMPT']]"
    (path,) = run(tmp_path, body).run().displayed_outputs()
    assert not Path(path).exists()


def log_of(folder: Path, source: str, body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    text = f"{source}\n@step\ndef work() -> int:\n{lines}\n    return 1\n{MAIN}"
    project = Project(folder, text)
    outcome = project.run()
    assert outcome.status == "succeeded", outcome.error
    return project.log(outcome, "work")


SAY = "log = logging.getLogger('train')\nlog.debug('no')\nlog.info('one %d', 1)\nlog.warning('two')"


@pytest.mark.parametrize(
    ("source", "body"), [("import logging\n", SAY), ("", f"import logging\n{SAY}")]
)
def test_logging_goes_to_the_log_with_level_and_time(
    tmp_path: Path, source: str, body: str
) -> None:
    lines = log_of(tmp_path, source, body).splitlines()
    assert len(lines) == 2
    assert re.fullmatch(rf"{TIME} INFO train: one 1", lines[0])
    assert re.fullmatch(rf"{TIME} WARNING train: two", lines[1])


@pytest.mark.parametrize(
    ("configured", "shown"),
    [
        ("logging.basicConfig()", ["WARNING:train:two"]),
        ("logging.basicConfig(level='INFO')", ["INFO:train:one 1", "WARNING:train:two"]),
        ("logging.basicConfig(level='INFO', format='%(message)s')", ["one 1", "two"]),
        ("logging.getLogger().addHandler(logging.StreamHandler())", ["two"]),
        (
            "import logging.config\nlogging.config.dictConfig({'version': 1, 'root': {'level':"
            " 'INFO', 'handlers': ['h']}, 'handlers': {'h': {'class': 'logging.StreamHandler'}}})",
            ["one 1", "two"],
        ),
        ("logging.getLogger('train').addHandler(logging.StreamHandler())", ["two"]),
        ("logging.getLogger('train').setLevel('ERROR')", []),
    ],
)
@pytest.mark.parametrize("in_module", [True, False])
def test_logging_that_the_step_has_set_up_is_its_own(
    tmp_path: Path, configured: str, shown: list[str], in_module: bool
) -> None:
    source = f"import logging\n{configured}\n" if in_module else "import logging\n"
    body = SAY if in_module else f"{configured}\n{SAY}"
    assert log_of(tmp_path, source, body).splitlines() == shown


def test_the_record_has_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json
    import os
    import pwd

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    project = run(tmp_path, "return []")
    for number, expected in enumerate([pwd.getpwuid(os.getuid()).pw_name, "somebody"]):
        outcome = project.run(run_id=f"run-{number}")
        document = json.loads(Path(project.store, outcome.folder, "run.json").read_text())
        assert document["user"] == expected
        monkeypatch.setenv("USER", "somebody")


def test_it_leaves_logging_as_it_was() -> None:
    code = (
        "import logging\n"
        "from levada.step_logging import StepLogging\n"
        "before = logging.lastResort, logging.root.level\n"
        "with StepLogging():\n    assert logging.root.level == logging.INFO\n"
        "assert (logging.lastResort, logging.root.level) == before\n"
        "assert logging.Logger.addHandler.__module__ == 'logging'\n"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)
