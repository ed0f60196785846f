"""Files of the project that a step opens by name and that its `files` do not name."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada_cli.commands import building
from levada_compiler.compilation import compile_file

MODULE = """\
import json
from pathlib import Path

import pandas
from levada import pipeline, step


@step({settings})
def work() -> int:
    {body}
    return 1


@pipeline
def main():
    return work()
"""
CASES = [
    ("open('data.csv').read()", "", ["data.csv"]),
    ("open('./data.csv', encoding='utf-8').read()", "", ["data.csv"]),
    ("open('data.csv', 'rb').read()", "", ["data.csv"]),
    ("Path('data.csv').read_text()", "", ["data.csv"]),
    ("Path('data.csv').open()", "", ["data.csv"]),
    ("pandas.read_csv('sub/more.csv')", "", ["sub/more.csv"]),
    ("pandas.read_csv('sub/more.csv')", "files=['sub']", []),
    ("open('data.csv').read()", "files=['*.csv']", []),
    ("open('data.csv').read()", "files=['sub/*.csv']", ["data.csv"]),
    ("open('data.csv', 'w').write('')", "", []),
    ("open('data.csv', mode='a').write('')", "", []),
    ("open('missing.csv').read()", "", []),
    ("open('/etc/hostname').read()", "", []),
    ("open('../data.csv').read()", "", []),
    ("print('data.csv')", "", []),
]


@pytest.mark.parametrize(("body", "settings", "named"), CASES)
def test_warnings(tmp_path: Path, body: str, settings: str, named: list[str]) -> None:
    for name in ("pyproject.toml", "data.csv", "sub/more.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    path = tmp_path / "flow.py"
    path.write_text(MODULE.format(body=body, settings=settings))
    compilation = compile_file(str(path))
    assert compilation.program is not None
    found = [item for item in compilation.diagnostics if item.id == "undeclared-file"]
    assert [item.message.split("`")[1] for item in found] == named


def test_it_is_where_the_file_is_opened_and_once(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data.csv").touch()
    (tmp_path / "reading.py").write_text("def rows():\n    return open('data.csv').readlines()\n")
    path = tmp_path / "flow.py"
    steps = "".join(f"@step\ndef step_{n}() -> list:\n    return rows()\n\n" for n in range(2))
    path.write_text(
        f"from reading import rows\nfrom levada import pipeline, step\n\n{steps}"
        "@pipeline\ndef main():\n    return step_0(), step_1()\n"
    )
    (found,) = compile_file(str(path)).diagnostics
    assert (found.span.file, found.span.line, found.span.column) == ("reading.py", 2, 17)


def test_no_image_is_built_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data.csv").touch()
    path = tmp_path / "flow.py"
    path.write_text(MODULE.format(body="open('data.csv').read()", settings=""))
    given = building.Options(references=((str(path), None),), dry_run=True)
    assert building.execute(given) == 1
    assert "error[undeclared-file]: `data.csv`" in capsys.readouterr().err


def test_an_image_that_is_named_may_have_any_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data.csv").touch()
    path = tmp_path / "flow.py"
    path.write_text(MODULE.format(body="open('data.csv').read()", settings="image='team/steps:1'"))
    assert [each.id for each in compile_file(str(path)).diagnostics] == []
