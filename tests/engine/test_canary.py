"""A secret in every form, said in every way: no file of a run on any engine has it.

But for the values that a step may return with it: these are data.
"""

from __future__ import annotations

import base64
import html
import json
import os
import shlex
import subprocess
import sys
import textwrap
import urllib.parse
from pathlib import Path
from typing import Any, cast

import levada
import pytest
import yaml
from levada import engine
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan

CANARY = 'Canary<1>/"two"&three=é four+five\\six seven eight nine ten eleven twelve'
LINES = "canary of line one\ncanary of line two\n"
PIPELINE = Path(__file__).parent / "cases" / "canary.py"
VARIABLES = {"TOKEN": CANARY, "KEY": LINES, "SCHEMA": "prod"}


def forms(secret: str) -> dict[str, bytes]:
    """What the secret is written as; the text of base64 is what its neighbours do not change."""
    data = secret.encode()
    found = {
        "plain": secret,
        "percent": urllib.parse.quote(secret, safe=""),
        "form": urllib.parse.quote_plus(secret),
        "json": json.dumps(secret)[1:-1],
        "repr": repr(secret)[1:-1],
        "html": html.escape(secret),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        "percent twice": urllib.parse.quote(urllib.parse.quote(secret)),
        "json of PHP": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "shell": shlex.quote(f"'{secret}'")[6:-6],
    }
    for before in range(3):
        once = base64.b64encode(b"x" * before + data).decode()[4:-4]
        found[f"base64, {before}"] = once
        for outer in range(3):
            twice = base64.b64encode(b"x" * outer + once.encode()).decode()[4:-4]
            found[f"base64 twice, {before} {outer}"] = twice
    return {name: text.encode() for name, text in found.items()}


def squeezed(data: bytes) -> bytes:
    """Without white space, as it is and escaped."""
    return b"".join(data.replace(b"\\n", b"\n").split())


def check(folder: Path, data: set[bytes] = frozenset()) -> None:  # type: ignore[assignment]
    """Look through every file but blobs of exactly this data, and through the names of all."""
    sought = {
        (name, form): squeezed(text)
        for name in ("TOKEN", "KEY")
        for form, text in forms(VARIABLES[name]).items()
    }
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        if content in data and "blobs" in path.parts:
            continue
        text = squeezed(content) + str(path.relative_to(folder)).encode()
        assert [each for each, form in sought.items() if form in text] == [], path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline in a repository that has the secret in its changes and names."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\n")
    (folder / "canary.py").write_text(PIPELINE.read_text())
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *author, *words], cwd=folder, check=True)
    (folder / "canary.py").write_text(f"{PIPELINE.read_text()}# {CANARY}\n")
    (folder / "notes.txt").write_text("\n".join(textwrap.wrap(CANARY, 12)))
    (folder / f"{CANARY.encode().hex()}.txt").touch()
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return folder


def test_no_file_of_a_local_run(project: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "levada_cli.main", "run", "canary.py:flow", "--json"),
            *("--store", str(tmp_path / "out" / "store")),
        ],
        cwd=project,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1, done.stderr.decode()
    for name, data in (("stdout", done.stdout), ("stderr", done.stderr)):
        (tmp_path / "out" / name).write_bytes(data)
    shown = done.stderr.decode()
    assert "said" in shown
    assert "***" in shown
    check(tmp_path / "out", {json.dumps(CANARY, ensure_ascii=False).encode()})


def test_no_file_of_a_run_in_this_process(project: Path, tmp_path: Path) -> None:
    program = compile_file(str(project / "canary.py"), "flow").program
    assert program is not None
    events: list[str] = []
    outcome = engine.run(
        cast("Any", plan(program)),
        {},
        store=str(tmp_path / "out" / "store"),
        project=str(project),
        on_event=lambda event: events.append(json.dumps(vars_of(event), default=str)),
    )
    (tmp_path / "out" / "events").write_text("\n".join(events), encoding="utf-8")
    (tmp_path / "out" / "outcome").write_text(json.dumps(outcome.as_json()))
    check(tmp_path / "out", {json.dumps(CANARY, ensure_ascii=False).encode()})


def vars_of(event: Any) -> dict[str, Any]:
    return {
        "node": event.node,
        "kind": event.kind,
        **{k: repr(v) for k, v in event.details.items()},
    }


def call(project: Path, out: Path, module: str, *words: str) -> int:
    """Run one task as an engine would, and keep what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(levada.__file__).parents[1]),
            "LEVADA_STORE": str(out / "store"),
            "LEVADA_PROJECT": str(project),
            "LEVADA_RUN_ID": "run-1",
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    number = len(list(out.glob("task-*")))
    (out / f"task-{number}").write_bytes(done.stdout + done.stderr)
    return done.returncode


NODES = {"loud": 0, "listens": 0, "fails": 1, "returns": 65, "kept": 0}


def test_no_file_of_the_tasks_of_an_engine(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for node, code in NODES.items():
        own = [] if node == "listens" else [*VARIABLES]
        step: dict[str, Any] = {"module": "canary", "function": node}
        step["settings"] = {
            "secrets": dict.fromkeys(own, "a/b"),
            "allow_secret_output": node == "kept",
        }
        request = {"do": "step", "pipeline": "flow", "node": node, "step": step}
        request |= {"secrets": [*VARIABLES], "params": {}}
        assert call(project, out, "levada", json.dumps(request)) == code
    check(out, {json.dumps(CANARY, ensure_ascii=False).encode()})


def test_no_file_of_the_tasks_of_kubeflow(project: Path, tmp_path: Path) -> None:
    """As they were compiled, in one environment, as KFP's local runner has it."""
    out = tmp_path / "out"
    out.mkdir()
    command = [
        "compile",
        "canary.py:flow",
        "-t",
        "kubeflow",
        "--set",
        "image=x/y:1",
        "-o",
        str(out),
    ]
    subprocess.run([sys.executable, "-m", "levada_cli.main", *command], cwd=project, check=True)
    (file,) = out.glob("*.yaml")
    spec = next(iter(yaml.safe_load_all(file.read_text())))
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    for node in ("loud", "listens", "kept"):
        task = tasks[node]
        component = spec["components"][task["componentRef"]["name"]]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        given = {
            name: value["runtimeValue"]["constant"]
            for name, value in task.get("inputs", {}).get("parameters", {}).items()
            if "runtimeValue" in value
        }
        declared = component.get("outputDefinitions", {})
        artifacts = {
            name: {
                "artifacts": [
                    {"name": name, "uri": f"{out}/{node}-{name}", "type": each["artifactType"]}
                ]
            }
            for name, each in declared.get("artifacts", {}).items()
        }
        parameters = {
            name: {"outputFile": f"{out}/{node}-{name}"} for name in declared.get("parameters", {})
        }
        outputs = {
            "artifacts": artifacts,
            "outputFile": f"{out}/{node}.json",
            "parameters": parameters,
        }
        told = json.dumps({"inputs": {"parameterValues": given}, "outputs": outputs})
        words = [each.replace("{{$.pipeline_job_uuid}}", "run-1") for each in container["args"]]
        assert call(project, out, "levada.kubeflow", words[0], told) == 0
        if node == "kept":  # what other tasks are given is data
            answer = json.loads((out / "kept.json").read_text())
            answer.pop("parameterValues", None)
            (out / "kept.json").write_text(json.dumps(answer))
    check(out, {json.dumps(CANARY, ensure_ascii=False).encode()})
