"""What git says of a project, asked of real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from levada import git
from levada.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch) -> Path:
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "A")
        monkeypatch.setenv(f"{name}_EMAIL", "a@example.com")
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    (folder / "code.py").write_text("x = 1\n")
    (folder / ".env").write_text("PASSWORD=secret\n")
    run(folder, "add", ".")
    run(folder, "commit", "-q", "-m", "first")
    return folder


def run(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_clean_repository_from_a_folder_in_it(repository, store):
    run(repository, "remote", "add", "origin", "https://user:token@example.com/a/b.git")
    assert git.describe(str(repository / "sub"), store) == {
        "commit": run(repository, "rev-parse", "HEAD"),
        "branch": "main",
        "dirty": False,
        "remote": "https://example.com/a/b.git",
        "diff": None,
        "untracked": [],
    }


def test_changes_and_new_files_are_kept_without_secrets(repository, store):
    (repository / "code.py").write_text("x = 'hunter2'\n")
    (repository / ".env").write_text("PASSWORD=another\n")
    (repository / "new ü.py").write_text("token = 'hunter2'\n")
    (repository / "server.key").write_text("private")
    found = git.describe(str(repository), store, ["hunter2"])
    diff = store.read_blob(found["diff"]["digest"]).decode()
    assert "+x = '***'" in diff
    assert "another" not in diff
    by_path = {entry["path"]: entry["digest"] for entry in found["untracked"]}
    assert by_path["server.key"] is None
    assert store.read_blob(by_path["new ü.py"]) == b"token = '***'\n"
    assert found["dirty"] is True


def test_a_large_diff_is_cut(repository, store, monkeypatch):
    monkeypatch.setattr(git, "MAX_DIFF", 2_000)
    (repository / "code.py").write_text("x = 1\n" * 10_000)
    diff = git.describe(str(repository), store)["diff"]
    assert (diff["truncated"], diff["size"]) == (True, 2_000)


def test_large_files_are_only_named(repository, store):
    (repository / "data.bin").write_bytes(b"0" * (git.MAX_FILE + 1))
    (entry,) = git.describe(str(repository), store)["untracked"]
    assert entry == {"path": "data.bin", "size": git.MAX_FILE + 1, "digest": None}


def test_a_repository_without_a_commit(tmp_path, store):
    folder = tmp_path / "new"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    (folder / "code.py").write_text("x = 1\n")
    found = git.describe(str(folder), store)
    assert (found["commit"], found["branch"], found["diff"]) == (None, "main", None)


def test_a_detached_head(repository, store):
    run(repository, "checkout", "-q", "--detach")
    assert git.describe(str(repository), store)["branch"] is None


def test_no_repository_and_no_git(tmp_path, repository, store, monkeypatch):
    assert git.describe(str(tmp_path), store) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.describe(str(repository), store) is None


def test_a_git_that_does_not_come_back_is_left_alone(repository, store, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(git, "SECONDS", 0.2)
    assert git.describe(str(repository), store) is None
