"""From a program to its images: what is in each, why, and what of it was built before.

Steps that need the same packages share an image, which has all of their code. A step with an
``image`` of its own gets none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada.code import Code
from levada.distributions import requirement_name
from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.program.ir import RUN_VALUES
from levada_compiler.slotted import dataclass, replace

from . import flow, layout, places, requirements, store_client
from .distributions import Locked
from .image import OCI_FILE, ImageError, ImageSpec
from .lock import Inputs, Lock, LockedImage, Resolution, differences
from .needs import NeedsFinder, StepNeeds, union_of_values
from .runtime_files import runtime_digest, runtime_files
from .slice import Slice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from levada.project import Project
    from levada_compiler.program.ir import Program, Step

    from .image import Wheel
    from .settings import ImageSettings

#: Gives a base image's reference with its digest, for a platform.
Pin = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image of the plan. ``changes`` says in words what differs from ``before``."""

    spec: ImageSpec
    inputs: Inputs
    resolution: str
    given: tuple[str, ...]
    before: LockedImage | None
    changes: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether the image that was built before is still right."""
        return self.before is not None and not self.changes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be built for a program. ``own`` are the steps that have an image of their own.

    ``lock`` is the lock with what was resolved and pinned for this plan. With errors in
    ``diagnostics`` there are no images.
    """

    images: tuple[PlannedImage, ...]
    needs: Mapping[str, StepNeeds]
    own: tuple[str, ...]
    lock: Lock
    diagnostics: tuple[Diagnostic, ...]


class Planner:
    """Plans the images of one program."""

    def __init__(
        self, program: Program, project: Project, settings: ImageSettings, lock: Lock
    ) -> None:
        """Read nothing yet. ``settings`` are complete, ``lock`` is what there was."""
        self.program = program
        self.project = project
        self.settings = settings
        self.lock = lock
        self.code = Code(project)
        self.sources = requirements.sources(Path(project.root), settings)
        self.steps = [step for step in program.steps if "image" not in _settings(step)]
        self.given = flow.producers(program)

    def plan(self, pin: Pin | None = None, *, upgrade: bool = False) -> Plan:
        """Lock, resolve every import, and put the steps into images.

        ``pin`` is asked for the digest of a base that the lock does not have; without it the
        base stays as it is written. Raises ImageError where the requirements cannot be locked.
        """
        own = tuple(step.key for step in self.program.steps if step not in self.steps)
        if not self.steps:
            return Plan((), {}, own, self.lock, ())
        base = self._base(pin, upgrade=upgrade)
        try:
            resolutions = self._resolutions(upgrade=upgrade)
        except ImageError as error:
            blamed = self._blamed(error)
            if not blamed:
                raise
            return Plan((), {}, own, self.lock, blamed)
        self.lock = self.lock.with_resolutions(resolutions.values())
        finder = NeedsFinder(self.code, self.program.steps)
        needs = self._needs(finder, resolutions)
        images = () if finder.diagnostics else self._images(needs, resolutions, base)
        diagnostics = sorted(finder.diagnostics, key=lambda each: each.span)
        return Plan(images, needs, own, self.lock, tuple(diagnostics))

    def _base(self, pin: Pin | None, *, upgrade: bool) -> str:
        base, platform = self.settings.base, self.settings.platform
        if "@sha256:" in base:
            return base
        known = None if upgrade else self.lock.base(base, platform)
        if known is None and pin is not None:
            known = self._portable(pin(self._located(base), platform))
            self.lock = self.lock.with_base(base, platform, known)
        return known or base

    def _located(self, base: str) -> str:
        """The reference with a file's path made absolute: it is relative to the project."""
        kind, colon, path = base.partition(":")
        return f"{OCI_FILE}{Path(self.project.root, path)}" if kind + colon == OCI_FILE else base

    def _portable(self, base: str) -> str:
        """The same the other way round, as the lock has it."""
        prefix = f"{OCI_FILE}{self.project.root}/"
        return f"{OCI_FILE}{base.removeprefix(prefix)}" if base.startswith(prefix) else base

    # ---------------------------------------------------------------- requirements

    def required(self, step: Step) -> tuple[str, ...]:
        """What a step declares, and what its values are kept with, and where."""
        of_store = store_client.requirements(self.project.settings)
        return tuple(dict.fromkeys((*_requirements(step), *flow.formats(step), *of_store)))

    def _resolutions(self, *, upgrade: bool) -> dict[str, Resolution]:
        """What each step's requirements are locked to: all together, or apart where they differ."""
        sets = list(dict.fromkeys(self.required(step) for step in self.steps))
        together = tuple(sorted({text for texts in sets for text in texts}))
        apart = {texts: self._known(texts) for texts in sets}
        if self._known(together) is None and all(apart.values()) and len(sets) > 1 and not upgrade:
            found = {texts: each for texts, each in apart.items() if each is not None}
        else:
            found = self._resolve_sets(together, sets, upgrade=upgrade)
        return {step.key: found[self.required(step)] for step in self.steps}

    def _resolve_sets(
        self, together: tuple[str, ...], sets: Sequence[tuple[str, ...]], *, upgrade: bool
    ) -> dict[tuple[str, ...], Resolution]:
        try:
            whole = self._resolve(together, upgrade=upgrade)
        except ImageError as error:
            if len(sets) < 2 or "no versions fit together" not in error.message:
                raise
        else:
            return dict.fromkeys(sets, whole)
        return {texts: self._resolve(texts, upgrade=upgrade) for texts in sets}

    def _blamed(self, error: ImageError) -> tuple[Diagnostic, ...]:
        """The requirements of steps that an error of uv names, in their places."""
        words = set(re.findall(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", error.message.lower()))
        named = {requirement_name(word) for word in words}
        first = error.message.partition("\n")[0]
        return tuple(
            Diagnostic(
                "requirements-not-locked",
                f"the requirements of `{step.function}` cannot be locked: {first}",
                setting.span,
                help=error.way_out,
            )
            for step in self.steps
            for setting in step.settings
            if setting.name == "requirements"
            and any(
                requirement_name(text) in named or f"`{text}`" in error.message
                for text in _requirements(step)
            )
        )

    def _known(self, texts: tuple[str, ...]) -> Resolution | None:
        return self.lock.resolution(requirements.declared(self.sources, texts).digest)

    def _resolve(self, texts: tuple[str, ...], *, upgrade: bool) -> Resolution:
        declared = requirements.declared(self.sources, texts)
        known = self.lock.resolution(declared.digest)
        if known is not None and not upgrade:
            return known
        packages: tuple[Wheel, ...] = ()
        if declared.requirements:
            packages = requirements.lock(self.sources, texts, self._before(), upgrade=upgrade)
        python, platform = self.settings.python, self.settings.platform
        return Resolution(declared.digest, python, platform, declared.requirements, packages)

    def _before(self) -> tuple[Wheel, ...]:
        """What was locked for this pipeline last: its versions stay where they fit."""
        file, pipeline = self.program.file, self.program.name
        images = self.lock.of_pipeline(file, pipeline, self.settings.platform)
        used = {image.resolution for image in images}
        found = [each for each in self.lock.resolutions if each.digest in used]
        return found[0].packages if found else ()

    # ---------------------------------------------------------------- steps

    def _needs(
        self, finder: NeedsFinder, resolutions: Mapping[str, Resolution]
    ) -> dict[str, StepNeeds]:
        environments = requirements.marker_environments(
            self.settings.python, self.settings.platform
        )
        locked = {
            each.digest: Locked(each.packages, each.requirements, environments)
            for each in resolutions.values()
        }
        of_steps = [text for step in self.steps for text in _requirements(step)]
        indexes, keyring = self.sources.indexes(of_steps), self.sources.keyring_provider()
        places.set_project(self.sources.root, indexes, keyring)
        return {
            step.key: finder.find(
                step,
                self.given[step.key],
                _requirements(step),
                locked[resolutions[step.key].digest],
            )
            for step in self.steps
        }

    # ---------------------------------------------------------------- images

    def _images(
        self, needs: Mapping[str, StepNeeds], resolutions: Mapping[str, Resolution], base: str
    ) -> tuple[PlannedImage, ...]:
        groups: dict[tuple[Wheel, ...], list[Step]] = {}
        for step in sorted(self.steps, key=lambda step: step.module == RUN_VALUES):
            packages = needs[step.key].packages
            if step.module == RUN_VALUES and groups:
                packages = next(iter(groups))  # each image has it
            groups.setdefault(packages, []).append(step)
        names = self._names([steps[0] for steps in groups.values()])
        return tuple(
            self._image(name, steps, [needs[step.key] for step in steps], base, resolutions)
            for name, steps in zip(names, groups.values(), strict=True)
        )

    def _names(self, firsts: Sequence[Step]) -> list[str]:
        """Name each image by its first step; by its module too where that is not enough."""
        words = [(_slug(step.function), _slug(step.module)) for step in firsts]
        functions = [function for function, _ in words]
        names: list[str] = []
        for function, module in words:
            name = function if functions.count(function) == 1 else f"{module}-{function}"
            number = 2
            while self._full_name(name) in names:
                name, number = f"{name}-{number}", number + 1
            names.append(self._full_name(name))
        return names

    def _full_name(self, name: str) -> str:
        prefix = self.settings.prefix.strip("/")
        return "/".join(part for part in (prefix, _slug(self.program.name), name) if part)

    def _image(
        self,
        name: str,
        steps: Sequence[Step],
        needs: Sequence[StepNeeds],
        base: str,
        resolutions: Mapping[str, Resolution],
    ) -> PlannedImage:
        packages = needs[0].packages
        inputs = Inputs(
            python=self.settings.python,
            platform=self.settings.platform,
            base=base,
            levada=runtime_digest(),
            steps={step.key: step.code for step in sorted(steps, key=lambda step: step.key)},
            values=union_of_values(needs),
            packages=tuple(f"{each.name} {each.version} {each.sha256}" for each in packages),
            apt=tuple(sorted(self.settings.apt)),
        )
        before = self._built(name)
        changes = ("new",) if before is None else differences(before.inputs, inputs)
        return PlannedImage(
            self._spec(name, steps, needs, inputs),
            inputs,
            resolutions[steps[0].key].digest,
            tuple(sorted({key for step in steps for key in self.given[step.key]})),
            before,
            changes,
        )

    def _built(self, name: str) -> LockedImage | None:
        images = self.lock.of_pipeline(self.program.file, self.program.name, self.settings.platform)
        return next((image for image in images if image.name == name), None)

    def _spec(
        self, name: str, steps: Sequence[Step], needs: Sequence[StepNeeds], inputs: Inputs
    ) -> ImageSpec:
        packages = needs[0].packages
        files = self._files(steps, needs)
        project = layout.project_folder([*self.program.search, *files])
        text = requirements_text(packages)
        return ImageSpec(
            name=name,
            steps=tuple(inputs.steps),
            python=inputs.python,
            platform=inputs.platform,
            base=self._located(inputs.base),
            wheels=tuple(each for each in packages if each.filename.endswith(".whl")),
            sdists=tuple(each for each in packages if not each.filename.endswith(".whl")),
            requirements=text,
            requirements_digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
            runtime_files=runtime_files(),
            slice_files={layout.place(project, name): data for name, data in files.items()},
            project=project,
            search=self.program.search,
            apt=inputs.apt,
            environment={"LEVADA_CODE_PINNED": "1"},
        )

    def _files(self, steps: Sequence[Step], needs: Sequence[StepNeeds]) -> dict[str, bytes]:
        """The code of all steps of an image, and their data files."""
        whole = needs[0].slice if len(needs) == 1 else self._merged(needs)
        files = whole.files()
        for step in steps:
            for pattern in _settings(step).get("files", ()):
                for name in self.code.data_files(pattern):
                    files[name] = Path(self.project.root, name).read_bytes()
        return dict(sorted(files.items()))

    def _merged(self, needs: Sequence[StepNeeds]) -> Slice:
        merged = Slice(self.code)
        for each in needs:
            merged.add_all(each.slice)
        return merged


def with_labels(image: PlannedImage, program: Program, labels: Mapping[str, str]) -> PlannedImage:
    """The same image with labels: those of the OCI specification, and what it is for."""
    spec = image.spec
    own = {
        "dev.levada.pipeline": program.name,
        "dev.levada.requirements": spec.requirements_digest,
        "dev.levada.steps": ",".join(spec.steps),
        "org.opencontainers.image.base.name": image.inputs.base,
        "org.opencontainers.image.title": spec.name,
    }
    return replace(image, spec=replace(spec, labels=dict(sorted({**own, **labels}.items()))))


def requirements_text(packages: Iterable[Wheel]) -> str:
    """A requirements file that pip and uv accept with ``--require-hashes --no-deps``."""
    return "".join(
        f"{each.name}=={each.version} \\\n    --hash=sha256:{each.sha256}\n" for each in packages
    )


def _settings(step: Step) -> dict[str, Any]:
    return {setting.name: json.loads(setting.value) for setting in step.settings}


def _requirements(step: Step) -> tuple[str, ...]:
    return tuple(_settings(step).get("requirements", ()))


def _slug(text: str) -> str:
    """A name as a component of a repository: lower case, with single separators."""
    words = re.sub(r"[^a-z0-9]+", lambda found: "_" if found[0] == "_" else "-", text.lower())
    return words.strip("-_") or "step"
