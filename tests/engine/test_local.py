"""Runs on this machine: what steps do to their processes, and what comes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import levada
import pytest
from jsonschema import Draft202012Validator
from levada import engine

from tests.engine.project import Project, statuses


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it comes true in time; the time is only a bound for a test that fails."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def one_step(folder: Path, body: str, settings: str = "") -> Project:
    """A pipeline of one step with this body, and one after it."""
    lines = "\n".join("    " + line for line in body.splitlines())
    return Project(
        folder,
        f"@step({settings})\ndef work(folder: str) -> int:\n{lines}\n\n"
        "@step\ndef next_one(x: int) -> int:\n    return x + 1\n\n"
        f'@pipeline\ndef main(folder: str = "{folder}"):\n    return next_one(work(folder))\n',
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(0)", "exit code 0"),
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL (out of memory?)"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_a_process_that_is_gone_leaves_a_record(tmp_path: Path, body: str, said: str) -> None:
    project = one_step(tmp_path, body)
    outcome = project.run()
    assert statuses(outcome) == {"work": "failed", "next_one": "skipped"}
    error = project.record(outcome, "work")["error"]
    assert (error["kind"], said in error["message"]) == ("killed", True)
    assert outcome.status == "failed"


def test_a_record_that_cannot_be_written_is_said_in_a_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    no_room = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\nreturn 1"
    outcome = one_step(tmp_path, no_room).run()
    assert statuses(outcome)["work"] == "failed"
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("levada: ")]
    assert len(said) == 1
    assert "File too large" in said[0]


@pytest.mark.parametrize(
    "body",
    [
        "os.close(1); os.close(2)\nreturn 1",
        "sys.stdout.close()\nreturn 1",
        "print('x' * 5_000_000)\nreturn 1",
        "import multiprocessing as m\nreturn m.get_context('fork').Pool(2).map(abs, [-1])[0]",
        "subprocess.run(['sh', '-c', 'echo from a subprocess'], check=True)\nreturn 1",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nreturn 1",
        "os.chdir('/')\nreturn 1",
        "import threading\nthreading.Thread(target=time.sleep, args=(0.05,)).start()\nreturn 1",
    ],
)
def test_what_a_step_does_to_its_process_stays_there(tmp_path: Path, body: str) -> None:
    outcome = one_step(tmp_path, body).run(logs=True)
    assert outcome.error is None
    assert outcome.displayed_outputs() == 2


def test_pools_end_their_processes_quietly(tmp_path: Path) -> None:
    project = one_step(
        tmp_path,
        "import multiprocessing as m\n"
        "for _ in range(50):\n"  # SIGTERM reaches some of them while they are being forked
        "    with m.get_context('fork').Pool(2) as pool:\n        x = pool.map(abs, [-1])[0]\n"
        "return x",
    )
    outcome = project.run(logs=True)
    assert outcome.displayed_outputs() == 2
    assert project.log(outcome, "work") == ""


def test_sigterm_has_its_default_in_what_a_step_forks(tmp_path: Path) -> None:
    """A pool's process that had a handler could miss it while it waits, and the step with it."""
    project = one_step(
        tmp_path,
        "import os, signal\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os._exit(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
        "return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
    )
    assert project.run(logs=True).displayed_outputs() == 2


def test_retries_until_it_works(tmp_path: Path) -> None:
    body = (
        "tries = Path(folder, 'tries')\n"
        "with tries.open('a') as file: file.write('x')\n"
        "if len(tries.read_text()) < 3: raise OSError('not yet')\n"
        "return 5"
    )
    project = one_step(tmp_path, body, "retry=Retry(3, delay=0.01, backoff=2)")
    outcome = project.run()
    assert outcome.displayed_outputs() == 6
    assert [step.attempts for step in outcome.steps] == [3, 1]
    assert project.record(outcome, "work", 2)["error"]["message"] == "not yet"
    delays = [e.details["delay"] for e in project.events if e.kind == "retry"]
    assert delays == [0.01, 0.02]


RETURNS = """\
from __future__ import annotations

{imports}
from levada import pipeline, step


@step({settings})
def work(){annotation}:
    return {value}


@pipeline
def main():
    return work()
"""


def returning(
    folder: Path, annotation: str, value: str, settings: str = "retry=3", imports: str = ""
) -> Project:
    texts = {"annotation": annotation, "value": value, "settings": settings, "imports": imports}
    (folder / "pyproject.toml").touch()
    (folder / "pipeline.py").write_text(RETURNS.format(**texts))
    return Project(folder)


def test_a_value_of_another_type_than_declared_fails_the_step(tmp_path: Path) -> None:
    project = returning(tmp_path, " -> dict[str, list[int]]", "{'a': [1, '2']}")
    outcome = project.run()
    assert [step.attempts for step in outcome.steps] == [1]
    error = project.record(outcome, "work")["error"]
    assert (error["type"], error["permanent"]) == ("ReturnError", True)
    assert 'has `str` at ["a"][1], where `int` is declared' in error["message"]
    assert "`-> dict[str, list[int]]` in line 8" in error["message"]
    frame = {"file": "pipeline.py", "line": 8, "function": "work"}
    assert frame.items() <= error["frames"][-1].items()
    assert '  File "' in project.log(outcome, "work")


@pytest.mark.parametrize(
    ("annotation", "value", "settings", "imports"),
    [
        (" -> int", "'text'", "check_types=False", ""),
        ("", "'text'", "", ""),
        (" -> float", "1", "", ""),
        (" -> Frame", "1", "", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    Frame = int"),
        (" -> Decimal", "Decimal(1)", "", "from decimal import Decimal"),
    ],
)
def test_what_is_not_declared_plainly_is_not_checked(
    tmp_path: Path, annotation: str, value: str, settings: str, imports: str
) -> None:
    outcome = returning(tmp_path, annotation, value, settings, imports).run()
    assert outcome.status == "succeeded", outcome.error


def test_a_permanent_error_is_not_retried(tmp_path: Path) -> None:
    project = one_step(tmp_path, "raise PermanentError('never')", "retry=3")
    outcome = project.run()
    assert [step.attempts for step in outcome.steps] == [1, 0]
    assert outcome.error is not None
    assert (outcome.error["node"], outcome.error["message"]) == ("work", "never")


DAEMON = (
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        Path(folder, 'daemon').write_text(str(os.getpid()))\n"
    "        time.sleep(600)\n"
    "    os._exit(0)\n"
    "while not Path(folder, 'daemon').exists(): time.sleep(0.01)\n"
    "while not Path(folder, 'daemon').read_text(): time.sleep(0.01)\n"
)


def daemon(project: Project) -> int:
    return int(project.file("daemon").read_text())


@pytest.mark.parametrize("ignore", ["", "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"])
def test_a_timeout_ends_the_whole_tree(tmp_path: Path, ignore: str) -> None:
    project = one_step(tmp_path, DAEMON + ignore + "time.sleep(600)", "timeout=1, retry=1")
    outcome = project.run()
    assert [step.attempts for step in outcome.steps] == [2, 0]
    assert outcome.error is not None
    assert outcome.error["kind"] == "timeout"
    assert eventually(lambda: not runs(daemon(project)))


def test_what_a_step_leaves_behind_is_ended(tmp_path: Path) -> None:
    project = one_step(tmp_path, DAEMON + "return 1")
    assert project.run().displayed_outputs() == 2
    assert not runs(daemon(project))


CLEAN_UP = """
@step(cache=False)
def work(folder: str) -> int:
    Path(folder, "pid").write_text(str(os.getpid()))
    {body}
    return 1

@step(cache=False)
def note(folder: str, name: str) -> None:
    Path(folder, name).touch()

@pipeline
def main(folder: str = "{folder}"):
    try:
        x = work(folder)
    except Exception:
        note(folder, "handled")
    finally:
        note(folder, "cleaned")
    note(folder, "after")
"""


def interruptible(folder: Path, body: str) -> Project:
    return Project(folder, CLEAN_UP.format(folder=folder, body=body))


@pytest.mark.usefixtures("heard_hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    project = interruptible(tmp_path, "time.sleep(600)")
    process = project.start()
    assert eventually(project.file("pid").exists)
    # As a terminal does it: to the whole process group.
    os.killpg(process.pid, number)
    said = json.loads(process.communicate(timeout=60)[0])
    assert said["status"] == "cancelled"
    assert {s["node"]: s["status"] for s in said["steps"] if s["status"] != "skipped"} == {
        "work": "cancelled",
        "note_2": "succeeded",
    }
    assert project.file("cleaned").exists()
    assert not project.file("handled").exists()
    assert not project.file("after").exists()
    record = json.loads(Path(project.store, said["folder"], "work", "1", "record.json").read_text())
    assert (record["status"], record["error"]["kind"]) == ("cancelled", "cancelled")
    document = json.loads(Path(project.store, said["folder"], "outcome.json").read_text())
    assert (document["status"], document["outputs"]) == ("cancelled", [])


def test_a_run_that_ignores_the_end_of_its_terminal_goes_on(tmp_path: Path) -> None:
    body = "Path(folder, 'ready').touch()\n"
    body += "while not Path(folder, 'go').exists(): time.sleep(0.02)\nreturn 1"
    project = one_step(tmp_path, body)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it
    try:
        process = project.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert eventually(project.file("ready").exists)
    process.send_signal(signal.SIGHUP)
    project.file("go").touch()
    assert json.loads(process.communicate(timeout=60)[0])["outputs"] == 2


def test_a_pipeline_that_returns_nothing_has_an_outcome(tmp_path: Path) -> None:
    project = Project(
        tmp_path, "@step\ndef work() -> None:\n    pass\n\n@pipeline\ndef main():\n    work()\n"
    )
    outcome = project.run()
    document = json.loads(Path(project.store, outcome.folder, "outcome.json").read_text())
    assert (document["status"], document["kind"], document["outputs"]) == ("succeeded", "none", [])


def test_a_run_that_breaks_off_has_an_outcome(tmp_path: Path) -> None:
    project = one_step(tmp_path, "return 1")

    def broken(_: object) -> None:
        raise RuntimeError("nobody expected this")

    with pytest.raises(RuntimeError):
        engine.run(
            project.plan(),
            {},
            store=project.store,
            project=str(tmp_path),
            run_id="broken",
            on_event=broken,
        )
    document = json.loads(Path(project.store, "runs/main/broken/outcome.json").read_text())
    assert (document["status"], document["error"]["type"]) == ("failed", "RuntimeError")
    schema = json.loads((Path(levada.__file__).parent / "schemas/outcome.json").read_text())
    Draft202012Validator(schema).validate(document)


def test_a_second_interrupt_kills(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: Path(folder, 'told').touch())\n"
    body += "    Path(folder, 'ready').touch()\n    while True: time.sleep(600)"
    project = interruptible(tmp_path, body)
    process = project.start()
    assert eventually(project.file("ready").exists)
    process.send_signal(signal.SIGINT)
    assert eventually(project.file("told").exists)
    process.send_signal(signal.SIGINT)
    said = json.loads(process.communicate(timeout=60)[0])
    assert said["status"] == "cancelled"
    assert not project.file("cleaned").exists()
    assert not runs(int(project.file("pid").read_text()))


def test_a_server_that_is_killed_is_started_again(tmp_path: Path) -> None:
    body = (
        "if not Path(folder, 'tried').exists():\n"
        "    Path(folder, 'tried').touch()\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n"
        "    time.sleep(600)\n"
        "return 1"
    )
    outcome = one_step(tmp_path, body, "retry=1").run()
    assert outcome.displayed_outputs() == 2
    assert [step.attempts for step in outcome.steps] == [2, 1]


def test_nothing_outlives_an_engine_that_is_killed(tmp_path: Path) -> None:
    project = one_step(tmp_path, DAEMON + "Path(folder, 'ready').touch()\ntime.sleep(600)")
    process = project.start()
    assert eventually(project.file("ready").exists)
    process.kill()
    process.communicate()
    assert eventually(lambda: not runs(daemon(project)))


def test_a_second_run_takes_all_from_the_cache(tmp_path: Path) -> None:
    project = one_step(tmp_path, "Path(folder, str(time.time_ns())).touch()\nreturn 1")
    first = project.run()
    second = project.run()
    assert second.outputs == first.outputs
    assert [step.cached for step in second.steps] == [True, True]
    record = project.record(second, "work")
    assert record["cache"]["from"]["run_id"] == first.run_id
    assert [step.cached for step in project.run(cache=False).steps] == [False, False]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"returns": 1, "artifacts": []}', "\xff"])
def test_a_damaged_cache_entry_is_a_miss_and_replaced(tmp_path: Path, content: str) -> None:
    project = one_step(tmp_path, "return 1")
    project.run()
    for entry in Path(project.store, "cache").glob("*/*"):
        entry.chmod(0o644)
        entry.write_text(content, encoding="latin-1")
    second = project.run()
    reasons = project.record(second, "work")["cache"]["reasons"]
    said = "the cache's entry is damaged: it is not what was written"
    assert [reason["text"] for reason in reasons] == [said]
    [warning] = project.record(second, "work")["warnings"]
    assert re.fullmatch(
        r"the cache entry cache/\w+/[\w-]+\.json is damaged \(it is not what was written\);"
        " the step runs again",
        warning,
    )
    assert f"warning: {warning}\n" in project.log(second, "work")
    assert [step.cached for step in project.run().steps] == [True, True]


def test_a_run_id_is_used_once(tmp_path: Path) -> None:
    project = one_step(tmp_path, "return 1")
    assert project.run(run_id="mine/1").run_id == "mine/1"
    with pytest.raises(engine.RunExistsError, match="mine/1"):
        project.run(run_id="mine/1")


def test_the_documents_of_a_run(tmp_path: Path) -> None:
    project = one_step(tmp_path, "return 1")
    outcome = project.run({"folder": "here"})
    folder = Path(project.store, outcome.folder)
    run = json.loads((folder / "run.json").read_text())
    assert run["parameters"]["display"] == {"folder": "here"}
    digest = run["plan"].removeprefix("sha256:")
    stored = Path(project.store, "blobs", "sha256", digest[:2], digest).read_text()
    assert json.loads(stored) == project.plan()
    ended = json.loads((folder / "outcome.json").read_text())
    assert (ended["status"], ended["outputs"]) == ("succeeded", outcome.outputs)


def test_logs_are_told_while_steps_run(tmp_path: Path) -> None:
    body = "print('one', flush=True)\ntime.sleep(0.5)\nprint('two')\nreturn 1"
    project = one_step(tmp_path, body)
    outcome = project.run()
    told = [e.details["text"] for e in project.events if e.kind == "log"]
    assert told == ["one\n", "two\n"]
    assert project.log(outcome, "work") == "one\ntwo\n"


@pytest.mark.parametrize("name", ["json", "levada", "random"])
def test_a_module_that_is_called_as_one_of_python_s_says_so(tmp_path: Path, name: str) -> None:
    project = one_step(tmp_path, "return 1")
    plan = project.plan()
    for step in plan["steps"].values():
        step["module"] = name
    project.file("pipeline.py").rename(project.file(f"{name}.py"))
    outcome = engine.run(plan, {}, store=project.store, project=str(tmp_path))
    assert outcome.error is not None
    assert f"called '{name}', as one that Python has loaded" in outcome.error["message"]


@pytest.mark.parametrize("signature", ["*args, **kwargs", "*args", "**kwargs", "x, y, *z"])
def test_a_decorator_may_take_arguments_as_it_likes(tmp_path: Path, signature: str) -> None:
    call = ", ".join(part.strip() for part in signature.split(","))
    more = ", *z" if "kwargs" not in signature or "args," in signature else ""
    given = ", 3" if more else ""
    project = Project(
        tmp_path,
        "import functools\n"
        "def traced(function):\n"
        "    @functools.wraps(function)\n"
        f"    def wrapper({signature}):\n"
        f"        return function({call})\n"
        "    return wrapper\n\n"
        f"@step\n@traced\ndef work(x: int, y: int{more}) -> list[int]:\n"
        f"    return [x, y{more}]\n\n"
        f"@pipeline\ndef main():\n    return work(1, 2{given})\n",
    )
    assert project.run().displayed_outputs() == ([1, 2, 3] if more else [1, 2])


def test_an_import_that_fails_is_the_step_s_failure(tmp_path: Path) -> None:
    project = one_step(tmp_path, "return 1")
    plan = project.plan()
    project.file("pipeline.py").write_text("raise SystemExit('no')")
    outcome = engine.run(plan, {}, store=project.store, project=str(tmp_path))
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["type"] == "SystemExit"
    assert "frozen" not in "".join(outcome.error["traceback"])


SEEN = """
import decimal, os, random, sys, warnings
SEEN = []

def state():
    SEEN.append(1)
    return {
        "variable": os.environ.get("SET_BY_THE_OTHER"),
        "precision": decimal.getcontext().prec,
        "filters": sum(1 for each in warnings.filters if each[1] and each[1].pattern == "other"),
        "path": "/of/the/other" in sys.path,
        "module": "other_steps" in sys.modules,
        "calls": len(SEEN),
        "drawn": random.random(),
    }
"""
LEAKING = """
import decimal, os, random, sys, warnings
from levada import step
import seen

os.environ["SET_BY_THE_OTHER"] = "1"
decimal.getcontext().prec = 5
warnings.filterwarnings("ignore", message="other")
sys.path.append("/of/the/other")
random.seed(1)

@step
def leaking(i: int) -> dict:
    return seen.state()
"""


def test_no_module_of_another_step_is_seen(tmp_path: Path) -> None:
    project = Project(
        tmp_path,
        """
import numpy
import quiet
from other_steps import leaking

@pipeline
def main():
    return [leaking(i) for i in range(4)], [quiet.look(i) for i in range(8)]
""",
    )
    (tmp_path / "seen.py").write_text(SEEN)
    (tmp_path / "other_steps.py").write_text(LEAKING)
    (tmp_path / "quiet.py").write_text(
        "import numpy, seen\nfrom levada import step\n\n"
        "@step\ndef look(i: int) -> dict:\n    return seen.state()\n"
    )
    outcome = project.run()
    leaking, quiet = outcome.as_json()["outputs"]
    alone = {"variable": None, "precision": 28, "filters": 0, "path": False, "module": False}
    for seen in quiet:
        assert {**seen, "drawn": 0} == {**alone, "calls": 1, "drawn": 0}
    assert len({seen["drawn"] for seen in quiet}) == len(quiet)
    assert {seen["drawn"] for seen in leaking} == {leaking[0]["drawn"]}  # each is seeded
    assert {seen["calls"] for seen in leaking} == {1}


@pytest.mark.parametrize(
    ("library", "start"),
    [("VALUE = 1", "fork"), ("import tempfile\nVALUE = tempfile.mkdtemp()", "fresh")],
)
def test_a_record_says_how_its_process_began(tmp_path: Path, library: str, start: str) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "library_of_test.py").write_text(library + "\n")
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(
        folder,
        """
import library_of_test

@step
def look(i: int) -> int:
    return i if library_of_test.VALUE else 0

@pipeline
def main():
    return [look.options(environment={"A": "1"})(0), *[look(i) for i in range(3)]]
""",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        outcome = project.run()
    assert outcome.status == "succeeded"
    found = [project.record(outcome, node)["start"] for node in ("look", "look_2", "look_3")]
    assert found == ["fresh", start, start]  # the first has variables that an import may look at


MEASURING = """
from levada import step
from levada.materializers import register

class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees

class CelsiusMaterializer:
    name = "celsius"
    def handles(self, value):
        return type(value) is Celsius
    def save(self, value, sink):
        sink.write(str(value.degrees).encode())
    def load(self, source):
        return Celsius(int(source.read()))

@step
def measure():
    return Celsius(21)
"""
SHOWING = "from levada import step\n@step\ndef show(value) -> int:\n    return value.degrees\n"


def _measured_and_shown(folder: Path, measuring: str, **modules: str) -> engine.Outcome:
    for name, source in {"measuring": measuring, "showing": SHOWING, **modules}.items():
        (folder / f"{name}.py").write_text(source)
    imports = "from measuring import measure\nfrom showing import show\n"
    return Project(folder, f"{imports}@pipeline\ndef main():\n    return show(measure())\n").run()


def test_a_materializer_is_found_where_the_class_of_the_value_is(tmp_path: Path) -> None:
    """The step that takes the value does not import it."""
    outcome = _measured_and_shown(tmp_path, f"{MEASURING}\nregister(CelsiusMaterializer())\n")
    assert outcome.as_json()["outputs"] == 21


def test_a_materializer_that_only_the_producer_imports(tmp_path: Path) -> None:
    given = MEASURING.replace("return Celsius(21)", "import given\n    return Celsius(21)")
    registers = "import measuring\nmeasuring.register(measuring.CelsiusMaterializer())\n"
    outcome = _measured_and_shown(tmp_path, given, given=registers)
    assert outcome.error is not None
    said = "Call `levada.materializers.register` in the module that defines the class"
    assert said in outcome.error["message"]


def test_a_large_log_is_passed_on_in_parts(tmp_path: Path) -> None:
    """So the command line needs no more memory for it, however long a line is."""
    body = "print('é' * 1_500_000)\nfor n in range(200_000): print('line', n)\nprint('€', end='')"
    project = one_step(tmp_path, f"{body}\nreturn 1")
    outcome = project.run(logs=True)
    texts = [e.details["text"] for e in project.events if e.kind == "log" and e.node == "work"]
    assert max(len(text.encode()) for text in texts) <= 1 << 20
    assert "".join(texts) == project.log(outcome, "work")
