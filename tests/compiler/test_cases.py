"""The language by example: `cases/*.md`.

A page begins with the module that all its cases share. A case is a heading, the rest of the module
and what the compiler answers: its diagnostics as `line:column id: message`, where lines count from
the case's own first line, or else the program in short form.

`LEVADA_UPDATE_CASES=1 pytest tests/compiler/test_cases.py` writes the answers; read the diff.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.compiled import Compilation
from levada_compiler.program.expression_text import ExpressionWriter
from levada_compiler.program.ir import Branch, Call, Fail, Group, Guard, Loop, Node, Result, Value
from levada_compiler.program.verify import verify

PAGES = sorted((Path(__file__).parent / "cases").glob("*.md"))
CASE = re.compile(
    r"^## (?P<title>[^\n]+)\n\n```python\n(?P<source>.*?)^```\n\n```text\n(?P<answer>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHARED = re.compile(r"\A.*?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Case:
    page: Path
    title: str
    shared: str
    source: str
    answer: str


def read_cases() -> list[Case]:
    found = []
    for page in PAGES:
        text = page.read_text()
        shared = SHARED.match(text)
        assert shared is not None, page
        found += [
            Case(page, case["title"], shared[1], case["source"], case["answer"])
            for case in CASE.finditer(text, shared.end())
        ]
    return found


def answer(compilation: Compilation, shared_lines: int) -> str:
    lines = [
        f"{item.span.line - shared_lines}:{item.span.column} {item.id}: {item.message}"
        for item in compilation.diagnostics
    ]
    program = compilation.program
    if program is not None:
        assert verify(program) == []
        writer = ExpressionWriter(program)
        lines += listing(program.body, writer, "")
        lines += returned(program.result, writer)
    return "".join(f"{line}\n" for line in lines)


def returned(result: Result, writer: ExpressionWriter) -> list[str]:
    values = ", ".join(writer.text(value) for value in result.values)
    kind = f"{result.kind} " if result.kind not in ("none", "value", "tuple") else ""
    after = f" after {', '.join(result.after)}" if result.after else ""
    return [f"return {kind}{values}{after}".rstrip()] if values or after else []


def listing(nodes: tuple[Node, ...], writer: ExpressionWriter, indent: str) -> list[str]:
    """A program as indented text."""
    lines: list[str] = []
    for node in nodes:
        if node.id in writer.inlined:
            continue
        head, *regions = form(node, writer)
        after = f" after {', '.join(node.after)}" if node.after else ""
        lines.append(f"{indent}{node.id}: {head[0]}{after}")
        for title, region in regions:
            if title and region:
                lines.append(f"{indent}{title}")
            lines += listing(region, writer, f"{indent}    ")
    return lines


def form(node: Node, writer: ExpressionWriter) -> list[tuple[str, tuple[Node, ...]]]:
    match node:
        case Call():
            given = ", ".join(f"{a.name}={writer.text(a.value)}" for a in node.arguments)
            settings = "".join(f" {s.name}={s.value}" for s in node.settings)
            return [(f"{node.step.partition(':')[2]}({given}){settings}", ())]
        case Branch():
            head = f"if {writer.text(node.condition)}"
            return [(head, ()), ("", node.then), ("else", node.otherwise)]
        case Loop():
            head = f"for {writer.target(node.target)} in {writer.text(node.items)}"
            filters = "".join(f" if {writer.text(item)}" for item in node.conditions)
            limit = "" if node.max_parallel is None else f" max_parallel={node.max_parallel}"
            return [(head + filters + limit, ()), ("", node.body)]
        case Value():
            kind = "check " if node.is_checked else ""
            return [(f"{kind}{writer.text(node.value)}", ())]
        case Fail():
            if node.guard:
                return [(f"raise again {node.guard}", ())]
            name = node.classes[0].rpartition(".")[2]
            return [(f"raise {name}({', '.join(map(writer.text, node.arguments))})", ())]
        case Guard():
            handler = ("except", node.handler or ())
            checks = f" checks {', '.join(node.checks)}" if node.checks else ""
            return [(f"try{checks}", ()), ("", node.body), handler, ("finally", node.final)]
        case Group():
            return [(f"pipeline {node.pipeline}", ()), ("", node.body)]


def compiled(case: Case, folder: Path) -> str:
    (folder / "pyproject.toml").touch()
    path = folder / "flow.py"
    path.write_text(case.shared + case.source)
    return answer(compile_file(str(path), "flow"), case.shared.count("\n"))


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: f"{case.page.stem}: {case.title}")
def test_case(case: Case, tmp_path: Path) -> None:
    found = compiled(case, tmp_path)
    if os.environ.get("LEVADA_UPDATE_CASES"):
        old = f"```python\n{case.source}```\n\n```text\n{case.answer}```"
        new = f"```python\n{case.source}```\n\n```text\n{found}```"
        case.page.write_text(case.page.read_text().replace(old, new))
        return
    assert found == case.answer
