"""The files of container steps: how values are handed over, and what is read of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from levada import container, programs
from levada.artifact import MaterializerError
from levada.errors import ProgramError, ReturnError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\nb", b"a\nb"),
        ("été", "été".encode()),
        (b"\0\xff", b"\0\xff"),
        (3, b"3"),
        (None, b"null"),
        (True, b"true"),
        ([1.5, {"a": "é"}], '[1.5, {"a": "é"}]'.encode()),
        ((1, 2), b"[1, 2]"),
    ],
)
def test_an_input_is_a_file(value: object, expected: bytes, tmp_path: Path) -> None:
    programs.stage({"x": value}, str(tmp_path))
    assert (tmp_path / "in" / "x").read_bytes() == expected
    assert (tmp_path / "out").is_dir()


def test_files_and_folders_are_copied(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / "link").symlink_to("a")
    programs.stage({"file": folder / "a", "folder": folder}, str(tmp_path / "made"))
    assert (tmp_path / "made/in/file").read_text() == "1"
    assert (tmp_path / "made/in/folder/link").is_symlink()


@pytest.mark.parametrize("value", [{1, 2}, object(), float("nan"), Path("/nowhere")])
def test_what_is_no_file_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(MaterializerError, match="the input 'x' cannot be handed to a program"):
        programs.stage({"x": value}, str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("str", b" a\n", " a\n"),
        ("bytes", b"\xff", b"\xff"),
        ("int", b"3\n", 3),
        ("float", b"3", 3.0),
        ("bool", b"false", False),
        ("list", b"[1]", [1]),
        ("dict", b'{"a": 1}', {"a": 1}),
        ("any", b"null", None),
    ],
)
def test_an_output_is_read_by_its_type(
    kind: str, data: bytes, expected: object, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "y").write_bytes(data)
    found = programs.collect({"outputs": {"y": kind}}, str(tmp_path))["y"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "data"),
    [("int", b"3.5"), ("int", b"true"), ("int", b""), ("list", b"{}"), ("str", b"\xff")],
)
def test_an_output_of_another_type(kind: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "y").write_bytes(data)
    with pytest.raises(ReturnError, match=f"the output 'y' in /levada/out/y is not {kind}"):
        programs.collect({"outputs": {"y": kind}}, str(tmp_path))


def test_an_output_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="there is no /levada/out/y"):
        programs.collect({"outputs": {"y": "pathlib.Path"}}, str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("a b",), {}, "an image is a text"),
        (("a",), {"command": "wc -l"}, "`command` is a list of texts"),
        (("a",), {"command": []}, "`command` is empty"),
        (("a",), {"inputs": {"a b": int}}, "a name in `inputs` is a Python identifier"),
        (("a",), {"outputs": {"y": set}}, "the output 'y' cannot be"),
        (("a",), {"requirements": ["x"]}, "a container step has no setting 'requirements'"),
        (("a",), {"memory": "1Gi"}, "a step has no setting 'memory'"),
        (("a",), {"name": "a b"}, "the name of a step must be a Python identifier"),
    ],
)
def test_what_has_no_meaning_is_refused(
    arguments: tuple[Any, ...], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        container(*arguments, **keywords)


def test_arguments_are_those_that_are_declared() -> None:
    count = container("a", inputs={"x": int}, outputs={"y": list[int]}, name="count")
    assert count.__name__ == "count"
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        count(x=1, z=2)
    with pytest.raises(TypeError, match="missing the argument 'x'"):
        count()
