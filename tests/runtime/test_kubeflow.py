"""A task of Kubeflow: real processes, given an executor input, leaving an executor output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import levada
import pytest
from levada import kubeflow, records
from levada.store import open_store

from tests.engines.kubeflow import Kubeflow
from tests.engines.object_stores.servers import Bucket

PROJECT = Path(__file__).parent / "cases" / "kubeflow"
TYPES = {"page": "HTML", "curve": "ClassificationMetrics", "metrics": "Metrics"}


class Tasks:
    """Runs tasks of one run, as the launcher would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.output = folder / "out" / "executor_output.json"

    def input(
        self,
        call: dict[str, Any],
        artifacts: tuple[str, ...],
        small: tuple[str, ...],
        given: dict[str, Any],
    ) -> dict[str, Any]:
        """The executor input, as the driver makes it."""
        values = {"levada-call": call, **given}
        declared = {
            name: {
                "artifacts": [
                    {
                        "name": name,
                        "type": {"schemaTitle": f"system.{TYPES.get(name, 'Artifact')}"},
                        "uri": f"{self.folder}/out/{name}",
                    }
                ]
            }
            for name in artifacts
        }
        parameters = {name: {"outputFile": f"{self.folder}/out/{name}"} for name in small}
        outputs = {
            "artifacts": declared,
            "parameters": parameters,
            "outputFile": str(self.output),
        }
        return {"inputs": {"parameterValues": values}, "outputs": outputs}

    def run(
        self,
        call: dict[str, Any],
        kubeflow: dict[str, Any] | None = None,
        *,
        common: dict[str, Any] | None = None,
        artifacts: tuple[str, ...] = (),
        small: tuple[str, ...] = (),
        code: int = 0,
        run_id: str = "run-1",
        variables: dict[str, str] | None = None,
        **given: Any,
    ) -> Any:
        """Run a task; gives its executor output, None if it wrote none.

        ``kubeflow`` and ``common`` are what its component says.
        """
        self.output.unlink(missing_ok=True)
        call = json.loads(json.dumps(call), parse_int=float)  # as KFP has it
        request = {"do": call.pop("do", "step"), "pipeline": "p", "run_id": run_id}
        steps = {call["step"]: {}} if "step" in call else {}
        request |= {**(common or {}), "kubeflow": {"steps": steps, **(kubeflow or {})}}
        executor_input = json.dumps(self.input(call, artifacts, small, given))
        done = subprocess.run(
            [sys.executable, "-m", "levada.kubeflow", json.dumps(request), executor_input],
            cwd=PROJECT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(levada.__file__).parents[1]),
                "LEVADA_STORE": str(self.store),
                **(variables or {}),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said = done.stdout + done.stderr
        assert done.returncode == code, self.said
        return json.loads(self.output.read_text()) if self.output.exists() else None

    def records(self, node: str, run_id: str = "run-1") -> list[dict[str, Any]]:
        folder = self.store / "runs" / "p" / run_id / node
        return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)


def step(key: str, node: str = "", more: dict[str, Any] | None = None, **sources: str) -> Any:
    """What the call of a step says."""
    own = {"node": node} if node else {}
    return {"step": f"tasks:{key}", **own, "sources": sources, **(more or {})}


def decide(node: str, expression: str, **more: Any) -> Any:
    """What the request of a decision says."""
    return {"do": "decide", "node": node, "expression": expression, **more}


def items(node: str, *loops: str, **more: Any) -> Any:
    """What the request of a list of items says."""
    return {"do": "items", "node": node, "loops": [{"for": loop} for loop in loops], **more}


def returned(**outputs: str) -> Any:
    """What the request of the pipeline's outputs says."""
    return {"do": "outputs", "outputs": outputs}


CURVE = {"step": {"outputs": ["curve"]}}
REPORT = {"step": {"outputs": ["page", "curve", "model"]}}
CAUGHT = {"kubeflow": {"caught": True}}
NODES = ("raises", "killed", "later")
ARTIFACTS = ("page", "curve", "model", "metrics")


def test_outputs_are_artifacts_of_kubeflow(tasks: Tasks) -> None:
    found = tasks.run(step("report", auc="0.5"), common=REPORT, artifacts=ARTIFACTS)
    assert list(found) == ["artifacts"]
    shown = {name: each["artifacts"][0] for name, each in found["artifacts"].items()}
    assert list(shown) == list(ARTIFACTS)
    assert shown["metrics"]["metadata"] == {"auc": 0.5, "epoch": 2}
    assert Path(shown["page"]["uri"]).read_text() == "<h1>ok</h1>"
    assert shown["curve"]["metadata"]["confusionMatrix"] == {"rows": [1, 2]}
    assert shown["model"]["metadata"]["value"] == '[1.5, null, "ü"]'
    assert shown["model"]["metadata"]["uri"].startswith(f"file://{tasks.store}/blobs/")
    assert {Path(each["uri"]).parent for each in shown.values()} == {tasks.output.parent}


@pytest.mark.engine
def test_kubeflow_reads_what_is_written(tasks: Tasks, kubeflow: Kubeflow) -> None:
    """Strictly, by its own message."""
    answers = [
        tasks.run(step("report", auc="1"), common=REPORT, artifacts=ARTIFACTS),
        tasks.run(step("same", "s", value="2**70"), artifacts=("output", "metrics")),
        tasks.run(step("same", "t", value='float("nan")'), artifacts=("output",)),
        tasks.run(step("same", "u", value="None"), artifacts=("output",)),
        tasks.run(step("same", "v", value='"\\ud800"'), artifacts=("output",)),
        tasks.run(step("roc", "r"), common=CURVE, artifacts=("curve", "metrics")),
        tasks.run(decide("if_1", "1 > 2")),
        tasks.run(items("for_x", "x in [1, 2]")),
        tasks.run(returned(a="report", **{"0": "s"}), artifacts=("a", "output_0")),
    ]
    assert None not in answers
    assert kubeflow.outputs(answers) == [""] * len(answers)
    answers[0]["artifacts"]["metrics"]["artifacts"][0]["metadata"]["x"] = float("nan")
    assert kubeflow.outputs([answers[0], {"values": {}}]) != ["", ""]


def test_what_the_pipeline_returns_is_in_the_log(tasks: Tasks) -> None:
    """The client has it from there; as JSON in ASCII, which any value can be written as."""
    tasks.run(step("same", "s", value='"\\ud800"'), artifacts=("output",))
    tasks.run({**returned(a="s", b="s"), "returns": "tuple"}, artifacts=("a", "b"))
    assert tasks.said == 'the pipeline returned: ["\\ud800", "\\ud800"]\n'


def test_a_curve_is_what_the_ui_plots(tasks: Tasks) -> None:
    """Its thresholds are numbers, and what Levada says of it stays."""
    found = tasks.run(step("roc"), common=CURVE, artifacts=("curve",))
    metadata = found["artifacts"]["curve"]["artifacts"][0]["metadata"]
    thresholds = [point["confidenceThreshold"] for point in metadata["confidenceMetrics"]]
    assert thresholds == [sys.float_info.max, 0.5]
    assert metadata["type"] == "tasks:Curve"


@pytest.mark.parametrize(("classes", "is_shown"), [(50, True), (250, False)])
def test_plots_fit_in_what_kubeflow_hands_on(tasks: Tasks, classes: int, is_shown: bool) -> None:
    """A task that takes an artifact gets all of its metadata within an argument of 128 KiB."""
    call = step("large", points="20000", classes=str(classes))
    found = tasks.run(call, common=CURVE, artifacts=("curve",))
    metadata = found["artifacts"]["curve"]["artifacts"][0]["metadata"]
    assert ("confusionMatrix" in metadata) == is_shown
    assert ("more than KFP takes" in tasks.said) != is_shown
    assert "20,000 points, of which KFP is given" in tasks.said
    points = [point["confidenceThreshold"] for point in metadata["confidenceMetrics"]]
    assert 300 < len(points) < 1000
    assert (points[0], points[-1], metadata["note"]) == (1, 1 - 19999 / 20000, 1)
    assert len(json.dumps(metadata)) < 52 * 1024


def test_names_of_kubeflows_own_are_left_to_it(tasks: Tasks) -> None:
    """Its UI shows no metrics of an artifact whose `display_name` is a number."""
    call = step("large", points="1", classes="1")
    found = tasks.run(call, common=CURVE, artifacts=("curve", "metrics"))
    metadata = found["artifacts"]["metrics"]["artifacts"][0]["metadata"]
    assert list(metadata) == ["auc", "display_name__", "display_name_", "store_session_info_"]
    assert "`display_name` of `metrics` is `display_name__` in KFP" in tasks.said


def test_what_is_logged_is_one_artifact(tasks: Tasks) -> None:
    found = tasks.run(step("logs", "l", size="5000"), artifacts=("page", "logged"))
    logged = found["artifacts"]["logged"]["artifacts"][0]["metadata"]
    assert logged["notes"]["value"] == '["\N{FULLWIDTH DOLLAR SIGN}(A)", 5000]'
    assert logged["page"]["uri"].startswith("file://")
    assert logged["page"]["size"] == 5005


def test_a_page_is_shown_however_large_it_is(tasks: Tasks) -> None:
    found = tasks.run(step("same", "n", value='"x" * 5000'), artifacts=("output",))
    assert not Path(found["artifacts"]["output"]["artifacts"][0]["uri"]).exists()
    TYPES["output"] = "Markdown"
    try:
        text = '"x" * 5000 + "\\ud800"'
        found = tasks.run(step("same", "m", value=text), artifacts=("output",))
    finally:
        del TYPES["output"]
    shown = found["artifacts"]["output"]["artifacts"][0]
    assert Path(shown["uri"]).read_text() == "x" * 5000 + "?"


def test_a_loop_over_nothing_has_an_item_for_which_nothing_is_done(tasks: Tasks) -> None:
    loop = items("for_x", "x in []")
    never_empty = {"kubeflow": {"never_empty": True}}
    assert tasks.run(loop)["parameterValues"] == {"Output": []}
    assert tasks.run(loop | never_empty)["parameterValues"] == {"Output": ["none"]}
    before = sorted(tasks.store.rglob("*"))
    given: dict[str, Any] = {"kubeflow": {"item": "i"}, "i": "none"}
    call = step("same", more={"loops": loop["loops"]})
    found = tasks.run(call, small=("output",), artifacts=("all",), **given)
    assert found["parameterValues"] == {"output": ""}
    assert found["artifacts"]["all"]["artifacts"][0]["uri"].endswith("/all")
    decided = tasks.run(decide("if_1", "x > 1", loops=loop["loops"]), **given)
    assert decided == {"parameterValues": {"Output": "otherwise"}}
    inner = items("for_y", "x in []", "y in x")
    assert tasks.run(inner, **given) == {"parameterValues": {"Output": []}}
    assert tasks.run(inner | never_empty, **given) == {"parameterValues": {"Output": ["none"]}}
    end = {"item": "i", "role": "end", "unless": ["same"]}
    assert tasks.run({"do": "check", "node": "try_1"}, end, i="none") == {}
    assert sorted(tasks.store.rglob("*")) == before


def test_what_is_too_large_for_a_list_of_all_items_is_not_in_it(tasks: Tasks) -> None:
    """The bytes of a list are shared by its items; whoever wants a value reads it in the store."""
    more = {"loops": [{"for": "x in [1, 2, 1234567890]"}]}
    call = step("same", value="x", more=more | {"kubeflow": {"collected": {"output": 30}}})
    for index, text in enumerate(["1", "2", ""]):
        found = tasks.run(call, {"item": "i"}, small=("output",), i=str(index))
        assert found["parameterValues"] == {"output": text}
    assert [record["map_index"] for record in tasks.records("same")] == [[0], [1], [2]]


def test_decisions_and_items_are_parameters(tasks: Tasks) -> None:
    tasks.run(step("same", value="[3, 4]"))
    given = {"parameterValues": {"Output": "then"}}
    assert tasks.run(decide("if_1", "same[1] == 4")) == given
    loops = [{"for": "x in same", "where": ["x > 3"]}]
    found = tasks.run({"do": "items", "node": "for_x", "loops": loops})
    assert found == {"parameterValues": {"Output": ["0"]}}


def test_an_inner_loop_lists_within_the_item_of_the_outer_one(tasks: Tasks) -> None:
    call = items("for_y", "x in [[1], [2, 3]]", "y in x")
    found = tasks.run(call, {"item": "levada-index"}, **{"levada-index": "1"})
    assert found == {"parameterValues": {"Output": ["1.0", "1.1"]}}


def test_a_call_says_which_step_it_is_of(tasks: Tasks) -> None:
    """Containers are shared; the node is called as the function where nothing else is said."""
    steps = {"tasks:same": {"code": "sha256:0", "imports": ["numpy"]}, "tasks:raises": {}}
    known = {"steps": steps}
    given = tasks.run(step("same", value="3"), known, small=("output",))
    assert given == {"artifacts": {}, "parameterValues": {"output": "3"}}
    tasks.run(step("same", "same_2", value="same"), known)
    tasks.run(step("roc"), known, code=2)
    assert "knows no step tasks:roc" in tasks.said
    assert [tasks.records(node)[0]["step"] for node in ("same", "same_2")] == ["tasks:same"] * 2


@pytest.mark.parametrize(
    ("call", "kubeflow", "message"),
    [
        ({"do": "check", "node": "n", "unles": []}, {}, "there is no field `unles`"),
        (
            {"do": "check", "node": 1},
            {},
            "the field `node` wants a string without surrogates and NUL, not 1",
        ),
        ({"do": "check", "node": "n"}, {"caught": 1}, "`kubeflow.caught` wants true or false"),
        ({"do": "check", "node": "n"}, {"role": "r"}, "`kubeflow.role` wants one of stage,"),
        (
            {"do": "check", "node": "n"},
            {"ordered": [["a"]]},
            "`kubeflow.ordered` wants a list of objects with `depth` and `nodes`",
        ),
        ({"do": "check", "node": "n"}, {"once": True}, "there is no field `kubeflow.once`"),
    ],
)
def test_a_request_that_means_nothing(
    tasks: Tasks, call: dict[str, Any], kubeflow: dict[str, Any], message: str
) -> None:
    tasks.run(call, kubeflow, code=2)
    assert message in tasks.said


def test_a_failure_is_one(tasks: Tasks) -> None:
    assert tasks.run(step("raises", text='"no"'), code=1) is None
    assert [record["status"] for record in tasks.records("raises")] == ["failed"]


def test_what_comes_after_a_failure_was_not_reached(tasks: Tasks) -> None:
    """It has no record of its own: it is not what failed."""
    tasks.run(step("raises", text='"no"'), code=1)
    tasks.run(step("same", value="raises"), code=1)
    assert "not reached" in tasks.said
    assert tasks.records("same") == []


def test_a_caught_failure_is_only_in_its_record(tasks: Tasks) -> None:
    found = tasks.run(step("raises", text='"no"', more=CAUGHT), artifacts=("output",))
    assert found["artifacts"]["output"]["artifacts"][0]["metadata"] == {}  # for who takes it
    assert [record["status"] for record in tasks.records("raises")] == ["failed"]
    decided = tasks.run(decide("try_1.except", 'failed("raises")'))
    assert decided == {"parameterValues": {"Output": "then"}}


def test_a_caught_failure_is_retried_first(tasks: Tasks) -> None:
    more = {"kubeflow": {"caught": True, "retries": 2}}
    for code in (1, 1, 0):
        tasks.run(step("raises", text='"no"', more=more), code=code)
    assert len(tasks.records("raises")) == 3


def test_a_permanent_one_is_not(tasks: Tasks) -> None:
    more = {"kubeflow": {"caught": True, "retries": 2}}
    tasks.run(step("raises_for_good", "r", more=more))
    assert len(tasks.records("r")) == 1


def test_a_retry_after_a_permanent_error_runs_nothing(tasks: Tasks) -> None:
    """KFP retries all the same. After its last attempt only a person can have asked for one."""
    for code, is_run in ((65, True), (65, False), (65, False), (65, True)):
        tasks.run(step("raises_for_good", "r", {"kubeflow": {"retries": 2}}), code=code)
        assert ("Traceback" in tasks.said) == is_run
        assert ("not run again: attempt" in tasks.said) != is_run
    found = tasks.records("r")
    assert [record["attempt"] for record in found] == [1, 2, 3, 4]
    assert {record["error"]["message"] for record in found} == {"no use"}
    for _ in range(2):
        call = step("raises", "s", {"kubeflow": {"retries": 1}}, text='"no"')
        tasks.run(call, code=1)
    assert "Traceback" in tasks.said


def test_what_is_small_is_a_parameter(tasks: Tasks) -> None:
    """As JSON in which nothing is replaced; what is large is read from the store."""
    for text, expected in (("5", "5"), ('"$(A) {{b}}"', '"\\u0024(A) \\u007b{b}}"')):
        node = f"n{len(text)}"
        given = tasks.run(step("same", node, value=text), small=("output",))
        assert given["parameterValues"] == {"output": expected}
        taken = tasks.run(decide("d", f"{node} == {text}"))
        assert taken["parameterValues"] == {"Output": "then"}
    given = tasks.run(step("same", "large", value='"x" * 5000'), small=("output",))
    assert given["parameterValues"] == {"output": ""}
    cut = {"kubeflow": {"unless": ["raises"], "caught": True}}
    tasks.run(step("raises", text='"no"', more=CAUGHT))
    found = tasks.run(step("same", "later", cut), small=("output",))
    assert found == {"parameterValues": {"output": ""}}


def test_nothing_is_replaced_in_metadata(tasks: Tasks) -> None:
    """Another task is given it in an argument."""
    given = tasks.run(step("same", "n", value='["$(A)", "{{{b}}"]'), artifacts=("output",))
    shown = given["artifacts"]["output"]["artifacts"][0]["metadata"]["value"]
    assert shown == '["\N{FULLWIDTH DOLLAR SIGN}(A)", "{ { {b}}"]'


def test_an_input_is_what_kubeflow_gives(tasks: Tasks) -> None:
    """Without a look at the store, and with the same digest; in a loop it is the store's."""
    tasks.run(step("same", "first", value="[7]"))
    takes = {"takes": {"value": "parameter"}}
    tasks.run(step("same", "a", value="nothing"), takes, value="[7]")
    tasks.run(step("same", "b", value="first"), takes, value="")
    loop = step("same", "c", {"loops": [{"for": "x in [1]"}]}, value="first")
    item = {"levada-index": "0", "value": "[8]"}
    tasks.run(loop, {**takes, "item": "levada-index"}, **item)
    given = [tasks.records(node)[0]["inputs"]["value"] for node in "abc"]
    assert [one["digest"] for one in given] == [given[0]["digest"]] * 3


def test_a_killed_step_is_caught_too(tasks: Tasks) -> None:
    tasks.run(step("is_killed", "killed", CAUGHT))
    decided = tasks.run(decide("try_1.except", 'failed("killed")'))
    assert decided == {"parameterValues": {"Output": "then"}}


def test_failures_are_caught_in_a_bucket(tasks: Tasks, s3: Bucket) -> None:
    """The task forks before it opens the store: a client that was used would hang in the child."""
    variables = {**s3.environment, "LEVADA_STORE": s3.url, "LEVADA_BLOB_CACHE": str(tasks.folder)}
    more = {"kubeflow": {"caught": True, "retries": 2}}
    for code in (1, 1, 0):
        tasks.run(step("raises", text='"no"', more=more), code=code, variables=variables)
    tasks.run(step("is_killed", "killed", CAUGHT), variables=variables)
    cut = {"kubeflow": {"unless": ["raises"], "caught": True}}
    assert tasks.run(step("same", "later", cut), variables=variables) == {}
    decided = tasks.run(decide("try_1.except", 'failed("killed")'), variables=variables)
    assert decided == {"parameterValues": {"Output": "then"}}
    found = [records.attempts(open_store(s3.url), "p", "run-1", name, None) for name in NODES]
    assert found == [[1, 2, 3], [1], []]


@pytest.mark.parametrize(
    ("call", "output"),
    [
        (step("nothing", "later"), {}),
        (decide("later", "True"), {"parameterValues": {"Output": "neither"}}),
        (items("later", "x in [1]"), {"parameterValues": {"Output": []}}),
    ],
)
def test_what_a_failure_cuts_off_does_nothing(
    tasks: Tasks, call: dict[str, Any], output: dict[str, Any]
) -> None:
    tasks.run(step("raises", text='"no"', more=CAUGHT))
    assert tasks.run(call | {"kubeflow": {"unless": ["raises"], "caught": True}}) == output
    assert tasks.records("later") == []


def test_an_end_fails_if_something_before_it_failed(tasks: Tasks) -> None:
    end = {"do": "check", "node": "try_1", "kubeflow": {"unless": ["close"]}}
    tasks.run(end, {"role": "end"})
    tasks.run(step("raises", "close", text='"no"'), code=1)
    tasks.run(end, {"role": "end"}, code=65)


def test_parameters_are_as_they_were_given(tasks: Tasks) -> None:
    kinds = {"count": "int", "rate": "float", "sizes": "list[int]", "table": "json"}
    given = {"count": 3.0, "rate": 2, "sizes": [1.0, 2.0], "table": '{"z": 1, "a": [1.5, 2]}'}
    tasks.run(step("same", value="params.table"), {"parameters": kinds}, **given)
    run = json.loads((tasks.store / "runs" / "p" / "run-1" / "run.json").read_text())
    exact = {"count": 3, "rate": 2.0, "sizes": [1, 2], "table": {"z": 1, "a": [1.5, 2]}}
    assert json.dumps(run["parameters"]["display"]) == json.dumps(exact)


def test_escaped_text_arrives_as_it_was(tasks: Tasks) -> None:
    tasks.run(step("same", value='"%7B{$.x}} %24(HOME) %257B 5%"'))
    text = "{{$.x}} $(HOME) %7B 5%"
    found = tasks.run(decide("if_1", f"same == {kubeflow_escaped(text)}"))
    assert found == {"parameterValues": {"Output": "then"}}


def test_what_looks_escaped_is_read_back_once(tasks: Tasks) -> None:
    """Of the call, and not at all of a parameter."""
    kinds = {"parameters": {"given": "str"}}
    call = step("same", value='f"%257B%2524%2525 {params.given}"')
    found = tasks.run(call, kinds, small=("output",), given="%7B%24%25")
    assert found == {"artifacts": {}, "parameterValues": {"output": '"%7B%24%25 %7B%24%25"'}}


def kubeflow_escaped(text: str) -> str:
    return '"' + text.replace("%", "%25").replace("{{", "%7B{").replace("$(", "%24(") + '"'


def test_the_run_is_the_one_that_the_pod_says(tasks: Tasks) -> None:
    """A cluster does not fill in the placeholder; the pod's label is in the environment."""
    placeholder = "{{$.pipeline_job_uuid}}"
    tasks.run(step("nothing", "n"), code=2, run_id=placeholder)
    assert "which run this is" in tasks.said
    variables = {"LEVADA_RUN_ID": "run-1"}
    tasks.run(step("nothing", "n"), run_id=placeholder, variables=variables)
    assert [record["run_id"] for record in tasks.records("n")] == ["run-1"]


def test_secrets_are_masked_for_people_and_not_for_other_tasks(tasks: Tasks) -> None:
    for run_id, hit in (("run-1", False), ("run-2", True)):
        found = tasks.run(
            step("place"),
            common={"step": {"outputs": ["table", "page"]}, "secrets": ["SCHEMA"]},
            artifacts=("output", "page"),
            small=("table",),
            run_id=run_id,
            variables={"SCHEMA": "prod"},
        )
        assert found["parameterValues"] == {"table": '"prod.customers"'}
        assert "prod." not in json.dumps(found["artifacts"])
        assert (tasks.folder / "out" / "page").read_text() == "<h1>***.customers</h1>"
        (record,) = tasks.records("place", run_id)
        assert record["cache"]["hit"] is hit
        assert record["outputs"]["table"]["display"] == "***.customers"
    (entry,) = (tasks.store / "cache").rglob("*.json")
    assert "prod." not in entry.read_text()
    digest = json.loads(entry.read_text())["outputs"]["table"]["artifact"]["digest"]
    assert open_store(str(tasks.store)).read_blob(digest) == b'"prod.customers"'


def test_a_missing_parameter_is_an_error(tasks: Tasks) -> None:
    tasks.run(step("nothing", "n"), {"parameters": {"depth": "int"}}, code=2)
    assert "was not given depth" in tasks.said


def test_an_artifact_is_where_the_launcher_looks_for_it() -> None:
    """It fails on any URI that is of no bucket, and fetches what is in another one than KFP's."""
    own = {"name": "a", "uri": "minio://mlpipeline/v2/a"}
    report = kubeflow.Report({"outputs": {"artifacts": {"a": {"artifacts": [own]}}}}, {}, None)
    found = report.entry("a", {"uri": "s3://b/c", "digest": "d", "type": "t", "size": 1})
    (entry,) = found["artifacts"]
    assert entry["uri"] == own["uri"]
    assert entry["metadata"] == {"uri": "s3://b/c", "digest": "d", "type": "t", "size": 1}


class Program:
    """The tasks of one container step in a run of its own, but for the program itself."""

    def __init__(self, tasks: Tasks, run_id: str, text: str = "ab") -> None:
        part = {"command": ["/bin/count"], "args": None, "outputs": {"n": "int"}}
        self._common = {"step": {"settings": {"image": "tools:1"}, "container": part}}
        self._sources = {"text": json.dumps(text)}
        self._tasks, self._run_id = tasks, run_id
        self.given = tasks.folder / "given" / "text"

    def stage(self) -> str:
        """Whether the program has to run."""
        common = {**self._common, "stage": True, "look_up": True}
        files = {"text": str(self.given)}
        own = {"program": "count-program", "files": files}
        found = self._run("stage", own, common=common, artifacts=("text",))
        return str(found["parameterValues"]["Output"])

    def collect(self, written: str) -> None:
        """Take what the program wrote."""
        file = self._tasks.folder / "n"
        file.write_text(written)
        self._run("collect", {"files": {"n": str(file)}})

    def end(self, status: dict[str, Any] | None = None) -> None:
        """What runs when the program is over, however it ended."""
        own = {} if status is None else {"levada-status": status}
        self._run("failure", {"program": "count-program"}, **own)

    def publish(self, code: int = 0) -> Any:
        """What KFP is given of the step's outputs."""
        return self._run("publish", {}, small=("output",), code=code)

    def records(self) -> list[dict[str, Any]]:
        """Those of all attempts."""
        folder = self._tasks.store / "runs" / "p" / self._run_id / "count"
        return [json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))]

    def log(self) -> str:
        """That of the first attempt."""
        folder = self._tasks.store / "runs" / "p" / self._run_id / "count"
        return (folder / "1" / "log").read_text()

    def _run(self, role: str, own: dict[str, Any], **more: Any) -> Any:
        steps = {"tools:count": {"code": "sha256:1"}}
        call = {"step": "tools:count", "sources": self._sources, "kubeflow": own}
        kubeflow = {"role": role, "steps": steps}
        return self._tasks.run(
            call, kubeflow, run_id=self._run_id, **{"common": self._common, **more}
        )


def test_a_program_runs_unless_the_cache_has_its_outputs(tasks: Tasks) -> None:
    first = Program(tasks, "run-1")
    assert first.stage() == "missed"
    assert first.given.read_text() == "ab"
    assert first.records() == []
    first.collect("2")
    first.end({"state": "SUCCEEDED"})
    assert first.publish() == {"artifacts": {}, "parameterValues": {"output": "2"}}
    assert [record["cache"]["hit"] for record in first.records()] == [False]
    first.given.unlink()
    again = Program(tasks, "run-2")
    assert again.stage() == "cached"
    assert not again.given.exists()
    assert again.publish() == {"artifacts": {}, "parameterValues": {"output": "2"}}
    assert [record["cache"]["hit"] for record in again.records()] == [True]
    assert Program(tasks, "run-3", "abc").stage() == "missed"


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ({"state": "FAILED", "error": {"message": "exit status 3\n"}}, " (exit status 3)"),
        ({"state": "FAILED", "error": None}, ""),
        (None, ""),
    ],
)
def test_a_program_that_fails_has_a_record(
    tasks: Tasks, status: dict[str, Any] | None, end: str
) -> None:
    """With what KFP says of it; not all of its versions say something."""
    program = Program(tasks, "run-1")
    assert program.stage() == "missed"
    program.end(status)
    (record,) = program.records()
    said = f"the program failed: KFP's log of the task `count-program` has what it printed{end}"
    assert (record["status"], record["error"]["type"]) == ("failed", "ProgramError")
    assert record["error"]["message"] == program.log().strip() == said
    assert record["inputs"]["text"]["tree"] == "ab"
    program.publish(code=1)


def test_a_failure_after_the_program_has_one_record(tasks: Tasks) -> None:
    program = Program(tasks, "run-1")
    program.stage()
    with pytest.raises(AssertionError):
        program.collect("many")
    program.end({"state": "FAILED"})
    (record,) = program.records()
    assert record["error"]["type"] == "ReturnError"
