"""Airflow's logs, errors, files and states in our words, from texts that it gave."""

from __future__ import annotations

import pytest
from levada_backends.airflow import deployed, run_parameters, task_log, task_states
from levada_backends.airflow.rest import _detail
from levada_compiler.client import ClientError

# Given by 2.11.2 for a step that prints, and fails.
LOG_2 = """vm
 INFO - ::group::Log message source details
*** Found local files:
***   * /logs/attempt=1.log
 INFO - ::endgroup::
[2026-11-24T15:14:00.892+0000] {local_task_job_runner.py:123} INFO - ::group::Pre task
[2026-11-24T15:14:01.200+0000] {taskinstance.py:2885} INFO - Starting attempt 1 of 2
[2026-11-24T15:14:02.728+0000] {taskinstance.py:740} INFO - ::endgroup::
[2026-11-24T15:14:02.872+0000] {subprocess.py:78} INFO - Tmp dir root location: /tmp
[2026-11-24T15:14:02.872+0000] {subprocess.py:88} INFO - Running command: ['python', '-m', 'levada']
[2026-11-24T15:14:02.922+0000] {subprocess.py:99} INFO - Output:
[2026-11-24T15:14:03.008+0000] {subprocess.py:106} INFO - Output:
[2026-11-24T15:14:03.008+0000] {subprocess.py:106} INFO - ::group::of the step
[2026-11-24T15:14:03.009+0000] {subprocess.py:106} INFO -   an indented line
[2026-11-24T15:14:03.018+0000] {subprocess.py:106} INFO - Traceback (most recent call last):
[2026-11-24T15:14:03.018+0000] {subprocess.py:106} INFO -   File "pipeline.py", line 19, in square
[2026-11-24T15:14:03.019+0000] {subprocess.py:106} INFO - ValueError: three is
[2026-11-24T15:14:03.019+0000] {subprocess.py:106} INFO - too much
[2026-11-24T15:14:03.019+0000] {subprocess.py:110} INFO - Command exited with return code 1
[2026-11-24T15:14:03.038+0000] {taskinstance.py:3337} ERROR - Task failed with exception
Traceback (most recent call last):
  File "taskinstance.py", line 776, in _execute_task
airflow.exceptions.AirflowException: exit code 1: see the log above
[2026-11-24T15:14:03.118+0000] {taskinstance.py:349} INFO - ::group::Post task execution logs
[2026-11-24T15:14:03.118+0000] {standard_task_runner.py:124} ERROR - Failed to execute job 13
Traceback (most recent call last):
airflow.exceptions.AirflowException: exit code 1: see the log above
[2026-11-24T15:14:03.212+0000] {local_task_job_runner.py:245} INFO - ::endgroup::
"""
STEP = [
    "Output:",
    "::group::of the step",
    "  an indented line",
    "Traceback (most recent call last):",
    '  File "pipeline.py", line 19, in square',
    "ValueError: three is",
    "too much",
]
HOOK = "airflow.task.hooks.airflow.providers.standard.hooks.subprocess.SubprocessHook"


def log_3(*lines: str, error: str = "exit code 1: see the log above") -> list[dict[str, object]]:
    """As 3.3.2 gives it."""
    return [
        {"event": "::group::Log message source details"},
        {"event": "/logs/attempt=1.log"},
        {"event": "::endgroup::"},
        {"event": "::group::Pre Execute", "logger": "task"},
        {"event": "DAG bundles loaded", "logger": "airflow.dag_processing.bundles"},
        {"event": "::endgroup::", "logger": "task"},
        {"event": "Tmp dir root location: /tmp", "logger": HOOK},
        {"event": "Running command: ['python']", "logger": HOOK},
        {"event": "Output:", "logger": HOOK},
        *({"event": line, "logger": HOOK} for line in lines),
        {"event": "Command exited with return code 1", "logger": HOOK},
        failed("AirflowException", error),
    ]


def test_of_a_log_only_the_steps_own_lines_are_shown() -> None:
    of_2 = list(task_log.entries_of_text(LOG_2))
    of_3 = list(task_log.entries_of_json(log_3(*STEP)))
    assert task_log.step_lines(of_2) == task_log.step_lines(of_3) == STEP
    assert task_log.failure(of_2) == task_log.failure(of_3) == "ValueError: three is"


def test_a_log_that_grows_keeps_the_numbers_of_its_lines() -> None:
    lines = LOG_2.splitlines(keepends=True)
    for count in range(len(lines)):
        shown = task_log.step_lines(task_log.entries_of_text("".join(lines[:count])))
        assert shown == STEP[: len(shown)]


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [(2**64 - 1, False), ({"a": [2**64]}, True), (-(2**63) - 1, True), (1e300, True)]
    + [(value, False) for value in (1e18, 1.5, float("nan"), "1e300", {"1": None}, True)],
)
def test_numbers_that_tasks_of_3_are_not_told(value: object, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(ClientError, match="no whole numbers of more"):
            run_parameters.refuse_what_tasks_cannot_be_told({"x": value})
    else:
        run_parameters.refuse_what_tasks_cannot_be_told({"x": value})


def test_what_killed_a_step_counts_more_than_what_it_wrote() -> None:
    logged = ("Traceback (most recent call last):", "  it goes on", "KeyError: 'x'")
    killed = "exit code -9: see the log above"
    entries = list(task_log.entries_of_json(log_3(*logged, error=killed)))
    assert task_log.failure(entries) == f"AirflowException: {killed}"
    assert task_log.step_lines(entries) == [*logged, f"AirflowException: {killed}"]


def test_an_error_of_airflows_own_is_shown() -> None:
    entries = task_log.entries_of_json(log_3(error="the worker has no python"))
    assert task_log.step_lines(entries) == ["AirflowException: the worker has no python"]


def test_the_answer_of_the_step_is_no_line_of_its_log() -> None:
    answer = '{"outputs": {}, "return": 1, "digest": "sha256:1", "record": "runs/r/record.json"}'
    like_one = '{"outputs": {}, "record": '
    entries = task_log.entries_of_json(log_3("a", like_one, answer))
    assert task_log.step_lines(entries) == ["a", like_one]


OPERATORS = "airflow.task.operators.unusual_prefix_0512_churn"


def test_of_a_container_only_its_output_is_shown() -> None:
    """As 3.3.2 gives it, with apache-airflow-providers-docker 4."""
    lines = (
        "::group::Pulling docker image example.com/train@sha256:1",
        "2500fe2a311d: Pull complete",
        "::endgroup::",
        "Starting docker container from image example.com/train@sha256:1",
        "fitting",
        "Traceback (most recent call last):",
        '  File "/app/pipeline.py", line 13, in train',
        "KeyError: 'value 3'",
    )
    error = "Docker container failed: {'Error': None, 'StatusCode': 1}"
    entries = [{"event": line, "logger": f"{OPERATORS}.DockerStep"} for line in lines]
    entries.append(failed("DockerContainerFailedException", error))
    found = list(task_log.entries_of_json(entries))
    assert task_log.step_lines(found) == list(lines[4:])
    assert task_log.failure(found) == "KeyError: 'value 3'"

    killed = failed("DockerContainerFailedException", error.replace("1}", "137}"))
    assert task_log.failure(task_log.entries_of_json([*entries[:5], killed])) == (
        "DockerContainerFailedException: "
        "Docker container failed: {'Error': None, 'StatusCode': 137}"
    )


def test_of_a_pod_its_output_is_shown_and_what_is_wrong_with_it() -> None:
    """In the form of apache-airflow-providers-cncf-kubernetes, utils/pod_manager.py."""
    manager = "airflow.providers.cncf.kubernetes.utils.pod_manager.PodManager"
    ended = "Container 'base': state='TERMINATED', reason='{}', exit_code={}, message='None'"
    found = task_log.entries_of_json(
        [
            {"event": "Building pod train-x1", "logger": f"{OPERATORS}.PodStep", "level": "info"},
            {"event": "::group::Waiting up to 600s …", "logger": manager, "level": "info"},
            {"event": "no node has room", "logger": manager, "level": "warning"},
            {"event": "::endgroup::", "logger": manager, "level": "info"},
            {"event": "[base] fitting\non two lines", "logger": manager, "level": "info"},
            {"event": "[base] level=error of the step", "logger": manager, "level": "error"},
            {"event": "Pod train-x1 has phase Running", "logger": manager, "level": "info"},
            {"event": "stderr from command: kill", "logger": manager, "level": "warning"},
            {"event": ended.format("OOMKilled", 137), "logger": manager, "level": "error"},
            {"event": ended.format("Error", 1), "logger": manager, "level": "error"},
            failed("AirflowException", "Pod train-x1 returned a failure.\nremote_pod: {…}"),
        ]
    )
    assert task_log.step_lines(found) == [
        "no node has room",
        "fitting",
        "on two lines",
        "level=error of the step",
        ended.format("OOMKilled", 137),
    ]


def failed(kind: str, words: str) -> dict[str, object]:
    detail = [{"exc_type": kind, "exc_value": words}]
    return {"event": "Task failed with exception", "logger": "task", "error_detail": detail}


DAG = '''"""churn.

Made from churn.py by Levada 0.1.0.
Source: sha256:{source}
"""
PROJECT = os.environ.get("LEVADA_PROJECT") or str(Path(__file__, "{way}").resolve())
pool = "{pool}"
'''


def dag(source: str = "a", way: str = "../..", pool: str = "small") -> str:
    return DAG.format(source=source * 64, way=way, pool=pool)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (dag(), ""),
        (dag(way="../../../elsewhere"), ""),
        (dag().replace("\n", "\r\n"), ""),
        (
            dag(source="b"),
            "was compiled from another source: sha256:bbbbbbbbbbbb there, sha256:aaaaaaaaaaaa here",
        ),
        (
            dag(pool="large"),
            'was compiled with other options: `pool = "large"` there, `pool = "small"` here',
        ),
        (dag().replace("0.1.0", "0.0.9"), "was compiled by Levada 0.0.9, and here is 0.1.0"),
        (dag() + "more\n", "was compiled with other options: it has 8 lines there, 7 here"),
        ("print('mine')\n", "was not made by Levada"),
    ],
)
def test_how_a_deployed_file_differs(there: str, words: str) -> None:
    assert deployed.difference(there, dag()) == words


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"detail": "Invalid JWT token"}', "Invalid JWT token"),
        ('{"detail": {"reason": "Unique constraint violation"}}', "Unique constraint violation"),
        (
            '{"detail": [{"loc": ["body", "conf"], "msg": "no NUL"}, {"loc": [], "msg": "bad"}]}',
            "conf: no NUL; bad",
        ),
        ('{"detail": null, "status": 403, "title": "Forbidden"}', "Forbidden"),
        ('"text"', "text"),
        ("Bad gateway", "Bad gateway"),
        ("<html>a page</html>", ""),
    ],
)
def test_the_servers_words(answer: str, words: str) -> None:
    assert _detail(answer) == words


def task(name: str, state: str | None, **other: object) -> dict[str, object]:
    given = {"map_index": -1, "try_number": 1, "start_date": None, "duration": None}
    return {"task_id": name, "state": state, "operator": "Step", **given, **other}


def test_the_states_of_tasks() -> None:
    tasks = [
        task("late", "running", start_date="2026-01-01T00:00:02"),
        task("wait", None, try_number=0),
        task("again", "queued", try_number=2),
        task("many", "success", map_index=1, start_date="2026-01-01T00:00:01", duration=1.5),
        task("many", "up_for_retry", map_index=0, start_date="2026-01-01T00:00:09"),
        task("gone", "removed"),
        task("left", "upstream_failed", try_number=0),
        task("if_1", "success", operator="PodBranch", start_date="2026-01-01T00:00:00"),
    ]
    found = list(task_states.steps({"state": "running"}, tasks, lambda step: f"of {step.node}"))
    assert [(step.node, step.status, step.map_index, step.attempt) for step in found] == [
        ("if_1", "succeeded", None, 1),
        ("many", "retrying", (0,), 1),
        ("many", "succeeded", (1,), 1),
        ("late", "running", None, 1),
        ("again", "queued", None, 1),
        ("left", "skipped", None, 0),
        ("wait", "waiting", None, 0),
    ]
    assert [step.node for step in found if step.is_control] == ["if_1"]
    assert {step.node: step.reason for step in found if step.reason} == {
        "many": "of many",
        "left": "something before it failed",
    }


@pytest.mark.parametrize("count", [3, 300])
def test_what_ran_when_a_run_was_cancelled_was_cancelled(count: int) -> None:
    tasks = [task("many", "failed", map_index=index) for index in range(count)]
    running = list(task_states.steps({"state": "running"}, tasks, lambda _: ""))
    note = task_states.cancelled_note(running[1:])
    assert len(note) <= 1000
    run = {"state": "failed", "note": note}
    assert task_states.run_status(run) == "cancelled"
    states = [step.status for step in task_states.steps(run, tasks, lambda _: "why")]
    # Where the note has no room for all, whatever failed is taken to have been ended.
    assert states == ["failed" if count == 3 else "cancelled", *["cancelled"] * (count - 1)]
    assert task_states.run_status({"state": "failed", "note": "by hand"}) == "failed"
