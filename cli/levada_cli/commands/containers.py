"""The containers of ``levada run --executor docker``: loaded late, with errors in words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import image_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.engine import Executors
    from levada_compiler.render.colours import Palette


def executors(
    reference: tuple[str, str | None],
    folders: Sequence[str],
    network: str | None,
    form: str,
    colours: Palette,
) -> tuple[Executors | None, str]:
    """What makes the executor of a run, its images built, and rendered diagnostics.

    None if the images cannot be had; what is wrong with the engine or a build is said at once.
    """
    from levada_compiler.render import render

    from . import front

    made: list[Executors] = []
    said: list[str] = []

    def work() -> int:
        checked = front.check(reference)
        if checked.program is None:
            said.append(render(checked.diagnostics, checked.sources, form, colour=colours.enabled))
            return 1
        # Its packages are those of `levada build`: what is missing is said in the same way.
        image_session.load("session")
        from levada_backends.docker import containers, executor, provision
        from levada_backends.images import engine as addresses

        engine = containers.ContainerEngine(addresses.address())
        try:
            images = provision.provide(checked.program, checked.project, engine, _show)
        except provision.Unplannable as error:
            found, sources = front.shown(error.diagnostics, checked)
            said.append(render(found, sources, form, colour=colours.enabled))
            return 1
        made.append(executor.DockerExecutors(engine, images, folders, network))
        return 0

    image_session.guarded(work)
    return (made[0] if made else None), "".join(said)


def _show(event: Any) -> None:
    if event.kind == "done":
        sys.stderr.write(f"{'built':<9} {event.text}\n")
