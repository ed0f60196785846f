"""`levada deploy` for Airflow writes whole files or none, whatever happens; no server is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """
from levada import pipeline, step

@step
def one() -> int:
    return 1

@pipeline
def small():
    return one()
"""
SETTINGS = """
[tool.levada.targets.airflow]
dags_folder = "dags"
"""
#: What runs the command line, after something was done to the process.
PROGRAM = """
import os, resource, signal, sys
{}
from levada_cli.main import main
sys.exit(main())
"""
#: Writing ends after 100 bytes: as on a full disk, or with the death of the process.
FULL = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(1, (100, 100))"
KILLED_WRITING = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(1, (100, 100))"
KILLED_BEFORE = "os.replace = lambda *_: os.kill(os.getpid(), 9)"
KILLED_AFTER = "move = os.replace; os.replace = lambda *p: (move(*p), os.kill(os.getpid(), 9))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "dags").mkdir()
    return tmp_path


def deploy(folder: Path, *options: str, after: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(after), "deploy", "pipeline.py", *options]
    env = os.environ | {"LEVADA_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "dags").iterdir())


def test_what_changed_is_said(folder: Path) -> None:
    file = folder / "dags" / "small.py"
    assert deploy(folder).stderr == "new       dags/small.py\n"
    assert file.read_text().startswith('"""small.\n\nMade from pipeline.py:small by Levada')
    assert 'Path(__file__, "../..")' in file.read_text()  # the project, from where it is
    assert deploy(folder).stderr == "unchanged dags/small.py\n"

    file.chmod(0o640)
    (folder / "pipeline.py").write_text(PIPELINE.replace("return 1", "return 2"))
    before = file.read_text()
    said = deploy(folder, "--dry-run").stderr
    assert said.startswith(
        "changed   dags/small.py  what was there was compiled from another source: sha256:"
    )
    assert said.endswith("\nnothing was written: it is a dry run\n")
    assert file.read_text() == before
    assert deploy(folder).stderr == said.partition("\nnothing")[0] + "\n"
    assert file.read_text() != before
    assert file.stat().st_mode & 0o777 == 0o640  # who could read it can still


def test_in_a_checkout_the_way_to_the_repository_is_said(folder: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=dags, check=True, capture_output=True)

    dags = folder / "dags"
    subprocess.run(["git", "init", "-q", "--bare", folder / "remote.git"], check=True)
    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", str(folder / "remote.git"))
    said = deploy(folder).stderr
    assert said == (
        "new       dags/small.py\n"
        "help: an Airflow that reads this repository has it after: git -C dags add -- small.py && "
        "git -C dags commit -m 'Deploy small' -- small.py && git -C dags push\n"
    )
    git("add", "small.py")
    assert "git -C dags add -- small.py" in deploy(folder).stderr
    git("commit", "-m", "Deploy small")
    assert deploy(folder).stderr.endswith(" has it after: git -C dags push\n")
    git("push", "-q", "origin", "main")
    assert deploy(folder).stderr == "unchanged dags/small.py\n"
    (dags / ".gitignore").write_text("*.py\n")
    git("rm", "-q", "--cached", "small.py")
    assert deploy(folder).stderr == "unchanged dags/small.py\n"


def test_the_plugin_of_the_link_is_written_where_it_is_asked_for(folder: Path) -> None:
    (folder / "plugins").mkdir()
    asked = ("--set", "plugins_folder=plugins")
    file = folder / "plugins" / "levada_record_link.py"
    said = "new       plugins/levada_record_link.py"
    assert deploy(folder, *asked, "--dry-run").stderr.startswith(said)
    assert not file.exists()
    assert deploy(folder, *asked).stderr.startswith(said)
    assert "class RecordLink(BaseOperatorLink)" in file.read_text()
    assert deploy(folder, *asked).stderr.startswith(said.replace("new      ", "unchanged"))

    file.write_text("# somebody's own")
    (folder / "dags" / "small.py").unlink()
    done = deploy(folder, *asked)
    assert done.stderr == (
        "error: `plugins/levada_record_link.py` is there, and was not made by Levada\n"
        "help: remove it, or set no `plugins_folder`\n"
    )
    assert (done.returncode, files(folder)) == (1, [])


@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_leaves_what_was_there(folder: Path, is_new: bool) -> None:
    old = None
    if not is_new:
        deploy(folder)
        old = (folder / "dags" / "small.py").read_text()
        (folder / "pipeline.py").write_text(PIPELINE.replace("return 1", "return 2"))
    done = deploy(folder, after=FULL)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: cannot write `dags/small.py`: File too large\n"
    assert files(folder) == ([] if is_new else ["small.py"])
    assert is_new or (folder / "dags" / "small.py").read_text() == old


@pytest.mark.parametrize(
    ("after", "is_there"), [(KILLED_WRITING, False), (KILLED_BEFORE, False), (KILLED_AFTER, True)]
)
def test_killed_at_any_moment_the_file_is_the_old_or_the_new(
    folder: Path, after: str, is_there: bool
) -> None:
    deploy(folder)
    old = (folder / "dags" / "small.py").read_text()
    (folder / "pipeline.py").write_text(PIPELINE.replace("return 1", "return 2"))
    done = deploy(folder, after=after)
    assert done.returncode in (-signal.SIGKILL, -signal.SIGXFSZ)
    now = (folder / "dags" / "small.py").read_text()
    assert (now == old) != is_there
    assert now.endswith("\n")
    # What is left of it is nothing that Airflow would read.
    assert [name for name in files(folder) if name.endswith((".py", ".zip"))] == ["small.py"]
    assert deploy(folder).returncode == 0
    assert (folder / "dags" / "small.py").read_text() != old


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    done = deploy(folder, "--set", "dags_folder=/sys")
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write `/sys/small.py`: ")
    (folder / "file").write_text("")
    done = deploy(folder, "--set", "dags_folder=file")
    assert (done.returncode, done.stderr) == (
        1,
        "error: there is no folder `file`\n"
        "help: is `dags_folder` right, and the file system mounted?\n",
    )


def test_nothing_is_written_for_a_pipeline_with_errors(folder: Path) -> None:
    (folder / "pipeline.py").write_text(PIPELINE.replace("return one()", "return two()"))
    done = deploy(folder)
    assert (done.returncode, "error[" in done.stderr, files(folder)) == (1, True, [])


def test_the_errors_of_a_dead_server_do_not_stop_it(folder: Path) -> None:
    done = deploy(folder, "--set", "url=http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "new       dags/small.py\n")
    done = deploy(folder, "--set", "url=http://127.0.0.1:9", "--wait", "5")
    assert (done.returncode, done.stderr) == (
        1,
        "unchanged dags/small.py\n"
        "error: http://127.0.0.1:9 cannot be reached: Connection refused\n"
        "help: is it running, and is `url` right?\n",
    )
