"""Files that constants read: only regular ones of the project, and only so much."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from levada_compiler.compilation import compile_file

READ = "import json, tomllib, yaml\nfrom pathlib import Path\nfrom levada import pipeline, step\n"
FLOW = """

@step
def use(x): ...


@pipeline
def flow():
    return use(VALUE)
"""


def problem(folder: Path, value: str) -> str:
    """What is said of a module whose constant is this."""
    (folder / "pyproject.toml").touch()
    module = folder / "flow.py"
    module.write_text(f"{READ}\nVALUE = {value}\n{FLOW}")
    started = time.monotonic()
    compilation = compile_file(str(module))
    assert time.monotonic() - started < 20
    # The constants are of the steps' modules too, which is another test's matter.
    found = [item for item in compilation.diagnostics if item.id != "undeclared-file"]
    messages = [f"{item.id}: {item.message}" for item in found]
    assert (compilation.program is None) is bool(messages)
    assert all(item.help for item in compilation.diagnostics)
    return "\n".join(messages)


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "/etc/hostname", "/dev/zero", "/proc/self/environ", ".", "link", "a\\0b"],
)
def test_only_files_below_the_root_are_read(path: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside.txt").write_text("secret")
    (project / "link").symlink_to(tmp_path / "outside.txt")
    said = problem(project, f'open("{path}").read()')
    assert said.endswith("is not below the root of the project, and nothing else is read")


def test_a_link_within_the_project_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("x")
    (tmp_path / "link").symlink_to("real.txt")
    assert problem(tmp_path, 'Path("link").read_text()') == ""


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problem(tmp_path, 'open("pipe").read()').endswith("`pipe` is not a regular file")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    assert "is not a regular file" in problem(tmp_path, 'Path("inner").read_bytes()')


@pytest.mark.parametrize("mode", ["w", "a", "r+", "x", "wb"])
def test_nothing_is_written(mode: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("kept")
    assert "only read while compiling" in problem(tmp_path, f'open("x", "{mode}").read()')
    assert (tmp_path / "x").read_text() == "kept"


def bomb(levels: int, reference: str) -> str:
    """YAML whose every level has the one before ten times."""
    lines = ["v0: &v0 {a: 1}"]
    for level in range(levels):
        inner = ", ".join([f"*v{level}"] * 10)
        lines.append(f"v{level + 1}: &v{level + 1} {reference.format(inner)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "reader", "message"),
    [
        (b"x" * 1_000_001, 'open("data").read()', "`data` has more than 1,000,000 bytes"),
        (b"# " * 200_000, 'yaml.safe_load(open("data"))', "`data` has more than 250,000 bytes"),
        (bomb(9, "[{}]").encode(), 'yaml.safe_load(open("data"))', "aliases written out"),
        (bomb(9, "{{<<: [{}]}}").encode(), 'yaml.safe_load(open("data"))', "aliases written out"),
        (b"a: &a [*a]", 'yaml.safe_load(open("data"))', "a value contains itself"),
        (b"[" * 50_000, 'yaml.safe_load(open("data"))', "it is nested too deep"),
        (b"[" * 50_000, 'json.load(open("data"))', "nested too deep"),
        (b"a = " + b"[" * 50_000, 'tomllib.load(open("data", "rb"))', "it is nested too deep"),
        (b"!!python/object/apply:os.system [id]", 'yaml.safe_load(open("data"))', "is not YAML"),
        (b"{a: ", 'yaml.safe_load(open("data"))', "`data` is not YAML that can be read"),
        (b"{", 'json.load(open("data"))', "`data` is not JSON that can be read"),
        (b"a =", 'tomllib.load(open("data", "rb"))', "`data` is not TOML that can be read"),
        (b"\xff", 'open("data").read()', "`data` is not UTF-8"),
        (b"x", '[open("data")]', "`data` is an open file here, which is no value"),
        (b"x", 'open("data")', "`data` is an open file here, which is no value"),
        (b"x", 'open("data", encoding="latin-1").read()', "a file is read as UTF-8"),
        (b"x", 'open("data").readline()', "cannot be"),
    ],
)
def test_what_a_file_may_not_be(content: bytes, reader: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(content)
    assert message in problem(tmp_path, reader)


def test_what_is_in_the_file_is_part_of_the_meaning(tmp_path: Path) -> None:
    sources = []
    for size in (1, 2):
        (tmp_path / "config.yaml").write_text(f"size: {size}\n")
        assert problem(tmp_path, 'yaml.safe_load(open("config.yaml"))') == ""
        compilation = compile_file(str(tmp_path / "flow.py"))
        assert compilation.program is not None
        assert str(tmp_path / "config.yaml") in compilation.consulted
        sources.append(compilation.program.source)
    assert sources[0] != sources[1]
