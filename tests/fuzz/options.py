"""Options of targets made at random, and what is wrong with how a pipeline is compiled with them.

A number gives a ``pyproject.toml``, the same one each time: ``project_file(7)``.
"""

from __future__ import annotations

import time
import tomllib
import traceback
from random import Random
from typing import TYPE_CHECKING

from levada_cli.commands import compiling, configuration, front
from levada_compiler import targets
from levada_compiler.render import FORMATS, render
from levada_compiler.usage import UsageError

from tests.fuzz.compiling import LIMIT, load, place

if TYPE_CHECKING:
    from pathlib import Path

    from levada_compiler.options import Option
    from levada_compiler.target import Target

NAMES = ("airflow", "kubeflow", "kubernetes", "ir")
#: Pipelines that have what options are about: resources, volumes, secrets, loops, a schedule.
RICH = """from levada import Resources, Retry, Volume, pipeline, step

@step(resources=Resources(cpu=1, memory="1Gi"), secrets={"TOKEN": "name/key"}, priority=10)
def rows(n: int) -> list[int]:
    return list(range(n))

@step(volumes=[Volume("data", "/data")], retry=Retry(3), timeout="1h", executor="kubernetes")
def fit(row: int) -> int:
    return row

@step(queue="big", requirements=["pandas"])
def say(text: str = "") -> None: ...

@pipeline(schedule="0 0 * * *", max_parallel=3)
def flow(n: int = 1):
    try:
        found = [fit(row) for row in rows(n)]
        if n > 2:
            say(f"{n}")
    finally:
        say("over")
    return found
"""
PLAIN = """from levada import pipeline, step

@step
def rows(n: int) -> list[int]:
    return list(range(n))

@pipeline
def flow(n: int = 1):
    return [rows(row) for row in rows(n)]
"""
#: TOML values that are hard on whoever expects others.
VALUES = (
    *("0", "-1", "1", "2", "3", "65536", "2147483648", "9223372036854775807", "1" + "0" * 400),
    *("0.5", "-0.0", "inf", "-inf", "nan", "1e308", "0x1F", "true", "false"),
    *('""', '" "', '"a"', '"A B"', '"/"', '"//"', '".."', '"../x"', '"~"', '"/proc/self/mem"'),
    *('"\\u0000"', '"\\u001b[2J"', '"a\\n::error::x"', '"\\u202e"', '"\\U0001F4A5"', '"é"'),
    *('"{{ x }}"', '"{% raw %}"', '"$(A)"', "'''\"\"\"'''", '"\\\\"', '"%s"', '"{path}"', '"{"'),
    *('"1h"', '"0s"', '"-1d"', '"99999999999d"', '"1.5.2h"', '"process"', '"docker"', '"Always"'),
    *('"kubernetes"', '"module"', '"s3://b/k"', '"s3://"', '"file:///x"', '"http://[::1"', '"://"'),
    *('"https://u:p@h:99999/x"', '"ghcr.io/a/b:1"', '"UPPER/x"', '"a@sha256:0"', '"Europe/Berlin"'),
    *('"../../etc/passwd"', '"Europe"', f'"{"a" * 70}"', f'"{"a/" * 200}"', f'"{"(" * 3000}"'),
    *("[]", "[[]]", '["a", "a"]', "[1, 2]", '[""]', "[{}]", '[{ key = "a", operator = "x" }]'),
    *('[{ claim = "a", path = "/b" }]', "[{ claim = 1 }]", f"{'[' * 90}{']' * 90}"),
    *("{}", '{ a = "b" }', "{ a = 1 }", '{ "" = "" }', '{ "a/b/c" = "d" }', "{ a.b.c.d = 1 }"),
    *('{ "\\n" = "x" }', '{ "10" = "high" }', '{ "train.report" = "HTML" }', "{ a = [{ b = 1 }] }"),
    *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "{ a = 1979-05-27 }", "[07:32:00]"),
)
KEYS = ("a", '""', '"\\u001b"', '"a\\nb"', "environments", "compiler", "project", '"é"', "a.b")


def project_file(seed: int) -> str:
    """Return a ``pyproject.toml`` with options of every target."""
    random = Random(seed)
    lines: list[str] = []
    for name in NAMES:
        lines += [f"[tool.levada.targets.{name}]", *_table(random, name)]
        if random.random() < 0.2:
            lines += [f"[tool.levada.targets.{name}.environments.prod]", *_table(random, name)]
    if random.random() < 0.1:
        lines.insert(random.randrange(len(lines)), random.choice(("[", "tool.levada = 1", "a =")))
    return "\n".join(lines) + "\n"


def _table(random: Random, name: str) -> list[str]:
    table = targets.load(name).capabilities.options
    known = dict(table.definitions()) if table else {}
    chosen = random.sample(sorted(known), min(len(known), random.randint(0, 6)))
    given = {each: _value(random, known[each]) for each in chosen}
    if "image" in known and random.random() < 0.7:
        given["image"] = f'"registry.example.com/work@sha256:{"a" * 64}"'
    lines = [f"{each} = {value}" for each, value in given.items()]
    if random.random() < 0.05:
        lines.append(f"{random.choice(KEYS)} = {random.choice(VALUES)}")
    return lines


def _value(random: Random, option: Option[object]) -> str:
    """Return the example of an option, or something in its place or in the place of a part."""
    example = option.example or '"a"'
    change = random.random()
    if change < 0.75:
        return example
    parts = [each for each in example.replace(",", " ").split() if each[:1] in '"0123456789tf']
    if change < 0.9 and parts:
        return example.replace(random.choice(parts), random.choice(VALUES), 1)
    return random.choice(VALUES)


def fault(text: str, folder: Path) -> str:
    """Return what is wrong with how a pipeline is compiled with these options; empty if nothing."""
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    start = time.process_time()
    (folder / "fuzzed.py").write_text(PLAIN if len(text) % 2 else RICH)
    for name in NAMES:
        for environment in (None, "prod") if f"{name}.environments" in text else (None,):
            try:
                _compile(targets.load(name), folder, environment)
            except UsageError as error:
                if not str(error):
                    return f"{name}: it is refused without a word"
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                return f"{name}: {place(error)}\n{traceback.format_exc(limit=-6)}"
    spent = time.process_time() - start
    return f"it takes {spent:.1f} s" if spent > LIMIT else ""


def _compile(target: Target, folder: Path, environment: str | None) -> None:
    choice = configuration.Choice(environment)
    checked = front.check((str(folder / "fuzzed.py"), None), [target], choice=choice)
    for form in FORMATS:
        render(checked.diagnostics, checked.sources, form, colour=False).encode()
    if not checked.failed:
        for _, path, content in compiling.emit(checked, {target.name: str(folder)}):
            content.encode()
            load(path, content)


def smaller(text: str, folder: Path, said: str) -> str:
    """Return the lines of a project file without which it has another fault, or none."""
    kind, lines = said.partition("\n")[0], text.splitlines(keepends=True)
    for at in reversed(range(len(lines))):
        fewer = lines[:at] + lines[at + 1 :]
        if fault("".join(fewer), folder).partition("\n")[0] == kind:
            lines = fewer
    return "".join(lines)


def report(seed: int, said: str, folder: Path) -> str:
    """Return what is wrong with the options of a number, few of them, and how to repeat it."""
    few = smaller(project_file(seed), folder, said)
    repeat = f"python -m tests.fuzz --options --first {seed} --count 1"
    return f"options {seed}: {said}\n{few}\nrepeat: {repeat}"


def is_toml(text: str) -> bool:
    """Return whether a project file can be read at all."""
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return True
