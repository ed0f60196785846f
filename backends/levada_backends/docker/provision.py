"""The images that a run needs, in the engine: those of the last time, or built now.

What was built for runs is noted in a lock of their own in the cache: a run does not change the
project's ``levada.lock``, but its versions and its base are those that the run's images have.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from levada_backends.images import lock, places, settings
from levada_backends.images.image import ImageError
from levada_backends.images.lock import Lock, LockedImage
from levada_backends.images.plan import Planner, with_labels

from .container import StepImage, describing

if TYPE_CHECKING:
    from levada.project import Project
    from levada.record_types import EnvironmentPart
    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program, Step

    from levada_backends.images.image import Builder, OnEvent
    from levada_backends.images.plan import Plan, PlannedImage

    from .containers import ContainerEngine

#: Imports and requirements, each sorted.
Packages = tuple[list[str], list[str]]


#: What to do where the image of a step cannot run one.
NOT_OURS = (
    "it needs Python and this version of Levada; to run a program of an image that has neither, "
    'write `container("name:tag", command=[…], …)`'
)


class Unplannable(Exception):  # noqa: N818
    """The images cannot be planned: what is wrong with the source is in ``diagnostics``."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("the images cannot be planned")
        self.diagnostics = diagnostics


class StepImages:
    """The images of a program's steps, by the steps' keys."""

    def __init__(
        self,
        engine: ContainerEngine,
        images: dict[str, StepImage],
        packages: dict[str, list[Packages]],
    ) -> None:
        """``packages`` are the imports and requirements of the steps in an image, by its id."""
        self._engine = engine
        self._images = images
        self._packages = packages
        self._environments: dict[str, dict[str, Any]] = {}

    def of(self, key: str, settings_of_call: dict[str, Any]) -> StepImage:
        """The image of a call. Raises ImageError if the user's own is not to be had."""
        own = settings_of_call.get("image")
        if own is None and key in self._images:
            return self._images[key]
        name = str(own)
        if name not in self._images:
            self._images[name] = self._own(name)
        return self._images[name]

    def _own(self, reference: str) -> StepImage:
        found = self._engine.image(reference)
        if found is None:
            self._engine.pull(reference)
            found = self._engine.image(reference)
        if found is None:
            raise ImageError(f"the Docker engine has no image {reference}")
        described = reference if "@" in reference else f"{reference}@{found.id}"
        return StepImage(reference, described, found.id, is_own=True)

    def environment(
        self, image: StepImage, imports: list[str], requirements: list[str]
    ) -> EnvironmentPart:
        """What an attempt in an image would say of its environment.

        An image is asked once, and remembered by its digest. Raises ImageError if it cannot say.
        """
        wanted = sorted(imports), sorted(requirements)
        key = json.dumps(wanted)
        place = places.cache_folder("environments") / f"{image.id.removeprefix('sha256:')}.json"
        known = self._environments.get(image.id)
        if known is None:
            known = self._environments[image.id] = _read(place)
        if key not in known:
            every = [wanted, *self._packages.get(image.id, ())]
            answers = self._asked(image, json.dumps(every))
            known |= zip(map(json.dumps, every), answers, strict=True)
            _write(place, known)
        found: EnvironmentPart = known[key]
        return {**found, "image": image.described}

    def _asked(self, image: StepImage, packages: str) -> list[dict[str, Any]]:
        engine = self._engine
        container = engine.create(f"levada-{uuid.uuid4().hex[:12]}", describing(image, packages))
        try:
            engine.start(container)
            status = engine.wait(container)
            said, errors = engine.output(container)
        finally:
            engine.remove(container)
        if status:
            problem = (errors.splitlines() or ["it says nothing"])[-1]
            way_out = NOT_OURS if image.is_own else ""
            raise ImageError(f"the image {image.reference} cannot run steps: {problem}", way_out)
        found: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
        return found


def provide(
    program: Program, project: Project, engine: ContainerEngine, on_event: OnEvent
) -> StepImages:
    """Have the images of all steps in the engine; ``on_event`` is told of what is built.

    Raises Unplannable, and ImageError for whatever else keeps an image from being built.
    """
    if not engine.is_there():
        raise ImageError(
            f"no Docker engine answers at {engine.host}",
            "start one, or name it in DOCKER_HOST; without `--executor docker` none is needed",
        )
    with _Provision(program, project, engine, on_event) as provision:
        images = provision.images()
    packages: dict[str, list[Packages]] = {}
    for step in program.steps:
        if step.key in images:
            packages.setdefault(images[step.key].id, []).append(_packages(step))
    return StepImages(engine, images, packages)


def _packages(step: Step) -> Packages:
    """What a step imports, and what it requires."""
    texts = [setting.value for setting in step.settings if setting.name == "requirements"]
    return sorted(step.imports), sorted(json.loads(texts[0]) if texts else [])


class _Provision:
    """Plans, compares with what the engine has, and builds."""

    def __init__(
        self, program: Program, project: Project, engine: ContainerEngine, on_event: OnEvent
    ) -> None:
        self._program = program
        self._engine = engine
        self._on_event = on_event
        self._root = Path(project.root)
        theirs, own = lock.read(self._root), settings.own_platform()
        locked = theirs.of_pipeline(program.file, program.name, own)
        self._settings = replace(settings.read(project, locked=locked), registry="")
        name = hashlib.sha256(str(self._root).encode()).hexdigest()[:16]
        self._notes = places.cache_folder("runs") / name
        self._planner = Planner(program, project, self._settings, self._lock())
        self._stack = ExitStack()
        self._builders: tuple[Builder, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def images(self) -> dict[str, StepImage]:
        plan = self._planner.plan(self._pin)
        if plan.diagnostics:
            raise Unplannable(plan.diagnostics)
        built = [self._image(each) for each in plan.images]
        self._note(plan, built)
        found = [(image, self._step_image(image)) for image in built]
        return {key: step_image for image, step_image in found for key in image.inputs.steps}

    def _lock(self) -> Lock:
        """The project's lock, with the images that were built for runs, if they were."""
        ours, theirs = lock.read(self._notes), lock.read(self._root)
        file, pipeline = self._program.file, self._program.name
        platform = self._settings.platform
        images = ours.of_pipeline(file, pipeline, platform)
        merged = ours.with_resolutions(theirs.resolutions)
        merged = replace(merged, bases={**ours.bases, **theirs.bases})
        if images:
            return merged
        return replace(merged, images=(*ours.images, *theirs.of_pipeline(file, pipeline, platform)))

    def _image(self, planned: PlannedImage) -> LockedImage:
        before = planned.before
        if before and planned.is_current and self._engine.image(before.reference) is not None:
            return replace(before, given=planned.given, resolution=planned.resolution)
        return self._built(planned)

    def _built(self, planned: PlannedImage) -> LockedImage:
        from levada_backends.images import builders

        spec = with_labels(planned, self._program, {}).spec
        builder, _ = builders.choose(self._opened(), spec)
        built = builder.build(spec, on_event=self._on_event)
        return LockedImage(
            file=self._program.file,
            pipeline=self._program.name,
            name=built.name,
            inputs=planned.inputs,
            resolution=planned.resolution,
            digest=built.digest,
            reference=built.reference,
            size=built.size,
            given=planned.given,
        )

    def _step_image(self, image: LockedImage) -> StepImage:
        found = self._engine.image(image.reference)
        if found is None:
            raise ImageError(f"the Docker engine does not have {image.reference} any more")
        described = (
            image.reference if "@" in image.reference else f"{image.reference}@{image.digest}"
        )
        return StepImage(image.reference, described, found.id)

    def _note(self, plan: Plan, images: list[LockedImage]) -> None:
        self._notes.mkdir(parents=True, exist_ok=True)
        file, pipeline, platform = self._program.file, self._program.name, self._settings.platform
        lock.write(self._notes, plan.lock.with_pipeline(file, pipeline, platform, images))

    def _opened(self) -> tuple[Builder, ...]:
        from levada_backends.images import builders

        if not self._builders:
            self._builders = self._stack.enter_context(
                builders.open_builders(network=self._settings.network)
            )
        return self._builders

    def _pin(self, base: str, platform: str) -> str:
        from levada_backends.images import builders

        return builders.pin(self._opened(), base, platform)


def _read(place: Path) -> dict[str, Any]:
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(place: Path, content: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")
    temporary.replace(place)
