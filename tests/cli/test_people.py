"""What people read: no text of a user commands their terminal, or the runner of their CI job."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada_cli.commands.progress import log_line
from levada_cli.terminal import PeoplesStream, json_text
from levada_compiler.render.cells import escape, one_line, without_commands

ALARMING = "\x1b[31mRED\x1b[0m\x1b]0;title\x07\x1b[2J\r\x08\u202e\x9b31m\x7f\ud800"
#: What a terminal acts on, colours left out; and the commands of runners.
ACTS = re.compile(
    r"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
COMMAND = re.compile(r"(?m)(^|\r)\s*::[A-Za-z]|##\[|##vso\[")
TEXTS = st.text(st.sampled_from("a:#[]vso \n\r\t\x1b0;m\x07\x9b\u202e\x85\\") | st.characters())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(TEXTS)
def test_messages_command_nothing(text: str) -> None:
    for shown in (escape(text), one_line(text), log_line(text)):
        assert not ACTS.search(shown)
        assert not COMMAND.search(shown)
    assert "\n" not in one_line(text)


@given(TEXTS)
def test_lines_of_logs_command_nothing_but_colours(text: str) -> None:
    assert not ACTS.search(log_line(text, colours=True))


@given(st.lists(TEXTS))
def test_a_terminal_is_not_commanded(texts: list[str]) -> None:
    terminal = Terminal()
    stream = PeoplesStream(terminal, is_log=True)
    for text in texts:
        stream.write(text)
    assert not ACTS.search(terminal.getvalue())


@given(TEXTS)
def test_json_for_people_is_the_same_json(text: str) -> None:
    shown = json_text({text: [text]})
    assert not ACTS.search(shown)
    assert not COMMAND.search(shown)
    assert json.loads(shown) == {text: [text]}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;32mok\x1b[0m done", "\x1b[1;32mok\x1b[0m done\x1b[0m"),
        ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
        ("a\x1b[2Kb\x1b(Bc\x1bMd", "abcd"),
        (" 10%\r 99%", " 99%"),
        ("a\x1b", "a<U+001B>"),
        ("a\tb", "a    b"),
    ],
)
def test_a_terminal_gets_colours_of_logs_and_nothing_else(line: str, shown: str) -> None:
    assert log_line(line, colours=True) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error file=x::y", "<U+003A>:error file=x::y"),
        ("a\n  ::error::y", "a\n  <U+003A>:error::y"),
        ("a\r::error::y", "a\r<U+003A>:error::y"),
        ("see ##vso[task.x]", "see <U+0023>#vso[task.x]"),
        ("##[error]", "<U+0023>#[error]"),
        ("a::b\n--> x\n  ::: file.py:1:1", "a::b\n--> x\n  ::: file.py:1:1"),
        ("## Title", "## Title"),
    ],
)
def test_no_line_is_a_workflow_command(text: str, shown: str) -> None:
    assert without_commands(text) == shown


def test_what_one_write_begins_another_one_goes_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    written = io.StringIO()
    stream = PeoplesStream(written, is_log=True)
    for text in ("error: ", "::warning::x\n", " ", "::warning::y\n"):
        stream.write(text)
    assert written.getvalue() == "error: ::warning::x\n <U+003A>:warning::y\n"


PIPELINE = f"""
from levada import log_metric, pipeline, step


@step
def loud() -> str:
    print("::error::from a step")
    print({ALARMING[:-1]!r})
    log_metric({"m" + ALARMING[:-1]!r}, 1.0)
    log_metric("\\n::error::from a metric", 1.0)
    raise ValueError({ALARMING[:-1]!r} + "\\n::error::from an error")


@pipeline
def flow():
    return loud()
"""


def levada(folder: Path, *words: str, terminal: int | None = None, **variables: str) -> str:
    """Run a command with its output in a pipe, or on a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "levada_cli.main", *words],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE if terminal is None else terminal,
        stderr=subprocess.STDOUT if terminal is None else terminal,
        timeout=60,
        check=False,
    )
    return (done.stdout or b"").decode(errors="surrogateescape")


def test_a_run_commands_neither_a_terminal_nor_a_ci_job(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(PIPELINE)
    said = levada(tmp_path, "run", "flow.py", "--store", "a", GITHUB_ACTIONS="true")
    assert "from a step" in said
    assert "from an error" in said
    assert not COMMAND.search(said)
    ours, theirs = pty.openpty()
    levada(
        tmp_path, "run", "flow.py", "--store", "b", "--color", "never", terminal=theirs, TERM="dumb"
    )
    os.close(theirs)
    shown = ""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk.decode(errors="surrogateescape")
    except OSError:  # how Linux says that the other end is closed
        pass
    assert "from an error" in shown
    assert not ACTS.search(shown.replace("\r\n", "\n"))


@pytest.mark.parametrize("form", ["full", "concise", "json", "github"])
def test_a_diagnostic_starts_no_command_of_the_user(tmp_path: Path, form: str) -> None:
    setting = '"\\n::error file=x.py,line=1::forged\\x1b[2J"'
    (tmp_path / "flow.py").write_text(
        f"from levada import pipeline, step\n\n\n@step(queue={setting})\ndef f(x):\n    return x\n"
        "@pipeline\ndef flow(n: int = 1):\n    return f(n)\n"
    )
    said = levada(
        tmp_path, "check", "flow.py", "-t", "kubernetes", "--format", form, GITHUB_ACTIONS="true"
    )
    assert "forged" in said
    assert not ACTS.search(said)
    assert not re.search(r"(?m)^\s*::error file=x\.py", said)
