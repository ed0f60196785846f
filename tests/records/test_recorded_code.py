"""The code of a run is restored as it was, or what is missing is said."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from levada.engine import Outcome
from levada.store import Store, open_store
from levada.stores.transfer import copy
from levada_records.recorded_code import CodeNotStored, RecordedCode, differences, restore
from levada_records.runs import Run, read_run

from tests.engine.project import Project

SOURCE = """
from helpers import clean

@step
def load(n: int) -> int:
    return clean(n) + len(Path("{folder}/data/rows.csv").read_text())

@pipeline
def main(n: int = 1):
    return load(n)
"""

FILES = ["helpers.py", "pipeline.py", "pyproject.toml"]


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(
        ["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class Place:
    """A project, its run, and the folder that its code is restored to."""

    def __init__(self, folder: Path, *, own: str = "project") -> None:
        self.top = folder / "repository"
        root = self.top / own
        (root / "data").mkdir(parents=True)
        self.root = root
        self.project = Project(root, SOURCE.replace("{folder}", str(root)))
        self.project.store = str(folder / "store")
        self.write("helpers.py", "def clean(n):\n    return n\n")
        self.write("data/rows.csv", "1,2\n")
        self.target = folder / "restored"
        self.target.mkdir()

    def write(self, name: str, text: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self) -> None:
        (self.top / ".gitignore").write_text("data/\n__pycache__/\n")
        git(self.top, "init", "-q", "-b", "main")
        git(self.top, "add", ".")
        git(self.top, "commit", "-q", "-m", "first")

    def run(self, files: list[str] = FILES) -> Run:
        outcome = self.project.run(files=files)
        assert outcome.status == "succeeded", outcome.error
        return self.read(outcome)

    def read(self, outcome: Outcome) -> Run:
        return read_run(open_store(self.project.store), "main", outcome.run_id)

    def restore(self, run: Run, project: Path | None = None) -> RecordedCode:
        return restore(run, str(self.target), project=str(project or self.root))

    def texts(self, found: RecordedCode) -> dict[str, str]:
        root = Path(found.root)
        paths = (path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {str(path.relative_to(root)): path.read_text("latin-1") for path in paths}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def change_all(place: Place) -> None:
    """Change the working tree after the run."""
    for name in FILES:
        if (place.root / name).stat().st_size:
            place.write(name, f"# {name} is another one now\n")


def test_without_a_repository_the_sources_are_restored(place: Place) -> None:
    run = place.run()
    before = {name: (place.root / name).read_text() for name in FILES}
    change_all(place)
    found = place.restore(run)
    assert {name: place.texts(found)[name] for name in FILES} == before
    assert found.origin == "what the store has of it"
    assert found.missing == []
    assert run.plan is not None
    assert differences(run.plan, found.root) == []
    assert differences(run.plan, str(place.root)) == ["pipeline:load"]


def test_data_that_a_step_read_is_linked_as_it_is_now(place: Place) -> None:
    run = place.run()
    place.write("data/rows.csv", "3,4\n")
    found = place.restore(run)
    assert found.linked == ["data/rows.csv"]
    assert place.texts(found)["data/rows.csv"] == "3,4\n"


def test_a_commit_its_changes_and_new_files_are_restored(place: Place) -> None:
    place.write("conf.ini", "a = 1\n")
    place.write("logo.png", b"\x89PNG\0\1")
    place.commit()
    place.write("conf.ini", "a = 2\n")
    place.write("logo.png", b"\x89PNG\0\2")
    place.write("notes ü.txt", "new\n")
    (place.root / "gone.txt").touch()
    before = git(place.top, "status", "--short")
    run = place.run()
    change_all(place)
    git(place.top, "checkout", "-q", ".")
    (place.root / "notes ü.txt").unlink()
    found = place.restore(run)
    texts = place.texts(found)
    assert (texts["conf.ini"], texts["notes ü.txt"].strip()) == ("a = 2\n", "new")
    assert texts["logo.png"].endswith("\2")
    assert "with the changes since" in found.origin
    assert found.missing == []
    assert found.linked == ["data"]
    assert git(Path(found.root), "rev-parse", "HEAD") == git(place.top, "rev-parse", "HEAD")
    assert git(Path(found.root).parent, "status", "--short") == before


def test_the_repository_of_the_user_is_only_read(place: Place) -> None:
    place.commit()
    git(place.top, "worktree", "list")
    hook = place.top / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {place.top}/hooked\n")
    hook.chmod(0o755)
    run = place.run()

    def state() -> dict[str, bytes]:
        own = place.top / ".git"
        return {str(path): path.read_bytes() for path in own.rglob("*") if path.is_file()}

    before = state()
    place.restore(run)
    assert state() == before
    assert not (place.top / "hooked").exists()


def test_a_project_at_the_top_of_its_repository(tmp_path: Path) -> None:
    place = Place(tmp_path, own=".")
    place.commit()
    run = place.run()
    change_all(place)
    found = place.restore(run)
    assert run.plan is not None
    assert differences(run.plan, found.root) == []


def test_a_file_above_the_root_is_in_the_folder_too(place: Place) -> None:
    (place.top / "lib").mkdir()
    (place.top / "lib" / "shared.py").write_text("x = 1\n")
    run = place.run([*FILES, "../lib/shared.py"])
    found = place.restore(run)
    assert (Path(found.root).parent / "lib" / "shared.py").read_text() == "x = 1\n"
    assert found.root.startswith(str(place.target))


def test_a_file_above_the_repository_is_in_the_folder_too(place: Place, tmp_path: Path) -> None:
    place.commit()
    (tmp_path / "shared.py").write_text("x = 1\n")
    (tmp_path.parent / "more.py").write_text("x = 2\n")
    run = place.run([*FILES, "../../shared.py", "../../../more.py"])
    found = place.restore(run)
    above = Path(found.root).parent.parent
    assert (above / "shared.py").read_text() == "x = 1\n"
    assert (above.parent / "more.py").read_text() == "x = 2\n"
    assert above.parent.is_relative_to(place.target)
    assert git(Path(found.root), "rev-parse", "HEAD") == git(place.top, "rev-parse", "HEAD")
    assert found.missing == []


def test_a_submodule_is_restored_from_the_one_that_is_here(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q", "-b", "main")
    (other / "part.py").write_text("x = 1\n")
    git(other, "add", ".")
    git(other, "commit", "-q", "-m", "part")
    place.commit()
    git(place.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "part")
    git(place.top, "commit", "-q", "-m", "with part")
    run = place.run()
    found = place.restore(run)
    assert (Path(found.root).parent / "part" / "part.py").read_text() == "x = 1\n"
    assert found.missing == []


def test_a_commit_that_is_nowhere_is_made_up_for_by_the_sources(place: Place) -> None:
    place.commit()
    run = place.run()
    commit = git(place.top, "rev-parse", "--short=12", "HEAD")
    before = {name: (place.root / name).read_text() for name in FILES}
    shutil.rmtree(place.top / ".git")
    git(place.top, "init", "-q")
    change_all(place)
    found = place.restore(run)
    assert {name: place.texts(found)[name] for name in FILES} == before
    assert found.without == f"the commit {commit}: it is not in this repository"
    assert found.missing == []


def test_a_project_that_is_gone_is_made_up_for_by_the_sources(place: Place) -> None:
    place.commit()
    run = place.run()
    shutil.rmtree(place.top)
    found = restore(run, str(place.target), project=None)
    assert sorted(place.texts(found)) == FILES
    assert "the project is not here" in found.without
    assert found.missing == []


def test_a_run_without_sources_and_commit_cannot_be_restored(place: Place) -> None:
    run = place.run([])
    with pytest.raises(CodeNotStored, match="neither its sources nor a commit"):
        place.restore(run)


def test_what_is_not_stored_is_said(place: Place) -> None:
    place.write(".env", "A=1\n")
    place.commit()
    place.write(".env", "A=2\n")
    place.write("large.bin", b"x" * 300_000)
    place.write("source.bin", b"x" * 300_000)
    place.write("helpers.py", "KEY = 'correct-horse-battery'\ndef clean(n):\n    return n\n")
    outcome = place.project.run(files=[*FILES, "source.bin", ".env"])
    found = place.restore(place.read(outcome))
    assert found.missing == [
        "project/.env: its name says that it holds credentials",
        "project/large.bin (300,000 bytes): its content is not stored",
    ]
    assert place.texts(found)["source.bin"] == "x" * 300_000


def test_a_large_new_file_has_to_be_as_a_step_read_it(place: Place, tmp_path: Path) -> None:
    place.commit()
    (place.top / ".gitignore").write_text("__pycache__/\n")
    git(place.top, "commit", "-qam", "data is no longer ignored")
    place.write("data/rows.csv", "1,2\n" * 100_000)
    run = place.run()
    found = place.restore(run)
    assert (found.linked, found.missing) == (["data/rows.csv"], [])
    place.write("data/rows.csv", "3,4\n" * 100_000)
    (tmp_path / "again").mkdir()
    found = restore(run, str(tmp_path / "again"), project=str(place.root))
    said = "project/data/rows.csv (400,000 bytes): its content is not stored"
    assert (found.linked, found.missing) == (["data/rows.csv"], [said])


def test_binary_files_that_were_deleted_or_renamed(place: Place) -> None:
    data = bytes(range(256)) * 8
    for name in ("gone.bin", "old.bin", "kept.bin"):
        place.write(name, name.encode() + data)
    place.commit()
    (place.root / "gone.bin").unlink()
    git(place.root, "mv", "old.bin", "new.bin")
    place.write("new.bin", b"old.bin" + data + b"more")
    place.write("helpers.py", "def clean(n):\n    return n + 1\n")
    run = place.run()
    change_all(place)
    found = place.restore(run)
    texts = place.texts(found)
    assert sorted(name for name in texts if name.endswith(".bin")) == ["kept.bin", "new.bin"]
    assert texts["new.bin"].endswith("more")
    assert texts["helpers.py"] == "def clean(n):\n    return n + 1\n"
    assert found.missing == []


def test_a_large_binary_file_that_changed_is_not_taken_from_the_commit(place: Place) -> None:
    place.write("large.bin", b"\0" * 300_000)
    place.commit()
    place.write("large.bin", b"\0\1" * 200_000)
    found = place.restore(place.run())
    said = "project/large.bin (400,000 bytes): its content is not stored"
    assert found.missing == [said]
    assert "large.bin" not in place.texts(found)


TOKEN = "ghp_" + "a1" * 18


def test_masked_text_is_not_taken_for_the_file(place: Place) -> None:
    place.write("conf.ini", "a = 1\n")
    place.commit()
    place.write("conf.ini", f"a = {TOKEN}\n")
    place.write("new.ini", f"a = {TOKEN}\n")
    place.write("notes.md", "***\n")
    run = place.run()
    found = place.restore(run)
    assert found.missing == [
        "the changes since the commit: a secret in the diff is masked",
        "project/new.ini: a secret in it is masked",
    ]


def test_an_older_run_does_not_say_what_is_masked(place: Place) -> None:
    place.commit()
    place.write("new.ini", f"a = {TOKEN}\n")
    place.write("plain.ini", "a = 1\n")

    def change(document: dict[str, Any], _: Store) -> None:
        for entry in document["git"]["untracked"]:
            entry.pop("masked")

    found = place.restore(changed_run(place, change))
    assert found.missing == ["project/new.ini: a secret in it is masked"]


def test_a_name_that_is_masked_is_said(place: Place) -> None:
    place.commit()
    place.write(f"{TOKEN}.ini", "a = 1\n")

    def change(document: dict[str, Any], _: Store) -> None:
        document["git"]["untracked"][0]["path"] = "project/***.ini"

    found = place.restore(changed_run(place, change))
    assert found.missing == ["project/***.ini: a secret in its name is masked"]


@pytest.mark.parametrize("has_repository", [True, False])
def test_programs_stay_executable(place: Place, has_repository: bool) -> None:
    names = ["program.sh", "committed.sh", "plain.sh"]
    place.write("committed.sh", "true\n")
    (place.root / "committed.sh").chmod(0o755)
    if has_repository:
        place.commit()
    for name in ("program.sh", "plain.sh"):
        place.write(name, "true\n")
    (place.root / "program.sh").chmod(0o755)
    run = place.run([*FILES, *names])
    found = place.restore(run)
    programs = [name for name in names if (Path(found.root) / name).stat().st_mode & 0o111]
    assert programs == ["program.sh", "committed.sh"]


def test_changes_that_the_record_does_not_have_are_said(place: Place) -> None:
    place.commit()
    place.write("helpers.py", "def clean(n):\n    return n + 1\n")

    def change(document: dict[str, Any], _: Store) -> None:
        document["git"] |= {"diff": None, "dirty": None, "problem": "dubious ownership"}

    found = place.restore(changed_run(place, change))
    assert found.missing == ["the changes since the commit: git said: dubious ownership"]
    assert found.origin.startswith("commit ")
    assert "changes" not in found.origin


def test_a_repository_that_lacks_files_is_made_up_for_by_the_sources(place: Place) -> None:
    place.write("conf.ini", "a = 1\n")
    place.commit()
    run = place.run()
    blob = git(place.top, "rev-parse", "HEAD:project/conf.ini")
    (place.top / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    found = place.restore(run)
    assert sorted(name for name in place.texts(found) if name in FILES) == FILES
    assert "git cannot check it out from this repository" in found.without
    assert found.origin == "what the store has of it"


def test_a_shallow_repository_is_restored_from(place: Place, tmp_path: Path) -> None:
    place.write("conf.ini", "a = 1\n")
    place.commit()
    git(place.top, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{place.top}", str(shallow))
    run = place.run()
    found = place.restore(run, shallow / "project")
    assert (found.without, found.missing) == ("", [])
    assert place.texts(found)["conf.ini"] == "a = 1\n"


def test_in_a_bucket(place: Place) -> None:
    run = place.run()
    change_all(place)
    bucket = open_store(f"memory://{place.top.parent.name}/store")
    assert copy(run.store, bucket, lambda *_: None) == []
    moved = read_run(bucket, "main", run.run_id)
    found = place.restore(moved)
    assert moved.plan is not None
    assert differences(moved.plan, found.root) == []


# ---------------------------------------------------------------- documents that somebody changed


def changed_run(place: Place, change: Callable[[dict[str, Any], Store], None]) -> Run:
    """The run with another ``run.json``."""
    run = place.run()
    path = Path(place.project.store, run.folder, "run.json")
    document = json.loads(path.read_text())
    change(document, run.store)
    path.chmod(0o644)
    path.write_text(json.dumps(document))
    return read_run(run.store, "main", run.run_id)


def with_source(name: str) -> Callable[[dict[str, Any], Store], None]:
    def change(document: dict[str, Any], store: Store) -> None:
        content = {"schema": "levada.sources/1", "files": {name: {"text": "x"}}}
        document["sources"] = store.put_blob(json.dumps(content).encode())

    return change


def with_untracked(path: str) -> Callable[[dict[str, Any], Store], None]:
    def change(document: dict[str, Any], store: Store) -> None:
        entry = {"path": path, "size": 1, "digest": store.put_blob(b"x")}
        document["git"] = {**document["git"], "untracked": [entry]}

    return change


def with_folder(folder: str) -> Callable[[dict[str, Any], Store], None]:
    def change(document: dict[str, Any], _: Store) -> None:
        document["git"] = {**document["git"], "folder": folder}

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_source("/tmp/outside.py"),
        with_source("../" * 20 + "tmp/outside.py"),
        with_source("a/../../../../outside.py"),
        with_source("a\0.py"),
        with_untracked("../../outside.py"),
        with_untracked("/tmp/outside.py"),
        with_folder("../../.."),
        with_folder("/tmp"),
    ],
)
def test_nothing_is_written_outside_of_the_folder(
    place: Place, change: Callable[[dict[str, Any], Store], None]
) -> None:
    place.commit()
    run = changed_run(place, change)
    before = set(place.top.parent.iterdir())
    with pytest.raises(CodeNotStored, match="outside of the project"):
        place.restore(run)
    assert set(place.top.parent.iterdir()) == before


def test_nothing_is_written_through_a_link(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.root / "link").symlink_to(outside)
    place.commit()
    run = changed_run(place, with_source("link/evil.py"))
    with pytest.raises(CodeNotStored, match="outside of the project"):
        place.restore(run)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        with_source("../.git/config"),
        with_source(".git/hooks/post-checkout"),
        with_source("lib/.GIT/config"),
        with_source("git~1/config"),
        with_source(".git. /config"),
        with_source(".g\u200cit/config"),
        with_source("link/config"),
        with_untracked(".git/config"),
        with_untracked("project/link/config"),
        with_untracked("project/.git"),
    ],
)
@pytest.mark.parametrize("has_commit", [True, False])
def test_nothing_is_written_where_git_looks_for_commands(
    place: Place, change: Callable[[dict[str, Any], Store], None], has_commit: bool
) -> None:
    (place.root / "link").symlink_to("../.git")
    place.commit()

    def both(document: dict[str, Any], store: Store) -> None:
        change(document, store)
        if not has_commit:
            document["git"]["commit"] = "0" * 40

    run = changed_run(place, both)
    try:
        found = place.restore(run)
    except CodeNotStored as error:
        assert "git's own" in str(error)  # noqa: PT017
    else:  # without the commit, the link is not there, and it is the name of a folder
        assert not has_commit
        assert (Path(found.root) / "link" / "config").read_text() == "x"


DIFF = "diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n"
ONE_LINE = "@@ -0,0 +1 @@\n+{text}\n\\ No newline at end of file\n"


@pytest.mark.parametrize(
    "files",
    [
        [(".git/evil", "100644", "x")],
        [("a", "120000", ".git"), ("a/evil", "100644", "x")],
        [("../evil", "100644", "x")],
    ],
)
def test_a_diff_writes_nothing_outside_of_the_files_of_the_repository(
    place: Place, files: list[tuple[str, str, str]]
) -> None:
    place.commit()
    place.write("helpers.py", "def clean(n):\n    return n + 1\n")

    def change(document: dict[str, Any], store: Store) -> None:
        patch = "".join(
            (DIFF + ONE_LINE).format(name=name, mode=mode, text=text) for name, mode, text in files
        )
        document["git"]["diff"]["digest"] = store.put_blob(patch.encode())

    found = place.restore(changed_run(place, change))
    assert found.missing == ["the changes since the commit: the diff does not apply to it"]
    assert list(place.target.rglob("evil")) == []


@pytest.mark.parametrize("commit", ["--upload-pack=touch x", "HEAD", "main", "0" * 40])
def test_what_is_no_commit_is_none(place: Place, commit: str) -> None:
    def change(document: dict[str, Any], _: Store) -> None:
        document["git"] = {**document["git"], "commit": commit}

    place.commit()
    found = place.restore(changed_run(place, change))
    assert found.origin == "what the store has of it"
    assert "the commit" in found.without


def test_a_diff_that_does_not_apply_is_said_and_the_sources_count(place: Place) -> None:
    place.commit()
    place.write("helpers.py", "def clean(n):\n    return n + 1\n")

    def change(document: dict[str, Any], store: Store) -> None:
        digest = store.put_blob(b"diff --git a/no b/no\n--- a/no\n+++ b/no\n@@ -1 +1 @@\n-a\n+b\n")
        document["git"]["diff"]["digest"] = digest

    run = changed_run(place, change)
    change_all(place)
    found = place.restore(run)
    assert found.missing == ["the changes since the commit: the diff does not apply to it"]
    assert run.plan is not None
    assert differences(run.plan, found.root) == []
