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
        "folder": "sub",
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


def test_what_is_masked_says_so(repository, store):
    (repository / "code.py").write_text("x = 'hunter2'\n")
    (repository / "new.py").write_text("token = 'hunter2'\n")
    (repository / "notes.md").write_text("***\n")
    found = git.describe(str(repository), store, ["hunter2"])
    assert found["diff"]["masked"] is True
    assert {each["path"]: each["masked"] for each in found["untracked"]} == {
        "new.py": True,
        "notes.md": False,
    }
    assert git.describe(str(repository), store)["diff"]["masked"] is False


def test_programs_are_known_as_such(repository, store):
    for name in ("plain.sh", "program.sh"):
        (repository / name).write_text("true\n")
    (repository / "program.sh").chmod(0o755)
    plain, program = git.describe(str(repository), store)["untracked"]
    assert "executable" not in plain
    assert program["executable"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.context", "0"),
        ("diff.renames", "copies"),
        ("diff.external", "/bin/true"),
        ("diff.submodule", "log"),
        ("color.diff", "always"),
        ("core.quotePath", "true"),
    ],
)
def test_a_diff_does_not_depend_on_how_the_user_reads_diffs(
    repository, with_submodule, store, name, value
):
    (with_submodule / "part.py").write_text("y = 2\n")
    run(repository, "mv", "code.py", "cöde.py")
    (repository / "cöde.py").write_text("x = 1\ny = 2\n")
    (repository / "copy.py").write_text("x = 1\n")
    run(repository, "add", ".")
    expected = git.describe(str(repository), store)
    run(repository, "config", name, value)
    run(with_submodule, "config", name, value)
    assert git.describe(str(repository), store) == expected


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


@pytest.fixture
def with_submodule(repository: Path, tmp_path: Path) -> Path:
    """A repository with the submodule `lib`; gives the submodule's folder."""
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "-q", "-b", "main")
    (other / "part.py").write_text("y = 1\n")
    run(other, "add", ".")
    run(other, "commit", "-q", "-m", "first")
    allowed = ("-c", "protocol.file.allow=always")
    run(repository, *allowed, "submodule", "--quiet", "add", str(other), "lib")
    run(repository, "commit", "-q", "-m", "with lib")
    return repository / "lib"


def test_a_clean_submodule_says_nothing(with_submodule, store):
    found = git.describe(str(with_submodule.parent), store)
    assert (found["dirty"], found["diff"], "submodules" in found) == (False, None, False)


def test_a_dirty_submodule(with_submodule, store):
    (with_submodule / "part.py").write_text("y = 'hunter2'\n")
    (with_submodule / "new.py").write_text("z = 1\n")
    (with_submodule / ".env").write_text("PASSWORD=secret\n")
    found = git.describe(str(with_submodule.parent), store, ["hunter2"])
    assert found["dirty"] is True
    said = {"path": "lib", "commit": False, "modified": True, "untracked": True}
    assert found["submodules"] == [said]
    diff = store.read_blob(found["diff"]["digest"]).decode()
    assert "-dirty" in diff
    assert "+++ b/lib/part.py" in diff
    assert "+y = '***'" in diff
    by_path = {entry["path"]: entry["digest"] for entry in found["untracked"]}
    assert by_path.keys() == {"lib/new.py", "lib/.env"}
    assert by_path["lib/.env"] is None
    assert store.read_blob(by_path["lib/new.py"]) == b"z = 1\n"


def test_a_submodule_at_another_commit(with_submodule, store):
    (with_submodule / "part.py").write_text("y = 2\n")
    run(with_submodule, "commit", "-q", "-a", "-m", "second")
    found = git.describe(str(with_submodule.parent), store)
    said = {"path": "lib", "commit": True, "modified": False, "untracked": False}
    assert found["submodules"] == [said]
    commit = run(with_submodule, "rev-parse", "HEAD")
    assert f"+Subproject commit {commit}" in store.read_blob(found["diff"]["digest"]).decode()


def test_binary_changes_are_kept(repository, store):
    for name in ("changed ü.bin", "gone.bin", "large.bin"):
        (repository / name).write_bytes(b"\0\1")
    run(repository, "add", ".")
    run(repository, "commit", "-q", "-m", "binary files")
    (repository / "changed ü.bin").write_bytes(b"\0\2\3")
    (repository / "large.bin").write_bytes(b"\0" * (git.MAX_FILE + 1))
    (repository / "gone.bin").unlink()
    (repository / "added.bin").write_bytes(b"\0\4")
    run(repository, "add", "added.bin")
    found = git.describe(str(repository), store)
    by_path = {entry["path"]: entry for entry in found["binary"]}
    assert by_path.keys() == {"added.bin", "changed ü.bin", "large.bin"}
    assert store.read_blob(by_path["changed ü.bin"]["digest"]) == b"\0\2\3"
    assert by_path["large.bin"] == {"path": "large.bin", "size": git.MAX_FILE + 1, "digest": None}
    assert "gone.bin and /dev/null" in store.read_blob(found["diff"]["digest"]).decode()


@pytest.mark.parametrize(
    "name", ["a and b.bin", 'quote".bin', "tab\t.bin", "back\\slash.bin", "ü.bin"]
)
def test_binary_files_of_any_name(repository, store, name):
    (repository / name).write_bytes(b"\0\1")
    run(repository, "add", ".")
    run(repository, "commit", "-q", "-m", "binary files")
    (repository / name).write_bytes(b"\0\2")
    (entry,) = git.describe(str(repository), store)["binary"]
    assert (entry["path"], store.read_blob(entry["digest"])) == (name, b"\0\2")
    (repository / name).unlink()
    diff = store.read_blob(git.describe(str(repository), store)["diff"]["digest"])
    assert git.binary_files(diff) == [(name, "")]


def test_a_renamed_file_is_no_untracked_one(repository, store):
    run(repository, "mv", "code.py", "? moved.py")
    found = git.describe(str(repository), store)
    assert (found["dirty"], found["untracked"]) == (True, [])


def test_a_repository_of_another_user(repository, store, monkeypatch):
    commit = run(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    found = git.describe(str(repository), store)
    assert (found["commit"], found["branch"], found["dirty"]) == (commit, "main", None)
    assert "dubious ownership" in found["problem"]


@pytest.mark.parametrize("how", ["packed", "detached", "worktree"])
def test_the_commit_of_a_repository_that_git_refuses(repository, store, monkeypatch, how):
    folder, branch = repository, "main"
    if how == "packed":
        run(repository, "pack-refs", "--all")
    elif how == "detached":
        run(repository, "checkout", "-q", "--detach")
        branch = None
    else:
        folder, branch = repository.parent / "tree", "side"
        run(repository, "worktree", "add", "-q", str(folder), "-b", "side")
    commit = run(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    found = git.describe(str(folder), store)
    assert (found["commit"], found["branch"]) == (commit, branch)


def test_variables_of_another_repository_are_not_believed(repository, store, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "-q", "-b", "elsewhere")
    (other / "stranger.py").touch()
    expected = git.describe(str(repository), store)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    assert git.describe(str(repository), store) == expected
    assert git.describe(str(tmp_path), store) is None


@pytest.mark.parametrize(
    "path",
    [
        "kubeconfig",
        "deploy/kubeconfig.yaml",
        ".kube/config",
        ".env.production",
        "tls/server.PEM",
        "id_rsa_deploy",
        "id_ed25519",
        "Credentials.json",
        "google-service-account-prod.json",
        "home/.aws/config",
        ".npmrc",
        "terraform.tfstate",
        "_netrc",
        "sub/token.txt",
        "api-keys.yml",
        "db_password",
        "pip.conf",
        "containers/auth.json",
        ".config/gh/hosts.yml",
        ".pypirc",
    ],
)
def test_files_of_credentials_are_only_named(repository, store, path):
    file = repository / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("very private\n")
    (entry,) = git.describe(str(repository), store)["untracked"]
    assert entry == {"path": path, "size": 13, "digest": None}
    run(repository, "add", "-f", path)
    run(repository, "commit", "-q", "-m", "by mistake")
    file.write_text("still private\n")
    (repository / "code.py").write_text("x = 2\n")
    found = git.describe(str(repository), store)
    diff = store.read_blob(found["diff"]["digest"]).decode()
    assert "+x = 2" in diff
    assert "private" not in diff
    assert found["left_out"] == [{"path": path}]


def test_credentials_of_docker_are_known_by_what_the_file_has(repository, store):
    file = repository / "config.json"
    file.write_text('{"auths": {"host": {"auth": "dXNlcjpwYXNz"}}}')
    (entry,) = git.describe(str(repository), store)["untracked"]
    assert entry["digest"] is None
    run(repository, "add", "-f", "config.json")
    found = git.describe(str(repository), store)
    assert b"dXNlcjpwYXNz" not in store.read_blob(found["diff"]["digest"])
    run(repository, "rm", "-q", "-f", "config.json")
    file.write_text('{"layers": 2}')
    (entry,) = git.describe(str(repository), store)["untracked"]
    assert store.read_blob(entry["digest"]) == b'{"layers": 2}'


def test_names_with_a_secret_are_masked(repository, store):
    run(repository, "checkout", "-q", "-b", "try-hunter2")
    (repository / "of_hunter2.py").write_text("x = 1\n")
    found = git.describe(str(repository), store, ["hunter2", "abc"])
    assert found["branch"] == "try-***"
    assert [entry["path"] for entry in found["untracked"]] == ["of_***.py"]
    assert found["commit"] == git.describe(str(repository), store)["commit"]


@pytest.mark.parametrize(
    "path",
    ["service_account.py", "environment.py", "tokens.py", "keys.py", "tokenizer.json", "token.py"],
)
def test_code_is_kept(repository, store, path):
    (repository / path).write_text("x = 1\n")
    (entry,) = git.describe(str(repository), store)["untracked"]
    assert entry["digest"] is not None


def test_a_git_that_does_not_come_back_is_left_alone(repository, store, monkeypatch, tmp_path):
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(git, "SECONDS", 0.2)
    assert git.describe(str(repository), store) is None
