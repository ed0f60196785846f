"""Signals, pipes, disks and our own bugs: one message, an exit status, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Project

SLOW = """
import time
from levada import pipeline, step

@step
def wait() -> None:
    print("waiting", flush=True)
    time.sleep(60)

@pipeline
def slow():
    wait()
"""

WITHOUT_ROOM = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
from levada_cli.main import main
sys.exit(main())
"""


def bomb(first: str, form: str) -> str:
    """YAML whose every line names the line before nine times."""
    lines = [f"a{at}: &a{at} {form % ', '.join([f'*a{at - 1}'] * 9)}" for at in range(1, 9)]
    return "\n".join([f"a0: &a0 {first}", *lines])


def test_an_interrupt_ends_a_run_with_130_and_a_record(project: Project) -> None:
    project.write("slow.py", SLOW)
    process = project.start("run", "slow.py", "--run-id", "r", "--store", "s")
    log = project.folder / "s" / "runs" / "slow" / "r" / "wait" / "1" / "log"
    for _ in range(600):
        if log.exists() and "waiting" in log.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelled in" in err
    assert "Traceback" not in err.split("cancelled in")[-1]
    assert (log.parent / "record.json").exists()


def test_a_reader_that_goes_away_is_no_trouble(project: Project) -> None:
    process = project.start("targets")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 141
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_said(project: Project) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "levada_cli.main", "graph", "pipeline.py"],
            cwd=project.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_files_are_written_all_or_none(project: Project) -> None:
    old = project.write("out/small.ir.json", '{\n  "schema": "levada.ir/2"}').read_text()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, "compile", "pipeline.py", "-t", "ir", "-o", "out"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | project.variables,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot write `out/small.ir.json`: File too large\n",
    )
    assert (project.folder / "out" / "small.ir.json").read_text() == old
    assert [path.name for path in (project.folder / "out").iterdir()] == ["small.ir.json"]


def test_a_file_that_levada_did_not_write_is_kept_without_force(project: Project) -> None:
    written = project.write("out/small.ir.json", "mine")
    compile_ = ("compile", "pipeline.py", "-t", "ir", "-o", "out")
    done = project.levada(*compile_)
    assert (done.returncode, done.stderr) == (
        1,
        "error: Levada did not write `out/small.ir.json`: choose another -o, or replace it with"
        " --force\n",
    )
    assert written.read_text() == "mine"
    assert project.levada(*compile_, "--force").returncode == 0
    assert written.read_text() != "mine"
    assert project.levada(*compile_).returncode == 0


def test_a_link_out_of_the_output_folder_is_not_followed(project: Project) -> None:
    kept = project.write("kept.json", "")
    (project.folder / "out").mkdir()
    (project.folder / "out" / "small.ir.json").symlink_to(kept)
    done = project.levada("compile", "pipeline.py", "-t", "ir", "-o", "out", "--force")
    assert (done.returncode, done.stderr) == (
        1,
        "error: `out/small.ir.json` is a link that leads out of the folder: remove it\n",
    )
    assert kept.read_text() == ""


def test_folders_made_for_nothing_are_removed(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ROOM, "compile", "pipeline.py", "-t", "ir", "-o", "a/b"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | project.variables,
    )
    assert done.returncode == 1
    assert not (project.folder / "a").exists()


def test_what_is_no_file_is_written_to_and_never_replaced(project: Project) -> None:
    pipe = project.folder / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    done = project.levada("graph", "pipeline.py", "-o", "pipe")
    assert (done.returncode, done.stderr) == (0, "")
    assert reader.communicate(timeout=30)[0].startswith("flowchart TD")
    assert pipe.is_fifo()
    os.mkfifo(project.folder / "small.ir.json")
    done = project.levada("compile", "pipeline.py", "-t", "ir", "-o", ".")
    assert done.stderr == "error: `small.ir.json` is not a regular file\n"
    assert (project.folder / "small.ir.json").is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(project: Project) -> None:
    out = project.folder / "out"
    out.mkdir(mode=0o500)
    done = project.levada("compile", "pipeline.py", "-t", "ir", "-o", "out")
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot write `out/small.ir.json`: Permission denied\n",
    )


def test_a_bug_of_ours_is_one_line_and_a_file(project: Project) -> None:
    project.write(
        "sitecustomize.py",
        "import levada_compiler.compilation as c\n"
        "def broken(*_, **__): raise KeyError('of ours')\n"
        "c.compile_pipelines = broken\n",
    )
    project.variables["PYTHONPATH"] = str(project.folder)
    project.variables["TMPDIR"] = str(project.folder)
    done = project.levada("check", "pipeline.py")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "internal error in Levada" in line
    [saved] = project.folder.glob("levada-*.txt")
    assert str(saved) in line
    assert "KeyError: 'of ours'" in saved.read_text()
    project.variables["LEVADA_DEBUG"] = "1"
    assert "Traceback" in project.levada("check", "pipeline.py").stderr


@pytest.mark.parametrize(
    ("target", "package"), [("kubernetes", "kubernetes"), ("kubeflow", "kfp_server_api")]
)
def test_a_package_that_a_client_needs_is_not_installed(
    project: Project, target: str, package: str
) -> None:
    project.write("sitecustomize.py", f"import sys\nsys.modules[{package!r}] = None\n")
    project.variables["PYTHONPATH"] = str(project.folder)
    image, host = 'image = "registry.example.com/steps:1"', 'host = "http://kfp"'
    tables = [("kubernetes", image), ("kubeflow", f"{image}\n{host}")]
    text = "\n".join(f"[tool.levada.targets.{name}]\n{table}" for name, table in tables)
    project.write("pyproject.toml", text)
    done = project.levada("deploy", "pipeline.py", "-t", target)
    assert (done.returncode, done.stderr) == (
        1,
        f"error: the client of `{target}` needs `{package}`, which is not installed\n"
        f"help: pip install 'levada[{target}]'\n",
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(project: Project, shell: str) -> None:
    assert "_LEVADA_COMPLETE" in project.levada("completion", shell).stdout


def test_what_is_completed(project: Project) -> None:
    project.variables |= {
        "_LEVADA_COMPLETE": "bash_complete",
        "COMP_WORDS": "levada compile pipeline.py --target i",
        "COMP_CWORD": "4",
    }
    done = project.levada()
    assert done.stdout == "plain,ir\n"


def test_environments_are_completed(project: Project) -> None:
    project.write(
        "pyproject.toml",
        "[tool.levada.targets.airflow.environments]\nprod = {}\nprobe = {}\ndev = {}\n",
    )
    project.variables |= {
        "_LEVADA_COMPLETE": "bash_complete",
        "COMP_WORDS": "levada submit pipeline.py --env pro",
        "COMP_CWORD": "4",
    }
    assert project.levada().stdout == "plain,probe\nplain,prod\n"


@pytest.mark.parametrize("form", ["full", "concise", "json", "github", "sarif"])
def test_a_file_name_that_is_not_text(project: Project, form: str) -> None:
    done = project.levada("check", "\udcff.py", "--format", form)
    assert done.returncode == 1
    assert "file-not-found" in done.stdout
    assert done.stderr == ""


def test_an_ascii_terminal(project: Project) -> None:
    project.variables["PYTHONIOENCODING"] = "ascii"
    project.write("pipeline.py", "x = 'ä' +")
    done = project.levada("check", "pipeline.py")
    assert done.returncode == 1
    assert "x = '\\xe4' +" in done.stdout


def test_closed_streams(project: Project) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m levada_cli.main check pipeline.py >&- 2>&-"],
        cwd=project.folder,
        env=os.environ | project.variables,
        check=False,
    )
    assert done.returncode == 0


def test_a_deep_pyproject_is_a_diagnostic(project: Project) -> None:
    project.write("pyproject.toml", "[tool.levada]\nx = " + "[" * 5_000 + "]" * 5_000)
    done = project.levada("check", "pipeline.py", "--format", "concise")
    assert "`pyproject.toml` cannot be read: it is nested too deeply" in done.stdout + done.stderr
    assert done.returncode == 1


def test_a_drawing_replaces_only_drawings(project: Project) -> None:
    source = (project.folder / "pipeline.py").read_text()
    done = project.levada("graph", "pipeline.py", "-o", "pipeline.py")
    assert done.returncode == 2
    assert "-o pipeline.py: a drawing is SVG" in done.stderr
    assert (project.folder / "pipeline.py").read_text() == source
    project.write("notes.md", "mine")
    done = project.levada("graph", "pipeline.py", "-o", "notes.md")
    assert done.returncode == 1
    assert "Levada did not write `notes.md`" in done.stderr
    assert (project.folder / "notes.md").read_text() == "mine"
    for name in ("flow.mmd", "flow.svg"):
        graph = ("graph", "pipeline.py", "-o", name)
        assert [project.levada(*graph).returncode for _ in range(2)] == [0, 0]
        project.write(name, 'flowchart TD\n  mine["by hand"]\n')
        assert project.levada(*graph).returncode == 1
        assert project.levada(*graph, "--force").returncode == 0
        assert "mine" not in (project.folder / name).read_text()
        other = "\n@pipeline\ndef other():\n    one()\n"
        project.write("both.py", (project.folder / "pipeline.py").read_text() + other)
        done = project.levada("graph", "both.py:other", "-o", name)
        assert f"`{name}` was made from `pipeline.py:small`" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.toml", "a." * 40_000 + "b = 1", "a key of more than 100 parts"),
        ("p.toml", "[" + "'a'. " * 200 + "b]", "a key of more than 100 parts"),
        ("p.toml", "\nx = {c = 1, " + "a." * 40_000 + "b = 1}", "parts (at line 2)"),
        ("p.toml", "\n" * 80_000 + "=", "are not TOML: Invalid statement (at line 80001"),
        ("p.yaml", bomb("[1]", "[%s]"), "more than 100,000 values"),
        ("p.yaml", bomb("{x: 1}", "{<<: [%s]}"), "more than 100,000 values"),
        ("p.yaml", "n: !!binary 'YQ=='", "JSON has no bytes"),
        ("p.yaml", "n: !!set {a}", "JSON has no set"),
    ],
)
def test_a_file_of_parameters_is_read_in_bounds(
    project: Project, name: str, content: str, message: str
) -> None:
    project.write(name, content)
    done = project.levada("run", "pipeline.py", "--params-file", name)
    assert done.returncode == 2
    assert message in done.stderr
