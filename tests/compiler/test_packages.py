"""Steps of other packages, and steps that are made of functions; see the cases in `packages/`.

A case is a project: its files, the distributions that are installed beside it (`installed:`, each
with the files below `site/` that it has), and what the compiler answers for the pipeline `flow` of
`flow.py`, in the form of `cases/`. `LEVADA_UPDATE_CASES=1` writes the answers; read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.compiled import Compilation
from levada_compiler.program.expression_text import ExpressionWriter
from levada_compiler.program.verify import verify

from tests.compiler.test_cases import listing

PAGES = sorted((Path(__file__).parent / "packages").glob("*.md"))
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SITE = ".venv/lib/python3.11/site-packages"


def sections(page: Path) -> list[str]:
    return re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]


CASES = [
    pytest.param(page, section, id=f"{page.stem}: {section.splitlines()[0]}")
    for page in PAGES
    for section in sections(page)
]


def write(section: str, folder: Path) -> Path:
    """Write a case's project into the folder; returns the path of its pipeline."""
    files = {name: text for name, text in BLOCK.findall(section) if name != "answer"}
    for name, text in {"pyproject.toml": "", **files}.items():
        path = folder / name.replace("site/", f"{SITE}/", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    installed = [name.removeprefix("site/") for name in files if name.startswith("site/")]
    for line in re.findall(r"^installed: (.*)$", section, re.MULTILINE):
        name, _, start = line.partition(" = ")
        info = folder / SITE / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        owned = [file for file in installed if file.startswith(start)]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in owned))
    return folder / "flow.py"


def answer(compilation: Compilation) -> str:
    lines = [
        f"{item.span.file}:{item.span.line}:{item.span.column} {item.id}: {item.message}"
        for item in compilation.diagnostics
    ]
    helps = [f"help: {item.help}" for item in compilation.diagnostics]
    lines = [line for pair in zip(lines, helps, strict=True) for line in pair]
    program = compilation.program
    if program is not None:
        assert verify(program) == []
        writer = ExpressionWriter(program)
        lines += listing(program.body, writer, "")
        if program.result is not None:
            lines.append(f"return {', '.join(map(writer.text, program.result.values))}")
        lines += [f"{step.key} in {step.span.file}" for step in program.steps]
        lines.append(f"search {' '.join(program.search)}")
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(("page", "section"), CASES)
def test_case(page: Path, section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    (tmp_path / SITE).mkdir(parents=True)
    found = answer(compile_file(str(write(section, tmp_path)), "flow"))
    expected = dict(BLOCK.findall(section))["answer"]
    if os.environ.get("LEVADA_UPDATE_CASES"):
        text = page.read_text()
        page.write_text(
            text.replace(section, section.replace(f"answer\n{expected}", f"answer\n{found}"))
        )
        return
    assert found == expected
    assert str(tmp_path) not in found
