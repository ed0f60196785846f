"""A plain command line is read as click reads it; help costs no imports."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada_cli.commands import build, building, compiling, plain
from levada_cli.commands.cli import cli
from levada_cli.commands.compile import command

WORDS = st.sampled_from(
    (
        *("pipeline.py", "pipeline.py:nightly", "a:b", "", "-", "--", "airflow", "out", "é ü"),
        *(
            "--target",
            "-t",
            "-tir",
            "--target=ir",
            "--output",
            "-o",
            "-oout",
            "--check",
            "--json",
            "--prune",
        ),
        *("--env", "prod", "--env=prod", "--set", "executor=docker", "--set=a=-b"),
        *("--format", "full", "concise", "FULL", "--color", "never", "auto", "--help", "-h", "--x"),
    )
)

PLAIN = {
    "pipeline.py -t airflow -o dags": ("airflow",),
    "--target airflow --target ir a.py:nightly": ("airflow", "ir"),
    "a.py --check --json --format concise --color never": (),
    "": (),
    "--check": (),
    "a.py b.py flows -t ir --prune": ("ir",),
    "a.py --env prod --set a=1 --set b.c=-2 --target ir": ("ir",),
}

FOR_CLICK = ("a.py -h", "a.py b.py -tir", "a.py -o", "a.py -o -", "a.py -tir", "a.py --format html")


def by_click(words: list[str]) -> compiling.Options | None:
    """What click makes of the words; None where it refuses them or answers itself."""
    try:
        found = command.make_context("compile", list(words)).params
    except (click.UsageError, click.exceptions.Exit):
        return None
    return compiling.Options(**found)


@given(st.lists(WORDS, max_size=8))
def test_what_is_read_plainly_is_what_click_reads(words: list[str]) -> None:
    found = compiling.read_plain(words)
    assert found is None or found == by_click(words)


BUILD_WORDS = st.sampled_from(
    (
        *("pipeline.py", "a:b", "", "-", "--", "--push", "--push=a", "reg:5000/x", "--platform"),
        *("--builder", "--dry-run", "--dockerfile", "--upgrade", "--rebuild", "--insecure"),
        *("--json", "--color", "never", "always", "blue", "--help", "--dry"),
    )
)


@given(st.lists(BUILD_WORDS, max_size=8))
def test_a_build_that_is_read_plainly_is_what_click_reads(words: list[str]) -> None:
    found = plain.read(words, building.COMMAND_LINE)
    if found is not None:
        params = build.command.make_context("build", list(words)).params
        assert building.Options(**found) == building.Options(**params)


@pytest.mark.parametrize("line", PLAIN)
def test_usual_command_lines_are_plain(line: str) -> None:
    found = compiling.read_plain(line.split())
    assert found is not None
    assert found.names == PLAIN[line]
    assert found == by_click(line.split())


@pytest.mark.parametrize("line", FOR_CLICK)
def test_all_else_is_for_click(line: str) -> None:
    assert compiling.read_plain(line.split()) is None


def test_help_says_of_each_command_what_the_command_says_of_itself() -> None:
    context = click.Context(cli, info_name="levada")
    for name in cli.list_commands(context):
        found = cli.get_command(context, name)
        assert found is not None
        assert f"  {name:<10}  {found.get_short_help_str(100)}\n" in cli.get_help(context) + "\n"


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from levada_cli.commands.cli import run; run(['--help']);"
        "print([name for name in sys.modules if name.startswith('levada_cli.commands.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (
        "['levada_cli.commands.console', 'levada_cli.commands.cli']"
    )
