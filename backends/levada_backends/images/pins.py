"""The images of a lock as settings of the steps, and whether they are still right.

Asked when a pipeline is compiled, so it needs no network: everything is told from the source, the
project's settings and ``levada.lock``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from levada.code import Code
from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.program.ir import Setting
from levada_compiler.slotted import replace

from . import lock, requirements, settings
from .image import ImageError
from .plan import Planner
from .runtime_files import runtime_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.project import Project
    from levada_compiler.diagnostics.diagnostic import Span
    from levada_compiler.program.ir import Program, Step

    from .lock import Lock, LockedImage
    from .settings import ImageSettings


class Pins:
    """The images of a program's steps.

    ``diagnostics`` names each step whose image is not what its source would give now. Without a
    lock, or without this pipeline in it, there is nothing to say. ``files`` maps what was
    read beside the source (absolute paths) to digests.
    """

    def __init__(self, program: Program, project: Project) -> None:
        """Read and compare. A lock or settings that cannot be read are a diagnostic too."""
        self._program = program
        self._project = project
        self.images: dict[str, LockedImage] = {}
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.files: dict[str, str] = {}
        try:
            self._read()
        except ImageError as error:
            self.diagnostics = (_stale(error.message.splitlines()[0], program.span, error.way_out),)

    def _read(self) -> None:
        root = Path(self._project.root)
        found = lock.read(root)
        self._note(root / lock.FILE)
        program = self._program
        locked = found.of(program.file, program.name)
        if not locked:
            return
        wanted = settings.read(self._project, locked=locked)
        images = found.of_pipeline(program.file, program.name, wanted.platform)
        self.images = {key: image for image in images for key in image.inputs.steps}
        comparison = _Comparison(program, self._project, wanted, found)
        for file in comparison.files:
            self._note(file)
        self.diagnostics = tuple(
            _stale(reason, step.span, self._command())
            for step in comparison.steps
            for reason in comparison.differences(step, self.images.get(step.key))
        )

    def _note(self, path: Path) -> None:
        self.files[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()

    def _command(self) -> str:
        return f"run `levada build {self._program.file}` and commit levada.lock"

    def apply(self) -> Program:
        """The program with each step's image, pinned by digest, as its setting ``image``."""
        steps = tuple(self._pinned(step) for step in self._program.steps)
        return replace(self._program, steps=steps)

    def _pinned(self, step: Step) -> Step:
        image = self.images.get(step.key)
        if image is None or not image.reference:
            return step
        if any(setting.name == "image" for setting in step.settings):
            return step
        pin = Setting("image", json.dumps(image.reference, ensure_ascii=False), step.span)
        return replace(step, settings=tuple(sorted((*step.settings, pin), key=_name)))


def _name(setting: Setting) -> str:
    return setting.name


def _stale(message: str, span: Span, way_out: str) -> Diagnostic:
    return Diagnostic("stale-lock", message, span, help=way_out)


class _Comparison:
    """Compares the steps of a program with what their images were made from."""

    def __init__(
        self, program: Program, project: Project, wanted: ImageSettings, found: Lock
    ) -> None:
        self._planner = Planner(program, project, wanted, found)
        self._code = Code(project)
        self._project = project
        self._wanted = wanted
        self._base = found.base(wanted.base, wanted.platform) or wanted.base
        self._given = self._planner.given
        self.steps = self._planner.steps
        self.files = requirements.files(self._planner.sources)
        self._digests = self._requirement_digests()

    def _requirement_digests(self) -> dict[str, set[str]]:
        """For each step the digests that its requirements may have been locked under."""
        planner = self._planner
        every = {text for step in self.steps for text in planner.required(step)}
        together = requirements.declared(planner.sources, tuple(sorted(every))).digest
        return {
            step.key: {
                together,
                requirements.declared(planner.sources, planner.required(step)).digest,
            }
            for step in self.steps
        }

    def differences(self, step: Step, image: LockedImage | None) -> Iterator[str]:
        """Say why a step's image is not right, at most one sentence."""
        reason = "there is none" if image is None else self._reason(step, image)
        if reason:
            yield f"the image of `{step.function}` in levada.lock is stale: {reason}"

    def _reason(self, step: Step, image: LockedImage) -> str:
        inputs, wanted = image.inputs, self._wanted
        if inputs.steps[step.key] != step.code:
            return "its code has changed"
        if image.resolution not in self._digests[step.key]:
            return "the requirements have changed"
        if not set(self._given[step.key]) <= set(image.given):
            return "it is given values of other steps, or members of other enumerations"
        for name, digest in inputs.values.items():
            if self._class_digest(name) != digest:
                return f"the class `{name.partition(':')[2]}` has changed"
        if (inputs.python, inputs.apt) != (wanted.python, tuple(sorted(wanted.apt))):
            return "`[tool.levada.images]` has changed"
        if inputs.base != self._base:
            return "its base has changed"
        return "" if inputs.levada == runtime_digest() else "it has another version of Levada"

    def _class_digest(self, name: str) -> str:
        module, _, qualname = name.partition(":")
        path = self._project.locate(module)
        try:
            return self._code.step(path or "", qualname).digest
        except (LookupError, OSError, SyntaxError):
            return ""
