"""`levada_records.lineage`: what results were made from, and what used them, in real runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import levada_records
import pytest
from levada.store import Store, open_store
from levada.stores.transfer import copy
from levada_records.index import Index, open_index
from levada_records.lineage import (
    Lineage,
    Tracer,
    UnknownArtifact,
    lineage_json,
    mermaid,
    openlineage,
)
from levada_records.lineage.plan_loops import PlanLoops
from levada_records.lineage.run_links import step_of_path

from tests.engines.object_stores.servers import Bucket
from tests.records.compared_project import ComparedProject

SCHEMA = json.loads((Path(levada_records.__file__).parent / "schemas" / "lineage.json").read_text())

SOURCE = """
from typing import NamedTuple

from levada import pipeline, step


class Split(NamedTuple):
    train: list[int]
    test: list[int]


@step
def load(rows: int) -> list[int]:
    return list(range(rows))


@step
def split(data: list[int]) -> Split:
    return Split(data[:-20], data[-20:])


@step
def fit(data: list[int], rate: float) -> float:
    return sum(data) * rate


@step
def best(scores: list[float]) -> float:
    return max(scores)


@step
def test(model: float, data: list[int]) -> float:
    return model + len(data)


@step
def count(data: list[int]) -> int:
    if len(data) < 3:
        raise ValueError("too few rows")
    return len(data)


@pipeline
def train(rows: int = 100, rates: list[float] = [0.1, 0.2]) -> float:
    parts = split(load(rows))
    models = [fit(parts.train, rate) for rate in rates]
    return test(best(models), parts.test)


@pipeline
def report(rows: int = 100) -> int:
    return count(load(rows))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ComparedProject:
    project = ComparedProject(tmp_path_factory.mktemp("lineage"))
    project.write("pipeline.py", SOURCE)
    project.run("t1", pipeline="train")
    project.run("t2", pipeline="train")
    project.run("r1", pipeline="report")
    project.run("r2", pipeline="report", rows=2)
    return project


@pytest.fixture(autouse=True)
def _own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_INDEX_CACHE", str(tmp_path / "index"))


@pytest.fixture
def index(made: ComparedProject) -> Iterator[Index]:
    with open_index(made.store) as opened:
        yield opened


@pytest.fixture
def mine(made: ComparedProject, tmp_path: Path) -> ComparedProject:
    """The same runs in a store that a test may change."""
    shutil.copytree(made.url, tmp_path / "store")
    project = ComparedProject(tmp_path / "project")
    project.url = str(tmp_path / "store")
    return project


def of_step(index: Index, run: str, node: str, item: int | None = None, **options: Any) -> Lineage:
    pipeline = "train" if run.startswith("t") else "report"
    found = _read(index.store, pipeline, run)
    return checked(Tracer(index.store, index).of_step(found, found.step(node, item)), **options)


def _read(store: Store, pipeline: str, run: str) -> Any:
    from levada_records.runs import read_run

    return read_run(store, pipeline, run)


def checked(tracer: Tracer, **options: Any) -> Lineage:
    found = tracer.follow(**options)
    jsonschema.validate(lineage_json(found), SCHEMA)
    return found


def ids(edges: dict[Any, list[Any]]) -> dict[str, list[str]]:
    """The edges of a lineage, as `t1/fit[0]`."""

    def name(key: Any) -> str:
        _, run, node, item = key
        return f"{run}/{node}" + (f"[{'.'.join(map(str, item))}]" if item else "")

    return {name(key): sorted(map(name, others)) for key, others in edges.items()}


def test_up_within_a_run(index: Index) -> None:
    assert ids(of_step(index, "t1", "test", down=False).up) == {
        "t1/test": ["t1/best", "t1/split"],
        "t1/best": ["t1/fit[0]", "t1/fit[1]"],
        "t1/split": ["t1/load"],
        "t1/fit[0]": ["t1/split"],
        "t1/fit[1]": ["t1/split"],
        "t1/load": [],
    }


def test_a_run_without_a_plan_is_linked_too(mine: ComparedProject) -> None:
    """Those of Airflow and Kubeflow have none: which step is in which loop is told by results."""
    path = Path(mine.url, "runs", "train", "t1", "run.json")
    document = json.loads(path.read_text())
    path.chmod(0o644)
    path.write_text(json.dumps({**document, "plan": None}))
    with open_index(mine.store) as opened:
        test_up_within_a_run(opened)
        used = ids(of_step(opened, "t1", "fit", 1, up=False).down)
        assert used["t1/fit[1]"] == ["t1/best", "t2/fit[1]"]
        assert used["t1/best"] == ["t1/test", "t2/best"]


def test_depth_counts_steps(index: Index) -> None:
    found = of_step(index, "t1", "test", down=False, depth=1)
    assert ids(found.up) == {"t1/test": ["t1/best", "t1/split"]}
    assert len(found.steps) == 3


def test_a_step_of_a_loop(index: Index) -> None:
    found = of_step(index, "t1", "fit", 1)
    assert ids(found.up)["t1/fit[1]"] == ["t1/split"]
    assert "t1/fit[0]" not in ids(found.down)
    assert ids(found.down)["t1/fit[1]"] == ["t1/best", "t2/fit[1]"]


def test_an_output_of_several(index: Index) -> None:
    run = _read(index.store, "train", "t1")
    tracer = Tracer(index.store, index).of_step(run, run.step("split"), "test")
    (artifacts,) = tracer.follow(up=False).roots.values()
    assert [each["digest"] for each in artifacts] == [
        run.step("test").record["inputs"]["data"]["digest"]
    ]


def test_results_of_the_cache_lead_to_the_run_that_made_them(index: Index) -> None:
    up = ids(of_step(index, "t2", "test", down=False).up)
    assert up["t2/test"] == ["t1/test", "t2/best", "t2/split"]
    assert up["t2/load"] == ["t1/load"]


def test_across_pipelines(index: Index) -> None:
    up = ids(of_step(index, "r1", "count", down=False).up)
    assert up == {"r1/count": ["r1/load"], "r1/load": ["t1/load"], "t1/load": []}
    down = ids(of_step(index, "t1", "load", up=False).down)
    assert down["t1/load"] == ["r1/load", "t1/split", "t2/load"]
    assert down["r1/load"] == ["r1/count"]


def test_what_a_run_returned(index: Index) -> None:
    """`best` and one `fit` gave the same number; the plan says which of them is meant."""
    found = checked(Tracer(index.store, index).of_run(_read(index.store, "train", "t1")))
    assert [key[2] for key in found.roots] == ["test"]


def test_a_run_that_returned_nothing(index: Index) -> None:
    found = checked(Tracer(index.store, index).of_run(_read(index.store, "report", "r2")))
    assert [key[2] for key in found.roots] == ["count"]
    assert ids(found.up)["r2/count"] == ["r2/load"]


def test_by_digest(index: Index) -> None:
    digest = _read(index.store, "train", "t1").step("load").record["returns"]["digest"]
    for text in (digest, digest[:20], digest[7:19]):
        found = checked(Tracer(index.store, index).of_digest(text))
        assert [(key[1], key[2]) for key in found.roots] == [("t1", "load")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sha256:" + "0" * 64, "no step of a run"),
        ("sha256:0000000", "no run in the index"),
        ("sha256:xyz", "is not a digest"),
        ("%", "is not a digest"),
    ],
)
def test_a_digest_of_nothing(index: Index, text: str, says: str) -> None:
    with pytest.raises(UnknownArtifact, match=says):
        Tracer(index.store, index).of_digest(text)


def test_an_output_that_is_not_there(index: Index) -> None:
    run = _read(index.store, "train", "t1")
    with pytest.raises(UnknownArtifact, match="stored no output `nothing`; it has train, test"):
        Tracer(index.store, index).of_step(run, run.step("split"), "nothing")


def test_the_same_content_from_outside_of_the_run(mine: ComparedProject) -> None:
    """An input that no step of the run gave is followed by its content."""
    record = mine.read("r1", "report").step("count").record
    assert record is not None
    given = record["inputs"]["data"] | {"source": "data"}
    mine.change("runs/report/r1/count/1/record.json", inputs={"data": given})
    shutil.rmtree(Path(mine.url, "runs/report/r1/load"))
    outcome = mine.read("r1", "report").outcome
    assert outcome is not None
    steps = [each for each in outcome["steps"] if each["node"] != "load"]
    mine.change("runs/report/r1/outcome.json", steps=steps)
    with open_index(mine.store) as index:
        assert ids(of_step(index, "r1", "count", down=False).up)["r1/count"] == ["t1/load"]
        down = ids(of_step(index, "t1", "load", up=False).down)
        assert "r1/count" in down["t1/load"]


def test_a_circle_ends(mine: ComparedProject) -> None:
    """No run can make one; a store that somebody edited can have one."""
    record = mine.read("t1", "train").step("load").record
    assert record is not None
    assert record["cache"] is not None
    origin = {"run_id": "t2", "node": "load", "map_index": None, "attempt": 1}
    cache = record["cache"] | {"hit": True, "from": origin}
    mine.change("runs/train/t1/load/1/record.json", cache=cache)
    with open_index(mine.store) as index:
        found = of_step(index, "t1", "test")
        assert ids(found.up)["t1/load"] == ["t2/load"]
        assert ids(found.up)["t2/load"] == ["t1/load"]
        assert mermaid(found)


def test_an_origin_that_is_gone(mine: ComparedProject) -> None:
    shutil.rmtree(Path(mine.url, "runs/train/t1"))
    with open_index(mine.store) as index:
        found = of_step(index, "t2", "test", down=False)
    assert ids(found.up)["t2/load"] == []
    assert found.more == ["run t1, whose result the cache gave, is not in the store any more"]


def test_damaged_records_are_said_and_hide_nothing_else(mine: ComparedProject) -> None:
    Path(mine.url, "runs/train/t1/split/1/record.json").write_text("{")
    with open_index(mine.store) as index:
        found = of_step(index, "t1", "test", down=False)
    assert "t1/best" in ids(found.up)["t1/test"]
    assert any("is damaged" in each for each in found.more)


def test_paths_of_records() -> None:
    assert step_of_path("runs/a%20b/r/fit/[0.2]/1/record.json") == ("a b", "r", "fit", (0, 2))
    for path in (
        "",
        "runs/a/r/run.json",
        "runs/a/r/fit/[x]/1/record.json",
        "a/b/c/d/e/record.json",
    ):
        assert step_of_path(path) is None


# ---------------------------------------------------------------- forms


def test_mermaid(index: Index) -> None:
    assert re.sub(r"[0-9a-f]{12}", "…", mermaid(of_step(index, "r1", "count"))) == (
        "flowchart TD\n"
        '  subgraph r0["report r1"]\n'
        '    s0["count"]\n'
        '    s1["load"]\n'
        "  end\n"
        '  subgraph r1["train t1"]\n'
        '    s2["load"]\n'
        "  end\n"
        '  s1 -->|"list …"| s0\n'
        '  s2 -.->|"cached"| s1\n'
        "  style s0 stroke-width:3px\n"
    )


def test_mermaid_folds_large_loops(made: ComparedProject, mine: ComparedProject) -> None:
    shutil.copytree(made.folder, mine.folder, dirs_exist_ok=True)
    mine.run("t3", pipeline="train", rates=[round(0.01 * item, 2) for item in range(20)])
    with open_index(mine.store) as index:
        text = mermaid(of_step(index, "t3", "test", down=False))
    assert '"fit[…] (20 items)"' in text
    assert text.count("(20 items)") == 1


def test_many_artifacts_are_looked_for_at_once(
    made: ComparedProject, mine: ComparedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made.folder, mine.folder, dirs_exist_ok=True)
    mine.run("t3", pipeline="train", rates=[round(0.01 * item, 2) for item in range(20)])
    with open_index(mine.store) as index:
        at_once = of_step(index, "t3", "load")
        assert ids(at_once.up)["t3/load"] == ["t1/load"]
        found = ids(of_step(index, "t1", "load", up=False).down)
        assert found["t1/fit[0]"] == ["t1/best", "t2/fit[0]", "t3/fit[10]"]
        monkeypatch.setattr("levada_records.lineage.trace.MOST_QUERIES", 10**6)
        assert lineage_json(of_step(index, "t3", "load")) == lineage_json(at_once)


def test_names_cannot_break_out_of_mermaid(index: Index) -> None:
    found = of_step(index, "r1", "count")
    next(iter(found.steps.values())).label = 'x"] --> <b>\n;click'
    assert "x#quot;] --#gt; #lt;b#gt; ;click" in mermaid(found)


def test_openlineage(index: Index) -> None:
    events = [json.loads(line) for line in openlineage(of_step(index, "t1", "test", down=False))]
    assert [event["eventTime"] for event in events] == sorted(e["eventTime"] for e in events)
    jobs: dict[str, list[str]] = {}
    for event in events:
        jobs.setdefault(event["job"]["name"], []).append(event["eventType"])
    assert jobs["train"] == ["START", "COMPLETE"]
    assert jobs["train.fit"].count("START") == jobs["train.fit"].count("COMPLETE") == 2
    ended = next(
        e for e in events if e["job"]["name"] == "train.test" and e["eventType"] == "COMPLETE"
    )
    assert {each["name"] for each in ended["inputs"]} == {"train.best", "train.split.test"}
    assert [each["name"] for each in ended["outputs"]] == ["train.test"]
    parent = ended["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == events[0]["run"]["runId"]
    again = list(openlineage(of_step(index, "t1", "test", down=False)))
    assert [json.loads(line) for line in again] == events


def test_openlineage_of_a_failure(index: Index) -> None:
    events = [json.loads(line) for line in openlineage(of_step(index, "r2", "count"))]
    failed = [event for event in events if event["eventType"] == "FAIL"]
    assert [event["job"]["name"] for event in failed] == ["report.count", "report"]
    message = failed[0]["run"]["facets"]["errorMessage"]
    assert message["message"] == "ValueError: too few rows"
    assert "too few rows" in message["stackTrace"]


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@github.com:acme/churn.git", "https://github.com/acme/churn/blob/c0ffee/pipeline.py"),
        ("https://gitlab.com/a/b/c", "https://gitlab.com/a/b/c/blob/c0ffee/pipeline.py"),
        ("ssh://git@host/a/b.git", "https://host/a/b/blob/c0ffee/pipeline.py"),
        ("/srv/git/churn", None),
        (None, None),
    ],
)
def test_openlineage_says_where_the_code_is(
    mine: ComparedProject, remote: str | None, url: str | None
) -> None:
    git = {
        "commit": "c0ffee",
        "branch": "main",
        "dirty": False,
        "remote": remote,
        "diff": None,
        "untracked": [],
    }
    mine.change("runs/report/r2/load/1/record.json", git=git)
    with open_index(mine.store) as index:
        events = [json.loads(line) for line in openlineage(of_step(index, "r2", "load"))]
    of_load = next(event for event in events if event["job"]["name"] == "report.load")
    location = of_load["job"]["facets"].get("sourceCodeLocation")
    assert (location["url"] if location else None) == url


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.engine)])
def test_a_store_in_a_bucket(
    made: ComparedProject, index: Index, kind: str, request: pytest.FixtureRequest
) -> None:
    url = "memory://tests/lineage"
    if kind == "s3":
        bucket: Bucket = request.getfixturevalue("s3")
        url = bucket.url
    store = open_store(url)
    assert copy(made.store, store, lambda *_: None) == []
    with open_index(store) as there:
        assert lineage_json(of_step(there, "r1", "count")) == lineage_json(
            of_step(index, "r1", "count")
        )


def test_the_client_of_openlineage_takes_the_events(index: Index) -> None:
    """Each facet is one that its own classes know, in the version that it says."""
    client = Path(__file__).with_name("openlineage_client.py")
    for run, node in (("t1", "test"), ("r2", "count"), ("r1", "count")):
        lines = "".join(f"{line}\n" for line in openlineage(of_step(index, run, node)))
        done = subprocess.run(
            [sys.executable, str(client)], input=lines, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    broken = lines.replace('"programmingLanguage"', '"language"').replace("runId", "run_id")
    done = subprocess.run(
        [sys.executable, str(client)], input=broken, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1


COMPREHENSIONS = """
from dataclasses import dataclass

from levada import pipeline, step


@dataclass
class Fit:
    model: str
    depth: int


@step
def fit(depth: int) -> Fit:
    return Fit("m" * depth, depth)


@step
def score(model: str) -> float:
    return len(model) / 10


@step
def whole(fit: Fit) -> str:
    return fit.model


@step
def pair(model: str, score: float) -> float:
    return len(model) + score


@step
def number(i: int, fit: Fit) -> int:
    return i


@pipeline
def train(depths: list[int] = [1, 2, 3]) -> list[str]:
    fits = [fit(depth) for depth in depths]
    scores = [score(each.model) for each in fits]
    wholes = [whole(each) for each in fits if each.depth > 1]
    pairs = [pair(each.model, auc) for each, auc in zip(fits, scores)]
    numbers = [number(i, each) for i, each in enumerate(fits)]
    return wholes
"""


def test_items_of_comprehensions_lead_to_the_iterations_that_made_them(tmp_path: Path) -> None:
    """The maker is found by its result: `whole[0]` took `fit[1]`, for a condition left one out."""
    project = ComparedProject(tmp_path)
    project.write("pipeline.py", COMPREHENSIONS)
    project.run("t1", pipeline="train")
    with open_index(project.store) as opened:
        second = of_step(opened, "t1", "fit", 1)
        paired = of_step(opened, "t1", "pair", 2, down=False)
    assert ids(second.down) == {
        "t1/fit[1]": ["t1/number[1]", "t1/pair[1]", "t1/score[1]", "t1/whole[0]"],
        "t1/score[1]": ["t1/pair[1]"],
        "t1/whole[0]": [],
        "t1/pair[1]": [],
        "t1/number[1]": [],
    }
    assert ids(paired.up) == {
        "t1/pair[2]": ["t1/fit[2]", "t1/score[2]"],
        "t1/score[2]": ["t1/fit[2]"],
        "t1/fit[2]": [],
    }


@pytest.mark.parametrize(
    ("target", "items", "found"),
    [
        ("f", "fits", {"f": "fits"}),
        ("i, (f, n)", "enumerate(zip(fits, ns))", {"i": "", "f": "fits", "n": "ns"}),
        ("f, n", "pairs", {"f": "pairs", "n": "pairs"}),
        ("f,", "zip(*parts)", {"f": "zip(*parts)"}),
        ("n", "[score[f] for f in fits]", {"n": "score[f]"}),
        ("n", "[f.depth for f in fits]", {"n": "[f.depth for f in fits]"}),
        ("n", "(", {}),
    ],
)
def test_what_variables_of_loops_are_items_of(
    target: str, items: str, found: dict[str, str]
) -> None:
    body = [{"kind": "loop", "id": "for_f", "target": target, "items": items, "body": []}]
    assert PlanLoops({"body": body}).items == found


@pytest.mark.parametrize("plan", [None, [], {}, {"body": 3}, {"body": [1, {"kind": "loop"}]}])
def test_a_damaged_plan_hides_no_step(plan: object) -> None:
    assert PlanLoops(plan).around_both("a", "b") in (0, None)
