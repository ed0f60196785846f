"""The files that the code of a run is in are in the store, as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from levada import sources
from levada.store import Store, StoreError, open_store


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "directory":
        return open_store(str(tmp_path / "store"))
    return open_store(f"memory://{tmp_path.name}/store")


def keep(
    root: Path, store: Store, *names: str, secrets: tuple[str, ...] = ()
) -> sources.SourceFiles:
    digest = sources.keep(str(root), names, store, secrets)
    assert digest is not None
    return sources.read(store, digest)


@pytest.mark.parametrize(
    "data",
    [
        b"x = 1\n",
        b"\xef\xbb\xbfx = 1\r\n",
        b"# -*- coding: latin-1 -*-\nname = 'M\xfcller'\n",
        "name = 'Müller 🐍'\n".encode(),
        b"",
    ],
)
def test_a_file_is_kept_byte_by_byte(tmp_path: Path, store: Store, data: bytes) -> None:
    (tmp_path / "a.py").write_bytes(data)
    assert sources.content(keep(tmp_path, store, "a.py")["a.py"]) == data


def test_the_same_files_are_one_blob(tmp_path: Path, store: Store) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    first = sources.keep(str(tmp_path), ["a.py", "b.py"], store)
    assert first == sources.keep(str(tmp_path), ["b.py", "a.py", "a.py"], store)


def test_the_locks_of_the_project_are_kept(tmp_path: Path, store: Store) -> None:
    for name in ("a.py", "uv.lock", "other.lock"):
        (tmp_path / name).write_text(f"# {name}\n")
    assert list(keep(tmp_path, store, "a.py")) == ["a.py", "uv.lock"]


def test_a_secret_is_masked_and_the_file_says_so(tmp_path: Path, store: Store) -> None:
    (tmp_path / "a.py").write_text("PASSWORD = 'correct-horse'\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    found = keep(tmp_path, store, "a.py", "b.py", secrets=("correct-horse",))
    assert "correct-horse" not in found["a.py"]["text"]
    assert found["a.py"]["masked"] is True
    assert "masked" not in found["b.py"]


def test_a_program_is_known_as_such(tmp_path: Path, store: Store) -> None:
    for name in ("a.sh", "b.sh"):
        (tmp_path / name).write_text("true\n")
    (tmp_path / "b.sh").chmod(0o755)
    found = keep(tmp_path, store, "a.sh", "b.sh")
    assert found == {"a.sh": {"text": "true\n"}, "b.sh": {"text": "true\n", "executable": True}}


def test_what_is_not_kept_says_why(tmp_path: Path, store: Store) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "large.csv").write_bytes(b"x" * (sources.MAX_FILE + 1))
    (tmp_path / "service.pem").write_text("key")
    os.mkfifo(tmp_path / "pipe")
    found = keep(tmp_path, store, "a.py", "large.csv", "service.pem", "pipe", "gone.py")
    assert {name: file.get("left_out") for name, file in found.items()} == {
        "a.py": None,
        "gone.py": "it could not be read: No such file or directory",
        "large.csv": "it has 1,000,001 bytes, and 1,000,000 are kept",
        "pipe": "it could not be read: not a regular file",
        "service.pem": "its name says that it holds credentials",
    }


def test_files_of_installed_distributions_are_left_to_their_packages(
    tmp_path: Path, store: Store
) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert list(keep(tmp_path, store, "a.py", "site-packages/pandas/__init__.py")) == ["a.py"]
    assert sources.keep(str(tmp_path), [], store) is None


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{}",
        b'{"schema": "levada.sources/2", "files": {}}',
        b'{"schema": "levada.sources/1", "files": {"a.py": {}}}',
        b'{"schema": "levada.sources/1", "files": {"a.py": {"text": 1}}}',
        b"no json",
        b"[" * 100_000,
        b'{"schema": "levada.sources/1", "files": {"a.py": {"text": "'
        + b"x" * 64_000_000
        + b'"}}}',
    ],
    ids=lambda text: text[:60].decode(),
)
def test_what_is_no_blob_of_sources_is_refused(store: Store, text: bytes) -> None:
    with pytest.raises(ValueError):
        sources.read(store, store.put_blob(text))


def test_a_blob_that_is_gone_is_an_error_of_the_store(store: Store) -> None:
    with pytest.raises(StoreError):
        sources.read(store, f"sha256:{'0' * 64}")
