"""The digest of a step changes when its code does, and only then. See the cases in ``code/``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from levada import project
from levada.code import Code, StepCode, parse

CASES = Path(__file__).parent / "code"
PYTHONS = [
    path
    for version in ("3.11", "3.12", "3.13", "3.14")
    for path in sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
]


@dataclass
class Case:
    """A project, what its steps are said to import, and edits with the steps that they change."""

    id: str
    files: dict[str, str] = field(default_factory=dict)
    expected: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    edits: list[tuple[str, str, str, list[str]]] = field(default_factory=list)

    def write(self, root: Path) -> Path:
        for name, text in {"pyproject.toml": "", **self.files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root / "pipeline.py"


def read_cases() -> list[Case]:
    sections = [
        (path.stem, section)
        for path in sorted(CASES.glob("*.md"))
        for section in re.split(r"^## ", path.read_text(), flags=re.MULTILINE)[1:]
    ]
    return [read_case(stem, section) for stem, section in sections]


def read_case(stem: str, section: str) -> Case:
    case = Case(f"{stem}: {section.splitlines()[0]}")
    blocks = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    case.files = dict(blocks.findall(section))
    for line in blocks.sub("", section).splitlines():
        kind, colon, entries = line.partition(": ")
        if colon and kind in ("imports", "files", "logs"):
            case.expected[kind] = dict(map(read_entry, entries.split(";")))
        cells = [cell.strip().strip("`").replace("\\n", "\n") for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0] in case.files:
            steps = [] if cells[3] == "nothing" else cells[3].split(", ")
            case.edits.append((cells[0], cells[1], cells[2], steps))
    return case


def read_entry(entry: str) -> tuple[str, list[str]]:
    step, _, names = entry.partition("=")
    return step.strip(), [name.strip() for name in names.split(",") if name.strip()]


def steps_of(path: Path) -> dict[str, StepCode]:
    text = path.read_text()
    names = re.findall(r"^@\w*\.?(?:step|task)\b(?:.*\n)+?def (\w+)", text, re.MULTILINE)
    names += re.findall(r"^(\w+) = step\(", text, re.MULTILINE)
    for pipeline, body in re.findall(r"^def (\w+)\(.*\n((?:(?: .*)?\n)*)", text, re.MULTILINE):
        nested = re.findall(r"^    @step\b.*\n    def (\w+)", body, re.MULTILINE)
        names += [f"{pipeline}.{name}" for name in nested]
    code = Code(project.find(str(path)))
    return {name: code.step(str(path), name) for name in names}


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.id)
def test_edits_change_exactly_the_steps_that_reach_them(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    before = steps_of(path)
    for name, old, new, expected in case.edits:
        text = case.files[name]
        assert old in text, old
        (tmp_path / name).write_text(text.replace(old, new))
        after = steps_of(path)
        changed = sorted(step for step in before if before[step].digest != after[step].digest)
        assert changed == expected, f"{name}: {old!r} -> {new!r}"
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.id)
def test_imports_and_files(case: Case, tmp_path: Path) -> None:
    steps = steps_of(case.write(tmp_path))
    for kind, entries in case.expected.items():
        assert {step: list(getattr(steps[step], kind)) for step in entries} == entries


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parent.parent.name)
def test_every_python_version_and_hash_seed_gives_the_same(python: Path, tmp_path: Path) -> None:
    """All cases and all of this package, in a process of another version, from another place."""
    script = Path(__file__).with_name("print_digests.py")
    runtime = Path(project.__file__).parent.parent
    outputs = set()
    for number, (version, seed) in enumerate([(sys.executable, "1"), (str(python), "2")]):
        root = tmp_path / f"place{number}"
        for index, case in enumerate(read_cases()):
            case.write(root / str(index))
        (root / "unicode").mkdir()
        (root / "unicode" / "pipeline.py").write_text(SYNTAX)
        environment = {**os.environ, "PYTHONPATH": str(runtime), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [version, "-S", str(script), str(root)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert outputs.pop().count("sha256:") > 20


#: What the versions of Python parse in their own ways.
SYNTAX = """
import re
from levada import step

@step
def strings(x):
    "é\U0001fae8"
    y = b"\\x00", u"u", "\U0001fae8\\ud800", "\x7f"
    return f"a{x!r:>{10}}b" "c" f"{x:}" f"{x = }" f"{{}}", y

@step
def numbers(x):
    return 10**3, 0x10, 1_000, 1e400, 1j, -0.0, 12345678901234567890, True, None, ...

@step
async def forms(x, /, *y, z=1, **w):
    async with x as a, y as b:
        return [await i async for i in x if i], {**w, "k": (yield)}, x[1:2, ...], lambda *a: a

@step
def raw(x):
    try:
        match x:
            case {"a": 1, **rest} | [*rest] if rest: return re.compile(r"\\d")
            case None | True: return x @ x
    except* (ValueError, TypeError): assert x, "no"
    else:
        del x.y, x[0]
"""


def test_data_files_belong_to_the_step(tmp_path: Path) -> None:
    path = Case("", {"pipeline.py": "def load(): ...\n"}).write(tmp_path)
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.csv").write_text("1")

    def digest(*files: str) -> str:
        return Code(project.find(str(path))).step(str(path), "load", files).digest

    whole = digest("data")
    assert whole == digest("data/**/*.csv") == digest("data/deep/a.csv", "data")
    assert whole != digest()
    (tmp_path / "data" / "deep" / "a.csv").write_text("2")
    assert whole != digest("data")
    assert Code(project.find(str(path))).data_files("*.txt") == []


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"x = (\n", "'(' was never closed", 1),
        (b"x = 1\n\x00", "null bytes", 1),
        (b"a = 1\nb = '\xff'\n", "not utf-8 text", 2),
        (b"# coding: nonsense\n", "unknown encoding", 1),
        (b"x = " + b"-" * 100_000 + b"1", "too", 1),
    ],
    ids=["unclosed", "nul", "bytes", "encoding", "depth"],
)
def test_what_cannot_be_read_is_a_syntax_error(
    content: bytes, message: str, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "pipeline.py"
    path.write_bytes(content)
    with pytest.raises(SyntaxError, match=re.escape(message)) as caught:
        Code(project.find(str(path))).step(str(path), "load")
    assert caught.value.filename == str(path)
    assert (caught.value.lineno or 1) >= line


def test_a_declared_encoding_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    plain = tmp_path / "plain" / "pipeline.py"
    for folder, content in {
        "plain": "def f():\n    return 'é'\n".encode(),
        "latin": "# coding: latin-1\r\ndef f():\r\n    return 'é'\r\n".encode("latin-1"),
        "marked": b"\xef\xbb\xbf" + "def f():\n    return 'é'\n".encode(),
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pipeline.py").write_bytes(content)
    digests = {
        Code(project.find(str(path))).step(str(path), "f").digest
        for path in tmp_path.glob("*/pipeline.py")
    }
    assert len(digests) == 1
    assert Code(project.find(str(plain))).text(str(plain)).count("\n") == 2


def test_an_unknown_function_is_a_lookup_error(tmp_path: Path) -> None:
    path = Case("", {"pipeline.py": ""}).write(tmp_path)
    with pytest.raises(LookupError, match=r"`load` is not defined in pipeline\.py"):
        Code(project.find(str(path))).step(str(path), "load")


def test_deep_and_long_code_is_no_trouble(tmp_path: Path) -> None:
    chain = " + ".join(["x"] * 1500)
    branches = "".join(f"    elif x == {i}:\n        y = {i}\n" for i in range(500))
    text = f"def f(x):\n    if x:\n        y = {chain}\n{branches}    return y\n"
    path = Case("", {"pipeline.py": text}).write(tmp_path)
    assert Code(project.find(str(path))).step(str(path), "f").digest.startswith("sha256:")


def test_warnings_of_the_parser_stay_silent() -> None:
    parse('x = "\\d"\n', "pipeline.py")
