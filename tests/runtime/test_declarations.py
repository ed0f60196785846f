"""Declarations stay out of Python's way, and refuse what has no meaning."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import operator
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from pathlib import Path

import levada
import pytest
from levada import Resources, Retry, Secret, Volume, after, pipeline, step
from levada.settings import setting_as_json


@step
def load(path: str) -> list[str]:
    return [path, path]


@step(retry=3, timeout="15m", resources=Resources(cpu=2, memory="4Gi"))
def measure(lines: list[str], scale: int = 1) -> int:
    return len(lines) * scale


def helper(x):
    return x


def rows(x):
    yield x


@pipeline(schedule="0 6 * * *", tags=["daily"])
def daily(path: str = "data.csv") -> int:
    lines = load(path)
    after(lines)
    return measure.after(lines).options(retry=Retry(1), timeout=60)(lines, scale=2)


def test_a_pipeline_is_an_ordinary_function():
    assert daily() == 4
    assert daily("other.csv") == 4


def test_a_decorator_gives_the_function_itself():
    def plain():
        return 1

    assert step(plain) is plain
    assert step(retry=1)(plain) is plain
    assert pipeline(plain) is plain
    assert measure.__name__ == "measure"


def test_a_step_is_made_of_a_function_that_exists_and_leaves_it_as_it_is():
    before = dict(vars(textwrap.dedent))
    task = step(textwrap.dedent, name="tidy", retry=2)
    other = step(textwrap.dedent)
    assert task(" a") == other.after(1).options(cache=False)(" a") == "a"
    assert (task.__name__, other.__name__) == ("tidy", "dedent")
    assert inspect.signature(task) == inspect.signature(textwrap.dedent)
    assert task.__doc__ == textwrap.dedent.__doc__
    assert task.__levada__["settings"] == {"retry": Retry(2).as_json()}
    assert vars(textwrap.dedent) == before


def test_a_step_is_made_of_a_function_of_this_module_and_of_a_step():
    settings = measure.__levada__["settings"]
    patient = step(measure, name="patient", retry=9)
    assert patient(["a"], scale=2) == 2
    assert patient is not measure
    assert measure.__levada__["settings"] is settings
    assert step(helper) is not helper
    assert not hasattr(helper, "__levada__")


@pytest.mark.parametrize(
    ("function", "arguments", "result"),
    [(math.sqrt, (4,), 2.0), (len, ("abc",), 3), (operator.itemgetter, None, None)],
)
def test_a_step_is_made_of_a_function_without_source(function, arguments, result):
    if arguments is None:
        with pytest.raises(TypeError, match="made of a function, not of <class"):
            step(function)
        return
    assert step(function, name="task")(*arguments) == result


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: step(lambda x: x, name="task"), "not of <function"),
        (lambda: step(functools.partial(helper, 1)), "not of functools.partial"),
        (lambda: step("text".upper), "not of the method upper"),
        (lambda: step(Path("a").exists, name="task"), "not of the method exists"),
        (lambda: step(asyncio.sleep), "sleep is async"),
        (lambda: step(rows, name="task"), "rows yields"),
        (lambda: step(dict), "not of <class"),
        (lambda: step(helper, name="not a name"), "must be a Python identifier"),
        (lambda: step(helper, name=3), "must be a Python identifier"),
        (lambda: step(helper, retrys=3), "has no setting 'retrys'"),
        (lambda: step(name="task"), "has no setting 'name'"),
    ],
)
def test_what_no_step_is_made_of(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        given()


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("retry", 3, {"count": 3, "delay": 1, "backoff": 2, "max_delay": None}),
        (
            "retry",
            Retry(2, delay=0.5, max_delay=60),
            {"count": 2, "delay": 0.5, "backoff": 2, "max_delay": 60},
        ),
        (
            "retry",
            Retry(2, delay="90s", max_delay=timedelta(hours=1)),
            {"count": 2, "delay": 90, "backoff": 2, "max_delay": 3600},
        ),
        ("timeout", 90, 90),
        ("timeout", "90s", 90),
        ("timeout", "1.5h", 5400),
        ("timeout", "2d", 172800),
        ("timeout", timedelta(minutes=2), 120),
        ("resources", Resources(cpu="500m", gpu=1), {"cpu": "500m", "gpu": 1}),
        ("secrets", ["TOKEN"], {"TOKEN": "TOKEN"}),
        ("secrets", {"A": "vault/a", "B": Secret("vault", "b")}, {"A": "vault/a", "B": "vault/b"}),
        ("environment", {"MODE": ""}, {"MODE": ""}),
        (
            "volumes",
            [Volume("claim", "/data", read_only=True)],
            [{"claim": "claim", "path": "/data", "read_only": True}],
        ),
        ("requirements", ("pandas>=2",), ["pandas>=2"]),
        ("cache", False, False),
        ("produces", ["s3://b/model", "s3://b/model"], ["s3://b/model"]),
        ("on_failure", "team.alerts:tell", "team.alerts:tell"),
        ("sla", "2h", 7200),
    ],
)
def test_what_a_setting_means(name, value, meaning):
    assert setting_as_json("step", name, value) == meaning


def test_what_a_setting_of_a_pipeline_means():
    assert setting_as_json("pipeline", "start_date", date(2026, 1, 2)) == "2026-01-02"
    assert setting_as_json("pipeline", "schedule", None) is None


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda: step(bogus=1), TypeError, "a step has no setting 'bogus'"),
        (lambda: step(schedule="@daily"), TypeError, "a step has no setting 'schedule'"),
        (lambda: pipeline(resources=Resources()), TypeError, "a pipeline has no setting"),
        (lambda: step(retry="3"), TypeError, "retry must be a whole number"),
        (lambda: step(retry=True), TypeError, "retry must be a whole number"),
        (lambda: step(retry=-1), ValueError, "retry must be at least 0"),
        (lambda: Retry(1, backoff=0.5), ValueError, "backoff must be a number from 1"),
        (lambda: Retry(1, delay=10**400), ValueError, "delay must be a number of at most 64 bits"),
        (
            lambda: Retry(1, delay="1000000000d"),
            ValueError,
            "delay must be at most 999,999,999 days",
        ),
        (lambda: step(timeout="soon"), ValueError, '"90s", "15m", "2h" or "1d"'),
        (lambda: step(timeout=0), ValueError, "more than 0"),
        (lambda: step(timeout=float("inf")), ValueError, "timeout"),
        (lambda: step(produces="s3://b"), TypeError, "list of strings"),
        (lambda: step(consumes=["s3://b/\u00e9"]), ValueError, "plain ASCII"),
        (lambda: step(on_failure="tell"), ValueError, '"module:function"'),
        (lambda: pipeline(on_failure="a b:c"), ValueError, '"module:function"'),
        (lambda: step(cache=[1]), TypeError, "cache must be True, False or an age"),
        (lambda: step(cache="yes"), ValueError, 'an age as "90s", "15m", "6h" or "1d", not'),
        (lambda: step(cache=0), ValueError, "cache must be True, False or an age"),
        (lambda: step(requirements="pandas"), TypeError, "list of strings"),
        (lambda: step(environment={"A": 1}), TypeError, "environment['A'] must be a string"),
        (lambda: step(secrets={"A": 1}), TypeError, "secrets['A']"),
        (lambda: step(resources={"cpu": 1}), TypeError, "Resources("),
        (lambda: Resources(memory="4 GB"), ValueError, 'such as "4Gi"'),
        (lambda: Resources(gpu=1.5), TypeError, "gpu must be a whole number"),
        (lambda: load.options(retry="x"), TypeError, "retry must be a whole number"),
        (lambda: step(3), TypeError, "@step goes on a function"),
        (lambda: pipeline(max_parallel=0), ValueError, "max_parallel must be at least 1"),
    ],
)
def test_what_has_no_meaning(declare, error, message):
    with pytest.raises(error) as raised:
        declare()
    assert message in str(raised.value)


def test_functions_that_cannot_be_steps():
    async def later():
        return 1

    def several():
        yield 1

    with pytest.raises(TypeError, match="later is async"):
        step(later)
    with pytest.raises(TypeError, match="several yields"):
        step(several)


def test_importing_loads_next_to_nothing():
    before, after_import = (
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; {path}; {line}; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for line in ("pass", "import levada")
        for path in [f"sys.path.insert(0, {str(Path(levada.__file__).parents[1])!r})"]
    )
    added = set(after_import) - set(before)
    own = {"levada", "levada.declarations", "levada.settings", "levada.tracking"}
    assert added == own | {"__future__"}


def test_types_are_those_of_the_function(tmp_path):
    """A type checker sees the signatures, also through `after` and `options`."""
    (tmp_path / "typed.py").write_text(
        "from levada import pipeline, step\n"
        "@step\n"
        "def f(x: int) -> str: return str(x)\n"
        "@step(retry=1)\n"
        "def g(x: str) -> float: return 1.0\n"
        "@pipeline\n"
        "def p(n: int = 1) -> float: return g.after(1).options(timeout='1m')(f(n))\n"
        "reveal_type(f(1))\n"
        "reveal_type(g.after(1)('a'))\n"
        "reveal_type(p())\n"
        "f('wrong')\n"
        "g.options(bogus=1)\n"
    )
    path = Path(levada.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "typed.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(path), "PATH": ""},
        capture_output=True,
        text=True,
    ).stdout
    revealed = [line.rpartition("is ")[2] for line in found.splitlines() if "Revealed" in line]
    assert revealed == ['"str"', '"float"', '"float"']
    errors = [line for line in found.splitlines() if "error:" in line]
    assert ["[arg-type]" in errors[0], "[call-arg]" in errors[1], len(errors)] == [True, True, 2]
