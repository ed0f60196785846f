# ruff: noqa: ARG002
"""A target whose engine plays what `script.json` says: for what all clients share.

The script is a list of run states, given one after the other. What is asked of the engine is kept
in `asked.jsonl`.
"""

from __future__ import annotations

import json
from pathlib import Path

from levada_compiler import output_files
from levada_compiler.client import (
    Change,
    Client,
    ClientError,
    NotDeployedError,
    Run,
    RunState,
    StepState,
    secret_option,
)
from levada_compiler.options import TEXT, Kind, Option, OptionTable
from levada_compiler.target import Capabilities


class DeskOptions(OptionTable):
    mood = Option(Kind(lambda _, value: value, "object", {}, '"merry"'), "", "how it is played")


class StageOptions(DeskOptions):
    folder = Option(TEXT, "", "where it is deployed")
    token_env = Option(TEXT, "", "where the token is")


class Stage:
    name = "stage"
    description = "plays a script"
    client = "rehearsal:Actor"
    capabilities = Capabilities.everything("played", StageOptions)

    def check(self, program, options):
        return ()

    def emit(self, program, options):
        lines = [f"{name} = {json.dumps(value)}" for name, value in sorted(options.items())]
        kept = [line for line in lines if not line.startswith("compiler")]
        return {f"{program.name}.txt": "\n".join([program.source, *kept]) + "\n"}


class Desk(Stage):
    name = "desk"
    description = "can be compiled for only"
    client = None
    capabilities = Capabilities.everything("played", DeskOptions)


STAGE = Stage()
DESK = Desk()


class Actor(Client):
    def __init__(self, options, root):
        self.options = options
        self.root = Path(root)
        secret_option(options, "token_env")

    @property
    def address(self):
        return f"the stage {output_files.display_path(self.folder)}"

    @property
    def folder(self):
        return str(Path(self.root, self.options.get("folder", "stage")))

    def _note(self, **what):
        with (self.root / "asked.jsonl").open("a") as file:
            file.write(json.dumps(what) + "\n")

    def deploy(self, compiled, *, dry_run=False):
        refused = Path(self.root, "refused.txt")
        if refused.is_file() and compiled.pipeline in refused.read_text().split():
            raise ClientError("the stage is full", "make room")
        contents = {path: text.encode() for path, text in compiled.files.items()}
        before = output_files.read(self.folder, contents)
        if not dry_run:
            output_files.write(self.folder, contents, before)
        words = {path: "new" if old is None else "changed" for path, old in before.items()}
        return [
            Change(path, "unchanged" if before[path] == contents[path] else words[path])
            for path in contents
        ]

    def verify(self, compiled):
        for path, text in compiled.files.items():
            place = Path(self.folder, path)
            if not place.is_file() or place.read_text() != text:
                raise NotDeployedError(f"`{path}` is not on the stage", "levada deploy")

    def submit(self, compiled, request):
        self._note(submit=dict(request.parameters), run_id=request.run_id, unpause=request.unpause)
        return Run(compiled.pipeline, request.run_id or "made-up", "https://stage.example/1")

    def find(self, pipeline, run_id):
        if not (self.root / "script.json").is_file():
            raise ClientError(f"there is no run `{run_id}`")
        return Run(pipeline, run_id)

    def _script(self, run):
        for state in json.loads((self.root / "script.json").read_text()):
            if "refused" in state:
                raise ClientError(state["refused"])
            steps = [self._step(step) for step in state.pop("steps", [])]
            yield RunState(run, steps=tuple(steps), **state)

    def _step(self, step):
        index = step.pop("map_index", None)
        log = step.pop("log", [])
        return StepState(**step, map_index=index and tuple(index), key=json.dumps(log))

    def status(self, run):
        return list(self._script(run))[-1]

    def follow(self, run):
        yield from self._script(run)

    def log(self, run, step, attempt, first=0):
        return json.loads(step.key)[first:]

    def outputs(self, run):
        return {"answer": 42}

    def cancel(self, run):
        self._note(cancel=run.run_id)

    def retry(self, run):
        self._note(retry=run.run_id)
        return run
