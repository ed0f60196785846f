"""Whole runs of `levada run` with their store in a bucket, where services and processes fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from levada import handover, records
from levada.log_reader import LogReader
from levada.request import StepRequest
from levada.store import Store, digest_of, open_store

from tests.engines.fault_proxy import (
    ACCESS_DENIED,
    INTERNAL_ERROR,
    SLOW_DOWN,
    Answer,
    CutAnswer,
    Delay,
    FaultProxy,
    LoseAnswer,
    Rule,
    fault_proxy,
)
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine

PIPELINE = """
import os
import time
from pathlib import Path

import numpy as np

from levada import log_artifact, log_metric, pipeline, step


@step
def make(count: int) -> np.ndarray:
    print(f"making {count}")
    log_metric("count", count)
    return np.arange(count, dtype=np.float64)


@step
def total(values: np.ndarray, power: int) -> float:
    time.sleep(0.3)
    log_artifact("powers", values[:2000] ** power)
    return float((values**power).sum())


@step
def collect(totals: list[float]) -> list[float]:
    return sorted(totals)


@pipeline
def sums(count: int = 400_000):
    values = make(count)
    return collect([total(values, power) for power in [1, 2, 3]])


@step(cache=False)
def talk(seconds: float) -> int:
    print(f"pid {os.getpid()}", flush=True)
    for number in range(int(seconds * 20)):
        print(f"line {number}", flush=True)
        time.sleep(0.05)
    return 1


@pipeline
def talking(seconds: float = 60.0):
    return talk(seconds)


def log_from_child(large: bool) -> None:
    log_metric("from_child", 1.0)
    log_artifact("child", os.urandom(100_000) if large else "small")


@step(cache=False)
def forking(data: np.ndarray, method: str, large: bool) -> int:
    from multiprocessing import get_context

    child = get_context(method).Process(target=log_from_child, args=(large,))
    child.start()
    child.join()
    return child.exitcode


@pipeline
def children(method: str, large: bool, count: int):
    return forking(make(count), method, large)


@step
def folder(megabytes: int) -> Path:
    path = Path(f"many-{megabytes}")
    path.mkdir()
    for number in range(50):
        (path / f"{number}.txt").write_text(f"file {number}")
    with (path / "large").open("wb") as file:
        for number in range(megabytes):
            file.write(number.to_bytes(4) * 262_144)
    return path


@step(cache=False)
def measured(path: Path) -> int:
    return sum(each.stat().st_size for each in path.iterdir())


@pipeline
def folders(megabytes: int):
    return measured(folder(megabytes))
"""


@dataclass
class Project:
    """A folder with the pipelines above and the environment of its commands."""

    folder: Path
    url: str
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "levada"), *words],
            cwd=self.folder,
            env=os.environ | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_run(self, pipeline: str, *words: str) -> subprocess.Popen[str]:
        target = f"pipeline.py:{pipeline}"
        return self.start("run", target, "--store", self.url, "--json", *words)

    def run(self, pipeline: str, *words: str) -> dict[str, Any]:
        """Run it to its end and return what the command says of it."""
        return _said(self.start_run(pipeline, *words))

    def records(self, pipeline: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the records of a run by node and index."""
        store = open_store(self.url)
        found: dict[str, dict[str, Any]] = {}
        for path, _ in store.walk(records.run_path(pipeline, run_id)):
            if path.endswith("/record.json"):
                record = json.loads(store.read(path))
                index = "".join(f"[{each}]" for each in record["map_index"] or ())
                found[record["node"] + index] = record
        return found


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode <= 1, err
    assert out, err
    said: dict[str, Any] = json.loads(out)
    return {**said, "stderr": err}


def _sums(count: int) -> list[float]:
    """Compute what the pipeline `sums` is to return."""
    return sorted(float(sum(each**power for each in range(count))) for power in (1, 2, 3))


@pytest.fixture
def project(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, with its store on VersityGW and all that is kept here in folders of the test."""
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "blob-cache"))
    monkeypatch.setenv("LEVADA_CACHE_DIR", str(tmp_path / "compiled"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pipeline.py").write_text(PIPELINE)
    return Project(folder, s3.url)


@pytest.fixture
def proxy(s3: Bucket, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy between the project's commands and VersityGW; this process goes through it too."""
    with fault_proxy(s3.port) as proxy:
        use(s3.through(proxy.port), monkeypatch)
        assert project.url == s3.url
        yield proxy


def _eventually(found: Callable[[], Any], seconds: float = 30) -> Any:
    """Ask until it is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return answer


# ---------------------------------------------------------------- several runs


def test_two_runs_at_once_are_both_right_and_share_the_cache(project: Project) -> None:
    processes = [project.start_run("sums", "--run-id", name) for name in ("one", "two")]
    said = [_said(process) for process in processes]
    assert [each["status"] for each in said] == ["succeeded"] * 2, said
    assert said[0]["outputs"] == said[1]["outputs"]
    assert said[0]["outputs"] == pytest.approx(_sums(400_000))
    assert set(project.records("sums", "one")) == set(project.records("sums", "two"))
    third = project.run("sums", "--run-id", "three")
    assert third["outputs"] == said[0]["outputs"]
    assert all(each["cache"]["hit"] for each in project.records("sums", "three").values())


def test_machines_that_keep_blobs_elsewhere_share_the_cache(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a machine keeps of the bucket is no data that a step has read."""
    # In the project, since what is read among temporary files is not looked at anyway.
    for name in ("one", "two"):
        monkeypatch.setenv("LEVADA_BLOB_CACHE", str(project.folder / name))
        said = project.run("sums", "--run-id", name)
        assert said["outputs"] == pytest.approx(_sums(400_000))
    for record in project.records("sums", "one").values():
        assert record["observed"]["files"] == {}
        assert record["warnings"] == []
    assert all(each["cache"]["hit"] for each in project.records("sums", "two").values())


# ---------------------------------------------------------------- logs


def _log_folder(pipeline: str, run_id: str, node: str) -> str:
    return records.attempt_path(pipeline, run_id, node, (), 1)


def _follow(reader: LogReader, seconds: float) -> str:
    """Read what is new for some seconds."""
    deadline = time.monotonic() + seconds
    text = ""
    while time.monotonic() < deadline:
        text += b"".join(reader.new()).decode()
        time.sleep(0.25)
    return text


def _numbers(log: str) -> list[int]:
    """Return the numbers that a step has printed; a kill may cut the last line."""
    lines = log[: log.rfind("\n")].splitlines()
    return [int(line[5:]) for line in lines if line.startswith("line ")]


def test_a_step_is_killed_while_its_log_is_uploaded(project: Project) -> None:
    """Its log can be followed; in the end it is whole, no part is left, and the record says how."""
    process = project.start_run("talking", "--run-id", "killed")
    store, folder = open_store(project.url), _log_folder("talking", "killed", "talk")
    reader = LogReader(store, folder)
    _eventually(lambda: "log.000001" in store.list(folder))
    followed = _follow(reader, 6)
    assert len([name for name in store.list(folder) if name.startswith("log.")]) >= 2
    os.kill(int(followed.split()[1]), signal.SIGKILL)
    said = _said(process)
    assert said["status"] == "failed"
    record = project.records("talking", "killed")["talk"]
    assert record["status"] == "failed"
    assert "SIGKILL" in record["error"]["message"]
    log = store.read(f"{folder}/log").decode()
    assert _numbers(log) == list(range(len(_numbers(log))))
    assert log.startswith(followed)
    assert followed + b"".join(reader.new()).decode() == log
    _eventually(lambda: store.list(folder) == ["log", "record.json"])


def test_a_run_is_killed_while_the_log_of_a_step_is_uploaded(project: Project) -> None:
    """Nothing of the run is left but the log, which is whole."""
    process = project.start_run("talking", "--run-id", "killed")
    store, folder = open_store(project.url), _log_folder("talking", "killed", "talk")
    _eventually(lambda: "log.000001" in store.list(folder))
    time.sleep(1)
    process.kill()
    process.communicate()
    _eventually(lambda: store.list(folder) == ["log"])
    log = store.read(f"{folder}/log").decode()
    assert _numbers(log) == list(range(len(_numbers(log))))
    assert len(_numbers(log)) > 50  # 20 a second for three of them
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.split()[1]), 0)


def test_a_task_of_another_engine_is_killed(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The uploader outlives `python -m levada`: the log is whole, and nothing is left here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    step = {"module": "pipeline", "function": "talk", "settings": {"cache": False}}
    place = {"pipeline": "talking", "run_id": "task", "node": "talk", "attempt": 1}
    request = {"do": "step", **place, "step": step, "inputs": {"seconds": 60.0}}
    store, folder = open_store(project.url), _log_folder("talking", "task", "talk")
    command = [sys.executable, "-m", "levada", json.dumps({**request, "store": project.url})]
    with subprocess.Popen(command, cwd=project.folder, stdout=subprocess.PIPE) as process:
        _eventually(lambda: "log.000001" in store.list(folder))
        process.kill()
        out, _ = process.communicate(timeout=60)
    _eventually(lambda: store.list(folder) == ["log", "started"])
    assert store.read(f"{folder}/log").startswith(out)
    _eventually(lambda: not list((tmp_path / "temporary").iterdir()))


def _stored_request(project: Project, store: Store, seconds: float) -> tuple[str, str]:
    """Store the request of an attempt as the driver does; return the orders and its folder."""
    step = {"module": "pipeline", "function": "talk", "source_roots": ["."]}
    given = {
        "pipeline": "talking",
        "run_id": "stored",
        "node": "talk",
        "store": project.url,
        "project": str(project.folder),
        "inputs": {"seconds": seconds},
        "step": {**step, "settings": {"cache": False}},
    }
    request = StepRequest.from_json(given)
    data = json.dumps(handover.content(request.as_json(), None)).encode()
    path = f"{request.folder}/request.json"
    store.prepare()
    store.write_once(path, data)
    orders = store.put_blob(json.dumps([[path, digest_of(data)]]).encode())
    return orders, request.folder


def test_the_attempt_of_a_pod_is_killed_while_its_log_is_uploaded(
    project: Project, tmp_path: Path
) -> None:
    store = open_store(project.url)
    orders, folder = _stored_request(project, store, 60)
    message = tmp_path / "termination-log"
    message.touch()
    own = {"LEVADA_STORE": project.url, "LEVADA_PROJECT": str(project.folder)}
    own["LEVADA_TERMINATION_LOG"] = str(message)
    command = [sys.executable, "-m", "levada.contained", "stored", orders]
    with subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE) as process:
        _eventually(lambda: "log.000002" in store.list(folder))
        followed = b"".join(LogReader(store, folder).new()).decode()
        os.kill(int(followed.split()[1]), signal.SIGKILL)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert json.loads(message.read_text())["lost"]["status"] == signal.SIGKILL
    log = store.read(f"{folder}/log")
    assert log == out
    assert log.decode().startswith(followed)
    _eventually(lambda: store.list(folder) == ["log", "request.json"])


# ---------------------------------------------------------------- a service that fails


def test_a_run_beside_a_service_that_fails_all_the_time(
    project: Project, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every fifth request fails in one of four ways, one takes 10 s: nothing is lost."""
    faults = (INTERNAL_ERROR, LoseAnswer(), SLOW_DOWN, CutAnswer(after=3))
    proxy.rules.append(Rule(Delay(10), method="PUT", path="blobs", first=2, times=1))
    proxy.rules += [Every(20, fault, offset=5 * at) for at, fault in enumerate(faults)]
    said = project.run("sums", "--run-id", "faults")
    assert said["status"] == "succeeded", said
    assert said["outputs"] == pytest.approx(_sums(400_000))
    proxy.rules.clear()
    monkeypatch.setenv("LEVADA_BLOB_CACHE", str(tmp_path / "empty"))
    found = project.records("sums", "faults")
    assert sorted(found) == ["collect", "make", "total", "total_2", "total_3"]
    assert [each["value"] for each in found["make"]["metrics"]] == [400_000]
    store = open_store(project.url)
    assert b"making 400000" in store.read(f"{_log_folder('sums', 'faults', 'make')}/log")
    for path, _ in store.walk("blobs"):
        assert store.verify_blob(f"sha256:{path.rpartition('/')[2]}")


class Every(Rule):
    """A rule for one request of so many."""

    def __init__(self, count: int, fault: Any, offset: int) -> None:
        super().__init__(fault)
        self._count, self._offset = count, offset

    def applies(self, request: Any) -> bool:
        super().applies(request)
        return self.matched % self._count == self._offset


def test_a_service_that_asks_for_fewer_requests(project: Project, proxy: FaultProxy) -> None:
    """Bursts of SlowDown, of a second or more each."""
    process = project.start_run("sums")
    for _ in range(2):
        rule = Rule(SLOW_DOWN)
        proxy.rules.append(rule)
        _eventually(lambda: rule.matched >= 2)  # noqa: B023  it is asked at once
        time.sleep(1)
        proxy.rules.clear()
        time.sleep(0.3)
    said = _said(process)
    assert said["outputs"] == pytest.approx(_sums(400_000))


NO_RIGHTS = "give the identity that was used the right to"


@pytest.mark.parametrize(
    ("rules", "variables", "bucket", "words"),
    [
        pytest.param([Rule(ACCESS_DENIED, method="PUT")], {}, "", NO_RIGHTS, id="read-only"),
        pytest.param([Rule(ACCESS_DENIED)], {}, "", NO_RIGHTS, id="no-rights"),
        pytest.param([], {}, "s3://other/x", "create other, or correct", id="no-bucket"),
        pytest.param(
            *([], {"AWS_SECRET_ACCESS_KEY": "wrong"}, "", "does not know these credentials"),
            id="wrong-secret",
        ),
        pytest.param(
            *([], {"AWS_ACCESS_KEY_ID": "nobody"}, "", "does not know these credentials"),
            id="wrong-key",
        ),
        pytest.param([Rule(Answer(404, "", "nginx"))], {}, "", "nginx", id="another-server"),
        pytest.param(
            *([], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "", "can be reached from here"),
            id="unreachable",
        ),
        pytest.param(
            [Rule(Answer(403, "AccessDenied", "no parts"), method="PUT", path="blobs")],
            *({}, "", NO_RIGHTS),
            id="no-blobs",
        ),
    ],
)  # fmt: skip
def test_a_store_that_cannot_be_used_is_named(
    *,
    project: Project,
    proxy: FaultProxy,
    rules: list[Rule],
    variables: dict[str, str],
    bucket: str,
    words: str,
) -> None:
    """The command ends soon, with words and no traceback."""
    proxy.rules += rules
    project.variables |= variables
    project.url = bucket or project.url
    process = project.start_run("sums")
    began = time.monotonic()
    out, err = process.communicate(timeout=120)
    assert time.monotonic() - began < 60
    assert process.returncode in {1, 2}
    assert words in out + err
    assert "Traceback" not in out + err


# ---------------------------------------------------------------- forks


def test_what_forks_has_made_no_request(project: Project, proxy: FaultProxy) -> None:
    """Attempts are forked from a process that has loaded numpy, and use the bucket: it has not."""
    said = project.run("sums", "--run-id", "forked")
    assert said["status"] == "succeeded", said
    assert proxy.count("PUT", "record.json") == 5
    found = project.records("sums", "forked")
    assert [found[name]["start"] for name in ("make", "total", "total_2")] == ["fork"] * 3


@pytest.mark.parametrize("count", [1, 200_000], ids=["unused", "used"])
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_a_step_logs(project: Project, method: str, *, large: bool, count: int) -> None:
    """A metric arrives, an artifact too, unless its process was forked from one that had asked.

    The step has asked the bucket if its input is large.
    """
    given = (f"-pmethod={method}", f"-plarge={str(large).lower()}", f"-pcount={count}")
    said = project.run("children", *given, "--run-id=child")
    assert said["status"] == "succeeded", said
    record = project.records("children", "child")["forking"]
    assert [each["name"] for each in record["metrics"]] == ["from_child"]
    if said["outputs"] == 0:
        assert list(record["artifacts"]) == ["child"]
        return
    assert (method, count) == ("fork", 200_000)
    assert record["artifacts"] == {}
    log = open_store(project.url).read(f"{_log_folder('children', 'child', 'forking')}/log")
    assert b"start workers by spawn" in log


# ---------------------------------------------------------------- much at once


def test_a_large_folder_needs_little_memory(project: Project) -> None:
    """A folder with 50 files and one of 200 MiB is uploaded; another machine downloads it."""
    peaks: dict[str, list[int]] = {"folder": [], "measured": []}
    for megabytes in (1, 200):
        size = (megabytes << 20) + sum(len(f"file {number}") for number in range(50))
        for machine, node in (("one", "folder"), ("two", "measured")):
            name = f"{machine}-{megabytes}"
            project.variables["LEVADA_BLOB_CACHE"] = str(project.folder.parent / machine)
            said = project.run("folders", f"-pmegabytes={megabytes}", "--run-id", name)
            assert (said["status"], said["outputs"]) == ("succeeded", size), said
            found = project.records("folders", name)
            assert found["folder"]["cache"]["hit"] == (machine == "two")
            peaks[node].append(found[node]["resources"]["peak_memory_bytes"])
    more = {node: (large - small) >> 20 for node, (small, large) in peaks.items()}
    assert max(more.values()) < 150, more


# ---------------------------------------------------------------- copies


def _filled(store: Store, folder: Path) -> None:
    """Put 40 blobs of a megabyte, a large one, documents and logs into a store."""
    store.prepare()
    for _ in range(40):
        store.put_blob(os.urandom(1 << 20))
    store.put_blob(os.urandom(40 << 20))
    log = folder / "local-log"
    log.write_bytes(b"a line\n" * 500_000)
    for number in range(10):
        store.write_once(f"runs/p/{number}/record.json", b"{}" * number)
        store.write_file(f"runs/p/{number}/log", str(log))


def _copy(project: Project, source: str, target: str) -> subprocess.CompletedProcess[str]:
    process = project.start("store", "copy", source, target, "--json")
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess((), process.returncode, out, err)


def _killed_copy(project: Project, source: str, target: str) -> None:
    """Begin to copy, and kill the command when it has copied some of it."""
    process = project.start("store", "copy", source, target)
    _eventually(lambda: len(list(open_store(target).walk("blobs"))) >= 8)
    process.kill()
    process.communicate()
    left = dict(open_store(source).walk()).keys() - dict(open_store(target).walk()).keys()
    assert len(left) > 20, "it was killed too late to show anything"


def _content(store: Store) -> dict[str, str]:
    found = {}
    for path, _ in store.walk():
        with store.open_at(path, 0) as file:
            found[path] = digest_of(file.read())
    return found


def test_a_copy_that_is_killed_goes_on(project: Project, proxy: FaultProxy, tmp_path: Path) -> None:
    """From a folder to the bucket and to another folder, each killed once: equal in the end."""
    first, last = tmp_path / "first", tmp_path / "last"
    _filled(open_store(str(first)), tmp_path)
    project.variables["LEVADA_BLOB_CACHE"] = str(tmp_path / "cache-of-copies")
    proxy.rules.append(Rule(Delay(0.2), path="blobs"))
    for source, target in ((str(first), project.url), (project.url, str(last))):
        _killed_copy(project, source, target)
        done = _copy(project, source, target)
        assert done.returncode == 0, done.stderr
        # Nor does the second copy need what the first has kept of the bucket on this machine.
        project.variables["LEVADA_BLOB_CACHE"] = str(tmp_path / "another-cache")
    proxy.rules.clear()
    expected = _content(open_store(str(first)))
    assert _content(open_store(project.url)) == expected
    assert _content(open_store(str(last))) == expected


def test_damaged_blobs_are_named_and_not_copied(project: Project, tmp_path: Path) -> None:
    source = open_store(str(tmp_path / "source"))
    digests = [source.put_blob(os.urandom(size)) for size in (10, 100_000, 3 << 20)]
    for digest in digests[1:]:
        path = Path(str(source.blob_path(digest)))
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    done = _copy(project, str(tmp_path / "source"), project.url)
    assert done.returncode == 1
    assert all(digest in done.stdout + done.stderr for digest in digests[1:])
    assert "Traceback" not in done.stderr
    target = open_store(project.url)
    assert [target.verify_blob(digest) for digest in digests] == [True, False, False]
