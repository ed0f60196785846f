"""`python -m levada` as an engine calls it: real processes, a real store, answers and records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import levada
import pytest
from jsonschema import Draft202012Validator
from levada import cache, records
from levada.store import open_store
from levada.task_request import TaskRequest

PROJECT = Path(__file__).parent / "cases" / "attempts"
SCHEMAS = Path(levada.__file__).parent / "schemas"


class Engine:
    """Calls the command as an engine would, all for one run."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(levada.__file__).parents[1]),
            "LEVADA_RUN_ID": "manual 1/ä",
            "LEVADA_STORE": str(store),
            "LEVADA_PROJECT": str(PROJECT),
        }

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "levada", *words],
            env=self.variables | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *words: str, code: int = 0, given: str = "", **variables: str) -> str:
        process = self.start(*words, **variables)
        self.out, self.err = process.communicate(given, timeout=60)
        assert process.returncode == code, self.out + self.err
        return self.out

    def step(
        self,
        key: str,
        *,
        node: str = "",
        code: int = 0,
        step: dict[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        """Run a step as the node of its name; gives the answer, None without one.

        Names in capitals are variables, others are fields of the request.
        """
        module, _, function = key.rpartition(":")
        step = {"module": module or "jobs", "function": function, **(step or {})}
        return self._ask({"node": node or function, "step": step}, code, more)

    def mode(self, do: str, *, node: str = "if_1", code: int = 0, **more: Any) -> Any:
        place = {"node": node} if do != "outputs" else {}
        return self._ask({"do": do, **place}, code, more)

    def _ask(self, request: dict[str, Any], code: int, more: dict[str, Any]) -> Any:
        fields = {name: value for name, value in more.items() if not name.isupper()}
        variables = {name: value for name, value in more.items() if name.isupper()}
        asked = json.dumps({"pipeline": "p", **request, **fields})
        out = self.call(asked, code=code, **variables)
        return json.loads(out.splitlines()[-1]) if code == 0 else None

    def folder(self, node: str, attempt: int = 1, run: str = "manual%201%2F%C3%A4") -> Path:
        return self.store / "runs" / "p" / run / node / str(attempt)

    def record(self, node: str, attempt: int = 1, run: str = "manual%201%2F%C3%A4"):
        return json.loads((self.folder(node, attempt, run) / "record.json").read_text())

    def log(self, node: str) -> str:
        return (self.folder(node) / "log").read_text()


def step_of(function: str, node: str = "n", **fields: Any) -> str:
    """The request of a step, as JSON."""
    step = {"module": "jobs", "function": function}
    return json.dumps({"pipeline": "p", "node": node, "step": step, **fields})


def settings_of(**settings: Any) -> dict[str, Any]:
    return {"step": {"module": "jobs", "function": "pair", "settings": settings}}


@pytest.fixture
def engine(tmp_path):
    """An engine whose documents are all checked against the published schemas afterwards."""
    engine = Engine(tmp_path / "store")
    yield engine
    for name in ("record", "run", "outcome"):
        schema = json.loads((SCHEMAS / f"{name}.json").read_text())
        Draft202012Validator.check_schema(schema)
        for path in engine.store.glob(f"runs/**/{name}.json"):
            Draft202012Validator(schema).validate(json.loads(path.read_text()))


class TestAnswer:
    def test_a_value(self, engine):
        answer = engine.step("count", sources={"n": "params.n"}, LEVADA_PARAMS='{"n": 3}')
        assert answer["return"] == [0, 1, 2]
        assert answer["outputs"] == {}
        assert answer["record"] == "runs/p/manual%201%2F%C3%A4/count/1/record.json"
        assert answer["digest"] == engine.record("count")["returns"]["digest"]

    @pytest.mark.parametrize(
        ("function", "names", "outputs"),
        [
            ("report", "label,auc", {"label": "best", "auc": 0.5}),
            ("fit", "depth,weights", {"depth": 2, "weights": [0.5, 0.5]}),
            ("pair", "0,1", {"0": 1, "1": "two"}),
            ("pair", "one,two", {"one": 1, "two": "two"}),
        ],
    )
    def test_named_outputs(self, engine, function, names, outputs):
        sources = {"report": {"auc": "0.5"}, "fit": {"depth": "2"}}.get(function, {})
        answer = engine.step(function, sources=sources, step={"outputs": names.split(",")})
        assert answer["outputs"] == outputs

    def test_a_large_value_is_given_by_its_address(self, engine):
        answer = engine.step("count", sources={"n": "2000"})
        assert answer["return"].keys() == {"uri", "digest", "type", "size"}

    def test_a_file_with_the_answer(self, engine, tmp_path):
        answer = engine.step("pair", result=str(tmp_path / "answer.json"))
        assert json.loads((tmp_path / "answer.json").read_text()) == answer

    def test_it_is_the_last_line_whatever_the_step_prints(self, engine):
        engine.step("talk")
        assert engine.out.splitlines()[:-1] == [
            "from Python",
            "from a subprocess",
            "without a newline",
        ]
        engine.step("prints_at_exit")
        assert engine.out.splitlines()[:-1] == ["from a late thread", "at exit"]

    def test_the_output_can_be_closed_or_left_open(self, engine):
        assert engine.step("closes_its_output")["return"] == 1
        process = engine.start(step_of("leaves_a_process"))
        out, _ = process.communicate(timeout=4.5)
        assert (process.returncode, out.splitlines()[0]) == (0, "over")

    def test_text_that_is_not_unicode(self, engine):
        assert engine.step("surrogates")["return"] == "\udcff"
        assert engine.record("surrogates")["params"] == {"name": "\udcff"}

    def test_arguments_of_every_kind(self, engine):
        sources = {"first": "1", "second": "2", "rest": "(3, 4)", "third": "5", "more": "{'x': 6}"}
        assert engine.step("any_arguments", sources=sources)["return"] == [
            1,
            2,
            [3, 4],
            5,
            {"x": 6},
        ]
        assert engine.step("any_arguments", sources={"first": "1"})["return"] == [1, 2, [], 3, {}]

    def test_relative_paths_are_those_of_the_project(self, engine):
        assert engine.step("reads_a_file")["return"] == "next to the project"


class TestOtherNodes:
    def test_outputs_come_from_the_records_of_the_run(self, engine):
        engine.step("count", sources={"n": "3"})
        assert engine.step("add", sources={"xs": "count"})["return"] == 3

    def test_loops_are_counted_by_the_map_index(self, engine):
        loop = {"loops": [{"for": "x in [5, 6, 5]", "where": ["x == 5"]}]}
        for index in ("0", "1"):
            engine.step("double", sources={"x": "x"}, **loop, LEVADA_MAP_INDEX=index)
        collected = "[double[x] for x in [5, 6, 5] if x == 5]"
        assert engine.step("add", sources={"xs": collected})["return"] == 20
        assert engine.step("add", sources={"xs": "double"}, node="add_all")["return"] == 20

    def test_a_record_says_what_people_call_the_item(self, engine):
        loop = {"loops": [{"for": "x in [5, 6, 5]"}, {"for": "y in [0.5]"}]}
        for index in ("1.0", "2.0"):
            engine.step("double", sources={"x": "x"}, **loop, LEVADA_MAP_INDEX=index)
        assert engine.record("double/[1.0]")["label"] == "x=6, y=0.5"
        assert engine.record("double/[2.0]")["label"] == "x=5, y=0.5 #2.0"
        engine.step("fails", sources={"x": "x"}, **loop, LEVADA_MAP_INDEX="1.0", code=1)
        assert engine.record("fails/[1.0]")["label"] == "x=6, y=0.5"
        engine.step("double", sources={"x": "1 / 0"}, **loop, LEVADA_MAP_INDEX="0.0", code=65)
        assert engine.record("double/[0.0]")["label"] == "x=5, y=0.5 #0.0"

    def test_nested_loops(self, engine):
        loops = {"loops": [{"for": "x in [1, 2]"}, {"for": "y in range(x)"}]}
        for index in ("0.0", "1.0", "1.1"):
            engine.step("double", sources={"x": "x * 10 + y"}, **loops, LEVADA_MAP_INDEX=index)
        text = "flat([[double[x, y] for y in range(x)] for x in [1, 2]])"
        assert engine.step("add", sources={"xs": text})["return"] == 20 + 40 + 42
        assert engine.record("double/[1.1]")["map_index"] == [1, 1]

    def test_the_latest_attempt_that_succeeded_counts(self, engine):
        engine.step("fails", sources={"x": "1"}, node="n", code=1)
        engine.step("double", sources={"x": "1"}, node="n", LEVADA_TRY="2")
        assert engine.step("double", sources={"x": "n"})["return"] == 4

    def test_an_attempt_is_never_written_over(self, engine):
        for value in ("1", "2"):
            engine.step("double", sources={"x": value}, LEVADA_TRY="1")
        assert engine.record("double", 2)["inputs"]["x"]["tree"] == 2

    def test_a_node_that_failed_is_a_clear_error(self, engine):
        engine.step("fails", sources={"x": "1"}, code=1)
        engine.step("double", sources={"x": "fails"}, code=65)
        assert "`fails` gave nothing: it failed (ZeroDivisionError" in engine.err
        assert engine.record("double")["error"]["permanent"] is True

    def test_a_damaged_record_is_named(self, engine):
        engine.step("double", sources={"x": "1"}, node="n")
        (record,) = engine.store.rglob("n/1/record.json")
        record.chmod(0o644)
        record.write_text("{")
        engine.step("double", sources={"x": "n"}, code=65)
        path = record.relative_to(engine.store)
        assert f"`n` gave nothing: its record {path} is damaged; run it again" in engine.err
        record.unlink()  # the fixture checks all that are there

    def test_a_link_in_the_place_of_a_folder_is_moved_with_a_warning(self, engine, tmp_path):
        engine.store.mkdir()
        (engine.store / "runs").symlink_to(tmp_path)
        assert engine.step("double", sources={"x": "1"})["return"] == 2
        assert f"warning: {engine.store}/runs is not what Levada wrote there" in engine.err
        assert (engine.store / "runs").is_dir()
        assert not (engine.store / "runs").is_symlink()

    def test_a_run_id_with_a_secret_is_refused(self, engine):
        step = {"settings": {"secrets": ["TOKEN"]}}
        secret = {"TOKEN": "hunter2hunter", "LEVADA_RUN_ID": "manual hunter2hunter"}
        engine.step("double", sources={"x": "1"}, step=step, code=2, **secret)
        assert "the run id holds the value of the secret TOKEN" in engine.err
        assert not (engine.store / "runs").exists()

    def test_a_node_that_was_not_run_is_a_clear_error(self, engine):
        engine.step("double", sources={"x": "elsewhere"}, code=65)
        assert "`elsewhere` is not a parameter, node or variable here" in engine.err


class TestModes:
    def test_decide_takes_the_truth_of_the_value(self, engine):
        engine.step("report", sources={"auc": "0.95"}, step={"outputs": ["label", "auc"]})
        assert engine.mode("decide", expression="report.auc > 0.9 and report.label") is True
        assert engine.mode("decide", expression="[]") is False

    def test_decide_within_a_loop(self, engine):
        words = {"loops": [{"for": "d in params.ds"}], "expression": "d > 4", "map_index": [1]}
        assert engine.mode("decide", **words, LEVADA_PARAMS='{"ds": [4, 8]}') is True

    def test_an_error_in_a_condition_is_a_failure_of_its_node(self, engine):
        engine.mode("decide", expression="1 / 0", code=65)
        assert engine.record("if_1")["error"]["type"] == "ZeroDivisionError"
        assert engine.mode("decide", expression="failed('if_1')", node="if_2") is True
        assert engine.mode("decide", expression="True") is True  # started over
        assert engine.mode("decide", expression="failed('if_1')", node="if_2") is False

    def test_failed_is_about_one_iteration(self, engine):
        loop = {"loops": [{"for": "x in [0, 1]"}]}
        engine.step("fails", map_index=[0], sources={"x": "x"}, **loop, code=1)
        engine.step("double", map_index=[1], sources={"x": "x"}, **loop, node="fails")
        asks = [{**loop, "LEVADA_MAP_INDEX": index} for index in ("0", "1")]
        found = [engine.mode("decide", expression="failed('fails')", **ask) for ask in asks]
        assert found == [True, False]
        assert engine.mode("decide", expression="failed('fails')") is True
        assert engine.mode("decide", expression="failed('not_started')") is False

    def test_failed_counts_loops_and_not_their_variables(self, engine):
        loops = {"loops": [{"for": "i, d in enumerate([7, 8])"}, {"for": "k in [0, 1]"}]}
        for index, code in (("0.0", 0), ("0.1", 1)):
            function = "double" if code == 0 else "fails"
            place = {**loops, "sources": {"x": "k"}, "LEVADA_MAP_INDEX": index}
            engine.step(function, **place, node="n", code=code)
        asks = [{**loops, "LEVADA_MAP_INDEX": index} for index in ("0.0", "0.1")]
        found = [engine.mode("decide", expression="failed('n')", **ask) for ask in asks]
        assert found == [False, True]

    def test_items(self, engine):
        words = {"loops": [{"for": "d in params.ds", "where": ["d > 2"]}]}
        found = engine.mode("items", **words, LEVADA_PARAMS='{"ds": [1, 4, 8]}')
        assert found == [{"index": "0", "label": "d=4"}, {"index": "1", "label": "d=8"}]

    def test_items_have_the_names_of_the_source(self, engine):
        words = {"loops": [{"for": "d_2 in [1, 2]", "named": ["d_2 as d"]}]}
        found = engine.mode("items", **words)
        assert found == [{"index": "0", "label": "d=1"}, {"index": "1", "label": "d=2"}]

    def test_items_that_an_if_leaves_out_keep_their_indexes(self, engine):
        words = {
            "loops": [
                {"for": "x in [1, 2]", "if": ["x > 1"]},
                {"for": "y in 'ab'", "if": ["y != 'a'"]},
            ]
        }
        assert engine.mode("items", **words) == [{"index": "1.1", "label": "x=2, y=b"}]

    def test_an_item_that_cannot_be_decided_fails_alone(self, engine):
        words = {"loops": [{"for": "x in [1, None, 3]", "if": ["x > 2"]}], "fail_items": True}
        assert engine.mode("items", **words) == [{"index": "2", "label": "x=3"}]
        assert engine.record("if_1/[1]")["error"]["type"] == "TypeError"
        asked = {"loops": [{"for": "x in [1, None, 3]", "if": ["failed('if_1')"]}]}
        assert engine.mode("items", **asked, node="try_1") == [{"index": "1", "label": "x=None"}]

    def test_what_another_node_decides_is_left_out_without_a_record(self, engine):
        words = {"loops": [{"for": "x in [1, None]", "if": ["x > 0", "x < 9"]}], "fail_items": True}
        assert engine.mode("items", **words) == [{"index": "0", "label": "x=1"}]
        assert not (engine.folder("if_1").parent / "[1]").exists()

    def test_an_inner_loop_fails_for_its_outer_item(self, engine):
        words = {"loops": [{"for": "x in [None, [5]]"}, {"for": "y in x"}], "fail_items": True}
        assert engine.mode("items", **words) == [{"index": "1.0", "label": "x=[5], y=5"}]
        assert engine.record("if_1/[0]")["status"] == "failed"

    def test_an_item_that_can_be_decided_now_has_not_failed(self, engine):
        words = {"loops": [{"for": "x in params.xs", "if": ["x > 0"]}], "fail_items": True}
        engine.mode("items", **words, LEVADA_PARAMS='{"xs": [null]}')
        engine.mode("items", **words, LEVADA_PARAMS='{"xs": [1]}')
        asked = {"loops": [{"for": "x in params.xs", "if": ["failed('if_1')"]}]}
        assert engine.mode("items", **asked, node="try_1") == []

    def test_an_item_that_a_step_gave_is_shown(self, engine):
        engine.step("double", sources={"x": "4"}, node="double")
        words = {"loops": [{"for": "x in [double]"}]}
        assert engine.mode("items", **words) == [{"index": "0", "label": "x=8"}]

    def test_items_that_hold_what_steps_gave(self, engine):
        engine.step("pair", step={"outputs": ["0", "1"]})
        words = {"loops": [{"for": "x in [[pair._0, (pair._1, 2)], {'a': pair._0, 1: [{3}]}]"}]}
        assert engine.mode("items", **words) == [
            {"index": "0", "label": 'x=[1, ["two", 2]]'},
            {"index": "1", "label": 'x={"a": 1, "1": ["{3}"]}'},
        ]

    def test_no_items(self, engine):
        assert engine.mode("items", loops=[{"for": "d in []"}]) == []

    def test_outputs_end_the_run(self, engine):
        engine.step("pair", step={"outputs": ["0", "1"]})
        words = {"outputs": {"one": "pair._0", "both": "[pair._1]"}, "returns": "tuple"}
        assert engine.mode("outputs", **words) == {
            "outputs": {"one": 1, "both": ["two"]},
            "return": [1, ["two"]],
        }
        path = next(engine.store.glob("runs/p/*/outcome.json"))
        outcome = json.loads(path.read_text())
        assert (outcome["outputs"], outcome["names"]) == ([1, ["two"]], ["one", "both"])
        assert outcome["kind"] == "tuple"

    def test_the_last_end_of_a_run_counts(self, engine):
        for number in range(1, 12):
            engine.mode("outputs", outputs={"n": str(number)})
        store = open_store(str(engine.store))
        (run,) = engine.store.glob("runs/p/*")
        assert records.read_outcome(store, "p", "manual 1/ä")["outputs"] == [11]
        assert json.loads((run / "outcome.json").read_text())["outputs"] == [1]
        assert records.read_outcome(store, "p", "another") is None

    def test_the_first_that_is_heard_of_a_run_is_its_document(self, engine):
        given = {"name": "airflow", "dag_id": "p", "trigger": "scheduled"}
        variables = {"LEVADA_ENGINE": json.dumps(given), "LEVADA_ENVIRONMENT": "prod"}
        engine.mode("items", loops=[{"for": "d in []"}], **variables)
        engine.step("pair", LEVADA_PARAMS='{"later": 1}')
        run = json.loads(next(engine.store.glob("runs/p/*/run.json")).read_text())
        assert (run["trigger"], run["engine"]) == ("scheduled", given | {"environment": "prod"})
        assert run["parameters"]["display"] == {}


class TestFailures:
    def test_the_traceback_has_the_users_frames_only(self, engine):
        engine.step("fails", sources={"x": "1"}, code=1)
        error = engine.record("fails")["error"]
        assert [frame["function"] for frame in error["frames"]] == ["fails", "divide"]
        assert [frame["file"] for frame in error["frames"]] == ["jobs.py", "jobs_library.py"]
        assert error["traceback"][0] == "Traceback (most recent call last):"
        assert error["traceback"][-1] == "ZeroDivisionError: division by zero"
        assert "levada/" not in "".join(error["traceback"]).replace(str(PROJECT), "")
        assert "ZeroDivisionError: division by zero" in engine.log("fails")

    def test_frames_of_libraries_are_folded(self, engine):
        engine.step("fails_in_a_library", code=1)
        text = "\n".join(engine.record("fails_in_a_library")["error"]["traceback"])
        assert "frames in json" in text
        assert "direct cause" in text

    @pytest.mark.parametrize(
        ("function", "code", "kind", "message"),
        [
            ("gives_up", 65, "PermanentError", "no such table"),
            ("exits", 1, "SystemExit", "sys.exit(3)"),
            ("returns_nothing_storable", 65, "MaterializerError", ""),
            ("jobs_broken:broken", 65, "SyntaxError", "invalid syntax"),
            ("jobs_missing:anything", 65, "ModuleNotFoundError", "no_such_distribution"),
            ("jobs_nowhere:anything", 65, "ModuleNotFoundError", "jobs_nowhere"),
            ("no_such_function", 65, "StepError", "no_such_function"),
        ],
    )
    def test_what_ends_in_a_record(self, engine, function, code, kind, message):
        engine.step(function, code=code, node="n")
        record = engine.record("n")
        assert record["status"] == "failed"
        assert record["error"]["type"] == kind
        assert message in record["error"]["message"]
        assert record["error"]["permanent"] is (code == 65)

    def test_outputs_that_are_not_there(self, engine):
        engine.step("returns_too_few", step={"outputs": ["0", "1"]}, code=65)
        assert "returned 1 values" in engine.record("returns_too_few")["error"]["message"]
        engine.step("count", sources={"n": "1"}, step={"outputs": ["model"]}, code=65)
        assert "has no output 'model'" in engine.record("count")["error"]["message"]

    def test_a_deep_recursion_is_cut(self, engine):
        engine.step("recurses", sources={"n": "0"}, code=1)
        error = engine.record("recurses")["error"]
        assert error["type"] == "RecursionError"
        assert len(error["traceback"]) < 500
        assert len(error["frames"]) == 100

    def test_an_attempt_that_dies_without_a_record_has_failed(self, engine):
        engine.step("dies", code=7)
        assert engine.mode("decide", expression="failed('dies')") is True

    def test_a_timeout(self, engine):
        engine.step("sleeps", step={"settings": {"timeout": 1}}, code=1)
        record = engine.record("sleeps")
        assert record["error"]["kind"] == "timeout"
        assert "cleaned up" in engine.log("sleeps")

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_ends_with_a_record(self, engine, number, code):
        process = engine.start(step_of("sleeps", node="sleeps"))
        assert process.stdout is not None
        assert process.stdout.readline() == "sleeping\n"
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == code
        assert engine.record("sleeps")["status"] == "cancelled"
        assert "cleaned up" in engine.log("sleeps")

    def test_a_store_that_is_a_file(self, engine, tmp_path):
        (tmp_path / "file").write_text("")
        engine.call(step_of("pair"), code=1, LEVADA_STORE=str(tmp_path / "file"))
        assert "Traceback" not in engine.err


def test_a_result_beside_the_project(engine, tmp_path):
    """A relative path is one of the project's folder, and a failed task leaves no file."""
    name = os.path.relpath(tmp_path / "result.json", PROJECT)
    engine.step("fails", sources={"x": "1"}, code=1, result=name)
    assert not (tmp_path / "result.json").exists()
    engine.step("count", sources={"n": "1"}, result=name)
    assert json.loads((tmp_path / "result.json").read_text())["return"] == [0]


class TestEndOfARun:
    """What fails for good and is not handled ends the run, which no later task could say."""

    def outcome(self, engine) -> Any:
        return records.read_outcome(open_store(str(engine.store)), "p", "manual 1/ä")

    def test_the_last_attempt_of_a_step_ends_it(self, engine):
        engine.step("fails", sources={"x": "1"}, code=1, attempts=2)
        assert self.outcome(engine) is None
        engine.step("fails", sources={"x": "1"}, code=1, attempt=2, LEVADA_TRIES="2")
        outcome = self.outcome(engine)
        assert (outcome["status"], outcome["outputs"]) == ("failed", [])
        error = outcome["error"]
        assert (error["type"], error["node"]) == ("ZeroDivisionError", "fails")
        assert error["record"].endswith("/fails/2/record.json")

    def test_a_permanent_error_and_one_of_an_expression_end_it(self, engine):
        engine.step("gives_up", code=65, attempts=5)
        assert self.outcome(engine)["error"]["type"] == "PermanentError"
        engine.mode("decide", expression="1 / 0 > 1", node="if_2", code=65)
        assert self.outcome(engine)["error"]["node"] == "gives_up"  # the first one counts

    def test_what_the_pipeline_handles_does_not(self, engine):
        engine.step("gives_up", code=65, caught=True)
        assert self.outcome(engine) is None

    def test_a_run_that_was_started_over(self, engine):
        engine.step("fails", sources={"x": "1"}, code=1)
        engine.step("fails", sources={"x": "[]"}, code=1)
        assert self.outcome(engine)["error"]["record"].endswith("/2/record.json")
        engine.mode("outputs", outputs={"one": "1"})
        assert self.outcome(engine)["status"] == "succeeded"

    def test_a_cancelled_step(self, engine):
        process = engine.start(step_of("sleeps", caught=True))
        assert process.stdout is not None
        assert process.stdout.readline() == "sleeping\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert self.outcome(engine)["status"] == "cancelled"


def test_a_parameter_that_holds_a_secret_is_refused(engine):
    given = {"LEVADA_PARAMS": '{"url": "db://u:correct-horse@h"}', "LEVADA_SECRETS": "TOKEN"}
    engine.step("count", sources={"n": "1"}, code=2, TOKEN="correct-horse", **given)
    assert "the parameter `url` holds the value of the secret TOKEN" in engine.err
    assert not list(engine.store.glob("runs/p/*"))


class TestUsage:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"pipeline": None}, 'the field `pipeline` is missing: "step" wants it'),
            ({"bogus": 1}, "there is no field `bogus`; there are `do`, `pipeline`,"),
            ({"do": "run"}, "the field `do` wants one of step, decide, items, outputs,"),
            ({"step": {"function": "pair"}}, "the field `step.module` is missing"),
            ({"step": {"moduel": "jobs"}}, "there is no field `step.moduel`"),
            ({"step": {"outputs": "a"}}, '`step.outputs` wants a list of strings, not "a"'),
            ({"step": "jobs:pair"}, "the field `step` wants an object"),
            ({"sources": {"x": 1}}, "`sources` wants an object whose values are strings"),
            ({"loops": ["x in y"]}, "the field `loops` wants a list of objects"),
            ({"loops": [{"where": ["1"]}]}, "the field `loops[0].for` is missing"),
            ({"loops": [{"for": "x"}]}, '`loops[0].for` wants "VARIABLE in EXPRESSION"'),
            ({"loops": [{"for": "x in y"}]}, "`map_index` wants 1 number, one for each"),
            ({"map_index": "0"}, "the field `map_index` wants a list of whole numbers"),
            ({"params": [1]}, "the field `params` wants an object, not [1]"),
            ({"attempt": 0}, "the field `attempt` wants a number from 1, not 0"),
            ({"attempt": True}, "the field `attempt` wants a number from 1, not true"),
            ({"stage": "yes"}, "the field `stage` wants true or false"),
            ({"git": {}}, "the field `git` is only of requests with computed inputs"),
            ({"do": "items"}, 'the field `loops` is missing: "items" wants it'),
            ({"do": "items", "loops": [{"for": "x in y"}], "map_index": [0]}, "no loop of 1 left"),
            ({"do": "decide"}, 'the field `expression` is missing: "decide" wants it'),
            ({"do": "raise"}, '"raise" wants the field `classes` or `handled`'),
            ({"checks": ["zz"]}, "`checks` names `zz`, which is not in `values`"),
            ({"store": "/tmp/\ud800"}, "the field `store` wants a string without surrogates"),
            ({"paths": ["a\0"]}, "the field `paths` wants a list of strings without surrogates"),
            ({"engine": {"a": float("nan")}}, "the field `engine` wants an object without NaN"),
            ({"result": "/nowhere/result.json"}, "/nowhere/result.json: No such file"),
            (settings_of(secrets=5), "`step.settings.secrets` wants a list of names"),
            (settings_of(timeout=-5), "`step.settings.timeout` wants a number of seconds above 0"),
            (settings_of(files=5), "`step.settings.files` wants a list of strings, not 5"),
            ({"step": {"container": {}}}, "the field `step.module` is missing"),
        ],
    )
    def test_a_request_that_means_nothing(self, engine, fields, message):
        engine.call(step_of("pair", **fields), code=2)
        assert message in engine.err
        assert "Traceback" not in engine.err
        assert not engine.store.exists()

    @pytest.mark.parametrize(
        ("text", "variables", "message"),
        [
            ('{"a": ' + "[" * 5_000 + "]" * 5_000 + "}", {}, "the request is nested too deep"),
            ('{"node": "a", "node": "b"}', {}, "an object has two fields `node`"),
            ("{}", {"LEVADA_TRY": "1" * 5_000}, "LEVADA_TRY wants a number from 1"),
            ("{}", {"LEVADA_MAP_INDEX": "1" * 5_000}, "LEVADA_MAP_INDEX wants numbers"),
        ],
        ids=["deep", "double", "try", "index"],
    )
    def test_a_request_of_another_form(self, engine, text, variables, message):
        engine.call("-", given=text, code=2, **variables)
        assert message in engine.err
        assert "Traceback" not in engine.err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "give one argument, a request, not 0; see --help"),
            (("jobs:pair", "--node"), "give one argument, a request, not 2"),
            (("jobs:pair",), "the request is not JSON"),
            (("[1]",), "the request wants a JSON object, not [1]"),
            (("@missing.json",), "the request cannot be read from missing.json"),
        ],
    )
    def test_what_is_no_request(self, engine, words, message):
        engine.call(*words, code=2)
        assert message in engine.err
        assert "Traceback" not in engine.err

    @pytest.mark.parametrize(
        ("variable", "value", "message"),
        [
            ("LEVADA_MAP_INDEX", "x", 'LEVADA_MAP_INDEX wants numbers such as "2" or "0.1"'),
            ("LEVADA_TRY", "0", "LEVADA_TRY wants a number from 1"),
            ("LEVADA_PARAMS", "[1]", "LEVADA_PARAMS wants a JSON object"),
            ("LEVADA_ENGINE", "{", "LEVADA_ENGINE is not JSON"),
        ],
    )
    def test_a_variable_that_means_nothing(self, engine, variable, value, message):
        engine.call(step_of("pair"), code=2, **{variable: value})
        assert message in engine.err

    def test_a_request_in_a_file_or_on_stdin(self, engine, tmp_path):
        file = tmp_path / "request.json"
        file.write_text(step_of("pair"))
        for words, given in ((f"@{file}", ""), ("-", step_of("pair"))):
            out = engine.call(words, given=given)
            assert json.loads(out.splitlines()[-1])["return"] == [1, "two"]

    def test_the_request_comes_before_variables(self, engine):
        fields = {"run_id": "mine", "attempt": 3, "map_index": [0], "params": {"d": 1}}
        variables = {"LEVADA_RUN_ID": "other", "LEVADA_TRY": "2", "LEVADA_PARAMS": '{"d": 2}'}
        loops = [{"for": "x in [1]"}]
        answer = engine.step("whereabouts", loops=loops, **fields, **variables)
        assert answer["return"] == ["p", "mine", "whereabouts", [0], 3, {"d": 1}]

    def test_an_input_that_is_a_tree(self, engine):
        """It is taken as it is; the others are computed."""
        answer = engine.step("any_arguments", inputs={"first": [7]}, sources={"second": "2"})
        assert answer["return"] == [[7], 2, [], 3, {}]

    def test_help(self, engine):
        """Its example is a request that can be read."""
        text = engine.call("--help")
        assert text.startswith("usage: python -m levada REQUEST\n")
        example = text[text.index("\n{") : text.index("\n}") + 2]
        assert TaskRequest(json.loads(example), {}).loops[0].items == "limits"


class TestRecord:
    def test_what_a_step_logs(self, engine):
        engine.step("track")
        record = engine.record("track")
        metrics = [(m["name"], m["value"], m["step"]) for m in record["metrics"]]
        assert metrics == [
            ("loss", "NaN", 2),  # the last of two
            ("from_thread", 1, None),
            ("from_child", 2.0, None),
        ]
        assert record["params"] == {"depth": 3, "kind": "gini"}
        assert record["artifacts"]["weights"]["format"] == "json"

    def test_context(self, engine):
        words = {"loops": [{"for": "x in [1]"}], "map_index": [0], "attempt": 2, "params": {"d": 3}}
        found = engine.step("whereabouts", **words)["return"]
        assert found == ["p", "manual 1/ä", "whereabouts", [0], 2, {"d": 3}]

    def test_the_environment_setting(self, engine):
        words = {"step": {"settings": {"environment": {"MODE": "fast"}}}}
        assert engine.step("configured", **words)["return"] == "fast"

    def test_secrets_are_masked_everywhere(self, engine):
        words = {"step": {"settings": {"secrets": {"TOKEN": "vault/token"}}}}
        engine.step("leak", **words, code=1, TOKEN="correct-horse")
        everything = engine.out + engine.err + engine.log("leak")
        everything += (engine.folder("leak") / "record.json").read_text()
        assert "correct-horse" not in everything
        assert engine.log("leak").splitlines()[:2] == ["the token is ***", "***"]

    def test_secrets_of_other_steps_are_masked(self, engine):
        engine.step("leak", code=1, TOKEN="correct-horse", LEVADA_SECRETS="OTHER,TOKEN")
        everything = engine.out + engine.err + engine.log("leak")
        everything += (engine.folder("leak") / "record.json").read_text()
        assert "correct-horse" not in everything

    def test_a_failure_before_the_step_is_masked(self, engine):
        words = {"classes": ["builtins.ValueError"], "arguments": ["'no correct-horse'"]}
        engine.mode("raise", **words, code=65, TOKEN="correct-horse", LEVADA_SECRETS="TOKEN")
        assert "no ***" in engine.err
        assert engine.record("if_1")["error"]["args"] == ["no ***"]

    def test_a_secret_that_is_a_word_of_levada_does_no_harm(self, engine):
        words = {"step": {"settings": {"secrets": {"TOKEN": "vault/token"}}}}
        for secret in ("succeeded", "jobs", "sha256", "abc"):
            node = f"pair_{secret}"
            assert engine.step("pair", **words, node=node, TOKEN=secret)["return"] == [1, "two"]
            assert engine.record(node)["status"] == "succeeded"

    def test_a_secret_that_is_missing(self, engine):
        words = {"step": {"settings": {"secrets": {"TOKEN": "vault/token"}}}}
        engine.step("leak", **words, code=65)
        assert "set the environment variable TOKEN" in engine.record("leak")["error"]["message"]

    def test_peak_memory_is_that_of_the_step(self, engine):
        engine.step("allocates", sources={"megabytes": "64"})
        used = engine.record("allocates")["resources"]
        assert used["peak_memory_bytes"] > 64 << 20
        assert used["cpu_user_seconds"] >= 0

    def test_code_that_is_not_what_was_compiled_is_a_warning(self, engine):
        engine.step("pair", step={"code": f"sha256:{0:064}"})
        record = engine.record("pair")
        assert "is not what was compiled" in record["warnings"][0]
        assert "warning: the code here" in engine.log("pair")
        assert record["code"]["digest"] != f"sha256:{0:064}"

    def test_the_start_of_a_digest_tells_the_code_too(self, engine):
        engine.step("pair")
        digest = engine.record("pair")["code"]["digest"]
        engine.step("pair", step={"code": digest[:19]}, node="again")
        assert engine.record("again")["warnings"] == []


class TestCache:
    def run(self, engine, number: int, function: str = "double", **more: Any):
        engine.step(function, LEVADA_RUN_ID=f"r{number}", **more)
        record = engine.record(function, run=f"r{number}")
        reasons = cache.explain(record, open_store(str(engine.store)))
        return record["cache"]["hit"], [(reason["part"], reason["text"]) for reason in reasons]

    def test_a_hit_and_why(self, engine):
        first = self.run(engine, 1, sources={"x": "1"})
        assert first == (False, [("run", "there is no earlier run of this node")])
        second = self.run(engine, 2, sources={"x": "1"})
        assert second == (True, [("cache", "the same step gave this in run r1")])
        assert (
            engine.record("double", run="r2")["returns"]
            == engine.record("double", run="r1")["returns"]
        )

    def test_an_input_that_changed(self, engine):
        self.run(engine, 1, sources={"x": "1"})
        assert self.run(engine, 2, sources={"x": "2"}) == (False, [("inputs", "input x changed")])

    def test_variables_that_changed(self, engine):
        texts = [{"environment": {"MODE": mode}} for mode in ("slow", "fast")]
        self.run(engine, 1, step={"settings": texts[0]}, function="configured")
        hit, reasons = self.run(engine, 2, step={"settings": texts[1]}, function="configured")
        assert (hit, [part for part, _ in reasons]) == (False, ["variables"])

    def test_a_blob_that_is_gone_or_damaged_is_a_miss(self, engine):
        self.run(engine, 1, sources={"x": "1"})
        digest = engine.record("double", run="r1")["returns"]["digest"].removeprefix("sha256:")
        (blob,) = engine.store.glob(f"blobs/**/*{digest[2:]}")
        blob.unlink()
        hit, reasons = self.run(engine, 2, sources={"x": "1"})
        assert (hit, reasons[0][0]) == (False, "blob")
        assert self.run(engine, 3, sources={"x": "1"})[0] is True
        blob.chmod(0o644)
        blob.write_bytes(b"3")
        hit, reasons = self.run(engine, 4, sources={"x": "1"})
        assert (hit, reasons[0][0]) == (False, "blob")

    def test_off(self, engine):
        for number in (1, 2):
            hit, reasons = self.run(
                engine, number, sources={"x": "1"}, step={"settings": {"cache": False}}
            )
            said = "the cache is off, or nobody uses the result: `cache=True` caches it"
            assert (hit, reasons) == (False, [("cache", said)])
        assert not list(engine.store.glob("cache/*"))

    def test_what_a_step_reads_of_its_context_has_to_be_the_same(self, engine):
        assert self.run(engine, 1, function="whereabouts")[0] is False
        hit, reasons = self.run(engine, 2, function="whereabouts")
        assert (hit, reasons[0][0]) == (False, "context")

    def test_a_failure_is_not_remembered(self, engine):
        engine.step("fails", sources={"x": "1"}, code=1)
        assert not list(engine.store.glob("cache/*"))


def test_a_program_that_has_run_before(engine, tmp_path):
    """Its outputs are collected even if the cache has them; staging may look there first."""
    part = {"command": ["/bin/count"], "args": None, "outputs": {"n": "int"}}
    words = {"step": {"container": part, "settings": {"image": "tools:1"}}}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "n").write_text("3")
    ran = {"LEVADA_PROGRAM_FOLDER": str(tmp_path)}
    for run in ("first", "second"):
        assert engine.step("count", **words, LEVADA_RUN_ID=run, **ran)["return"] == 3
        assert not engine.record("count", run=run)["cache"]["hit"]
    reasons = engine.record("count", run="second")["cache"]["reasons"]
    assert reasons == [{"part": "cache", "text": "the program ran before the cache was looked at"}]
    reused = engine.step("count", stage=True, look_up=True, **words, LEVADA_RUN_ID="third", **ran)
    assert reused["return"] == 3
    assert engine.record("count", run="third")["cache"]["hit"]
    (warning,) = engine.record("count", run="third")["warnings"]
    assert "the image tools:1, whose digest is not known here" in warning
    ran["LEVADA_PROGRAM_ERROR"] = "the program ended with exit code 3"
    engine.step("count", **words, code=1, LEVADA_RUN_ID="fourth", **ran)
    assert engine.record("count", run="fourth")["error"]["message"] == ran["LEVADA_PROGRAM_ERROR"]


@pytest.mark.parametrize(("length", "is_whole"), [(10, True), (4000, False)])
def test_a_program_in_a_pod_that_the_cache_answers(engine, tmp_path, length, is_whole):
    """The exit code keeps the pod's other containers from starting; its message is the result."""
    outputs = dict.fromkeys(("a", "b"), "str")
    part = {"command": ["/bin/tell"], "args": None, "outputs": outputs}
    pinned = {"image": f"tools@sha256:{'0' * 64}"}
    words: dict[str, Any] = {"step": {"container": part, "settings": pinned, "outputs": ["a", "b"]}}
    said = tmp_path / "termination-log"
    said.write_text("old")
    (tmp_path / "out").mkdir()
    for name in outputs:
        (tmp_path / "out" / name).write_text(name * length)
    ran = {"LEVADA_PROGRAM_FOLDER": str(tmp_path), "LEVADA_TERMINATION_LOG": str(said)}
    look_up = {"stage": True, "look_up": True, "ends_pod": True}
    engine.step("tell", **words, LEVADA_RUN_ID="first", **ran)
    assert said.read_text() == "old"
    result = tmp_path / "result.json"
    words |= {**look_up, "result": str(result)}
    engine.step("tell", **words, code=66, LEVADA_RUN_ID="second", **ran)
    record = engine.record("tell", run="second")
    assert (record["status"], record["cache"]["hit"]) == ("succeeded", True)
    assert record["warnings"] == []
    given, told = json.loads(result.read_text()), json.loads(said.read_text())
    assert given["outputs"] == {name: name * length for name in outputs}
    assert told == (given if is_whole else {n: given[n] for n in ("digest", "record")})
