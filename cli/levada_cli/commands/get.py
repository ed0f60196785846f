"""``levada get``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
from levada_compiler.output_files import display_path
from levada_compiler.render.cells import one_line

from levada_cli.terminal import json_text

from . import console, indexed, run_steps
from .shown_values import size, type_name

if TYPE_CHECKING:
    from levada_records.index import Index
    from levada_records.outputs import Output


@click.command()
@click.argument("reference", metavar="RUN[/STEP[.OUTPUT]]", shell_complete=run_steps.complete)
@click.option("-o", "--output", "target", metavar="PATH", help="The file or folder to write.")
@click.option("--force", is_flag=True, help="Replace a file that is at PATH.")
@indexed.STORE
@console.examples(
    "levada get churn@latest                       what the pipeline returned, as JSON",
    "levada get churn@latest/evaluate.auc",
    "levada get 20260101-060000-1f3a9c/train.model -o model.skops",
    "levada get 'churn@latest/fit[2].model' -o models/",
)
def command(reference: str, target: str | None, force: bool, store: str | None) -> None:
    """Read an output of a run.

    Plain data is printed as JSON, or written to PATH. A file, a folder, a table, a model or bytes
    are written as they were stored; no value is loaded, so no code of it runs. With a slash at its
    end, PATH is the folder to put it in, which is made if it is not there.

    RUN alone is what the pipeline returned, STEP alone all that the step returned. OUTPUT is one of
    its named outputs, a field of what it returned, or what it stored with `log_artifact`.
    """
    from levada_records.outputs import MissingOutput, OutputExists

    if force and target is None:
        raise click.UsageError("--force is for -o: nothing is written without it")
    try:
        with run_steps.in_words(), indexed.opened(store) as index:
            found = _found(index, reference)
            if target is None:
                _print(found)
            else:
                _say_written(found, found.write(target, force=force))
    except MissingOutput as error:
        raise click.UsageError(str(error)) from error
    except OutputExists as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(_not_written(target or "", error)) from error


def _not_written(target: str, error: OSError) -> str:
    """Say why a path cannot be written."""
    folder = os.path.dirname(target)
    if folder and not os.path.isdir(folder):
        return f"cannot write {target}: there is no folder {folder}"
    return f"cannot write {target}: {error.strerror or error}"


def _found(index: Index, reference: str) -> Output:
    from levada_records.outputs import run_output, step_output

    run, rest = run_steps.run_and_rest(index, reference)
    if not rest:
        return run_output(run)
    step, name = run_steps.step(run, rest)
    return step_output(run, step, name)


def _print(found: Output) -> None:
    if found.is_data:
        sys.stdout.write(json_text(found.data()))
        return
    raise click.UsageError(
        f"{found.name} is {_described(found)}: write it to a path, as"
        f" `-o {one_line(found.file_name())}`"
    )


def _say_written(found: Output, path: str) -> None:
    sys.stderr.write(f"wrote {one_line(display_path(path))}: {_described(found)}\n")
    if found.is_pickled and not found.is_data:
        console.warning("it is a pickle: loading it runs the code that is in it")


def _described(found: Output) -> str:
    """What a value is, in a few words."""
    name = one_line(type_name(found.type))
    if found.format in ("file", "folder"):
        return f"a {found.format}" + (f" of {size(found.size)}" if found.format == "file" else "")
    if found.artifact is None or found.artifact.is_tree:
        return f"{name}, {size(found.size)}"
    return f"{name}, {one_line(found.format)}, {size(found.size)}"
