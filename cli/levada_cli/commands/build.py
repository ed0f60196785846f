"""The options of ``levada build``; what it does is in :mod:`.building`."""

from __future__ import annotations

import click

from . import building, console, parameters


@click.command()
@parameters.REFERENCES
@click.option(
    "--push",
    metavar="REGISTRY",
    help="Push to a registry (host[:port][/prefix]); by default that of [tool.levada.images].",
)
@click.option(
    "--platform", metavar="OS/ARCH", help="What to build for: linux/amd64 or linux/arm64."
)
@click.option("--builder", metavar="NAME", help="Only this builder, instead of the first that can.")
@click.option("--dry-run", is_flag=True, help="Show the plan: build and write nothing.")
@click.option(
    "--dockerfile",
    "contexts",
    metavar="DIR",
    help="Build nothing: write a Dockerfile and a build context for each image.",
)
@click.option("--upgrade", is_flag=True, help="Lock the newest versions that are allowed.")
@click.option("--rebuild", is_flag=True, help="Build what has not changed too.")
@click.option(
    "--insecure", multiple=True, metavar="HOST", help="A registry that is spoken to without TLS."
)
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON on stdout.")
@parameters.STRICT
@console.COLOUR
@console.examples(
    "levada build pipeline.py --dry-run",
    "levada build pipeline.py --push registry.example.com/team",
    "levada build pipeline.py --platform linux/arm64 --upgrade",
    "levada build pipelines/ --push registry.example.com/team",
)
def command(
    references: tuple[tuple[str, str | None], ...],
    push: str | None,
    platform: str | None,
    builder: str | None,
    dry_run: bool,
    contexts: str | None,
    upgrade: bool,
    rebuild: bool,
    insecure: tuple[str, ...],
    as_json: bool,
    strict: bool,
    colour: str,
) -> int:
    """Build the images that the steps of pipelines run in.

    Takes files, folders and globs; without any, those of `[tool.levada] pipelines` in
    pyproject.toml. Each image has what its steps reach, and nothing else. What is built is written
    to levada.lock, which `levada compile` takes the digests from; an image whose inputs have not
    changed is not built.
    """
    given = building.Options(
        references,
        push,
        platform,
        builder,
        dry_run,
        contexts,
        upgrade,
        rebuild,
        insecure,
        as_json,
        colour,
        strict,
    )
    return building.execute(given)
