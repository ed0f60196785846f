"""Starts a run again: with which code, which parameters, and what of the earlier run is taken."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from levada import project as projects
from levada.regular_files import regular
from levada_compiler.render.cells import one_line
from levada_compiler.slotted import dataclass

from . import (
    arguments,
    console,
    interpreter,
    parameters,
    planning,
    readiness,
    run_reference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from levada.engine.earlier import EarlierRun
    from levada.plan_types import Plan
    from levada.project import Project
    from levada.record_types import EnginePart, RunDocument
    from levada_compiler.render.colours import Palette
    from levada_records.recorded_code import RecordedCode
    from levada_records.runs import Run

    from .run_reference import StoredRun
    from .stored_types import StoredTypes

_MOST_PROBLEMS = 20  # that are listed
#: What of an engine part a step can read: a run that is started again has it too.
_READ_BY_STEPS = ("logical_date", "data_interval_start", "data_interval_end")


CODE = click.option(
    "--code",
    "which",
    type=click.Choice(("current", "recorded")),
    default="current",
    show_default=True,
    help="The code that is here, or that of the run, restored from its commit and its store.",
)
SOURCE = click.option(
    "--file",
    "source",
    metavar="FILE[:PIPELINE]",
    type=click.Path(),
    callback=lambda _, __, value: parameters.split(_, __, value) if value else None,
    help="The pipeline, where the run does not name its file.",
)
PARTIAL = click.option(
    "--partial",
    "may_be_partial",
    is_flag=True,
    help="With --code recorded: run also if some of its files are not as they were.",
)


@dataclass(frozen=True, slots=True)
class Code:
    """The code that is run: a plan, its files, and the project that they are in.

    ``types`` says what results are stored with, as far as the compiler has told it.
    """

    plan: Plan
    files: Sequence[str]
    project: Project
    types: StoredTypes


@contextmanager
def code(
    found: StoredRun,
    which: str,
    reference: tuple[str, str | None] | None,
    colours: Palette,
    *,
    may_be_partial: bool = False,
) -> Iterator[Code | None]:
    """The ``current`` or the ``recorded`` code of a run; None if it has errors, which are shown.

    ``reference`` names the pipeline where the run does not. Recorded code is in a folder that is
    removed afterwards, and meanwhile the current one; it is whole, or it ``may_be_partial``.
    """
    if which == "current":
        _refuse_partial(may_be_partial)
        yield _current(found, reference, colours)
        return
    with restored(found, may_be_partial=may_be_partial) as recorded:
        plan = _recorded_plan(found.run, recorded, colours)
        file = _file_of(plan, recorded.root)
        if file is None:
            raise _not_restored(found.run, [f"{plan['file']} is no file of the project"])
        project = projects.find(file)
        before = os.getcwd()
        os.chdir(_same_place(before, found.project.root, recorded.root))
        try:
            yield Code(plan, _files(found.run), project, {})
        finally:
            os.chdir(before)


@contextmanager
def restored(found: StoredRun, *, may_be_partial: bool = False) -> Iterator[RecordedCode]:
    """The recorded code of a run in a folder of its own, which is removed afterwards.

    If something in the folder is not as it was, that is an error, or a warning if it
    ``may_be_partial``.
    """
    import shutil
    import tempfile

    from levada.store import StoreError
    from levada_records.recorded_code import CodeNotStored, restore

    root = found.project.root
    folder = tempfile.mkdtemp(prefix="levada-code-")
    try:
        try:
            recorded = restore(found.run, folder, project=root)
        except (CodeNotStored, StoreError) as error:
            raise _not_restored(found.run, [str(error)]) from error
        except OSError as error:
            raise click.ClickException(f"the code cannot be restored: {error}") from error
        if recorded.missing and not may_be_partial:
            raise _not_restored(found.run, recorded.missing, can_be_partial=True)
        _tell(found.run, recorded)
        yield recorded
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_partial(may_be_partial: bool) -> None:
    if may_be_partial:
        raise click.UsageError("--partial is for --code recorded: current code is whole")


def _same_place(folder: str, root: str, other: str) -> str:
    """The folder that stands to ``other`` as ``folder`` to ``root``: steps open files from it."""
    own = os.path.relpath(os.path.realpath(folder), os.path.realpath(root))
    place = os.path.normpath(os.path.join(other, own))
    is_there = not own.startswith("..") and os.path.isdir(place)
    return place if is_there else other


def _tell(run: Run, recorded: RecordedCode) -> None:
    sys.stderr.write(f"code: recorded, {one_line(recorded.origin)}\n")
    if recorded.without:
        sys.stderr.write(f"without {one_line(recorded.without)}\n")
    for each in recorded.missing:
        console.warning(f"not as it was: {one_line(each)}")
    if recorded.linked:
        names = ", ".join(one_line(name) for name in recorded.linked[:3])
        more = f" and {len(recorded.linked) - 3} more" if len(recorded.linked) > 3 else ""
        sys.stderr.write(
            f"data as it is now: {names}{more} (links: a step that writes there writes into your"
            " project)\n"
        )
    different = _different_packages(run)
    if different:
        shown = ", ".join(one_line(each) for each in different[:5])
        more = f" and {len(different) - 5} more" if len(different) > 5 else ""
        console.warning(f"packages are not those of the run: {shown}{more}")


def _different_packages(run: Run) -> list[str]:
    """The packages that the steps of a run used, where another version is installed here."""
    from levada import environment

    used: dict[str, str | None] = {}
    for step in run.steps:
        if step.record is not None:
            used |= step.record["environment"]["packages"]
    here = environment.whole().get("packages") or {}
    return [
        f"{name} {used[name]} -> {here.get(name) or 'not there'}"
        for name in sorted(used)
        if used[name] is not None and used[name] != here.get(name)
    ]


def _recorded_plan(run: Run, recorded: RecordedCode, colours: Palette) -> Plan:
    """The plan of a run, if the restored code is the code that ran."""
    from levada_records.recorded_code import differences

    if document(run)["plan"] is None:  # a run of Airflow or Kubeflow
        plan = _compiled_plan(run, recorded, colours)
        changed = _other_code(run, plan)
    elif run.plan is None:
        raise _not_restored(run, [str(run.plan_problem)])
    else:
        plan = run.plan
        try:
            changed = differences(plan, recorded.root)
        except (AttributeError, KeyError, TypeError, ValueError):  # somebody changed it
            raise _not_restored(run, ["its plan is damaged"]) from None
    if changed:
        steps = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if changed[5:] else "")
        raise _not_restored(run, [f"the code of {steps} is another one", *recorded.missing])
    return plan


def _compiled_plan(run: Run, recorded: RecordedCode, colours: Palette) -> Plan:
    """The plan of the restored code, as it is compiled now."""
    planned = planning.plan((_declaring(run, recorded.root), run.pipeline), "full", colours)
    sys.stderr.write(planned.messages)
    if planned.plan is None:
        raise _not_restored(run, ["it has errors for this version of Levada", *recorded.missing])
    return planned.plan


def _other_code(run: Run, plan: Plan) -> list[str]:
    """The steps, ``module:function``, that ran with another code than the plan has."""
    ran = {
        step.record["step"]: step.record["code"]["digest"]
        for step in run.steps
        if step.record is not None
    }
    planned = {name: step["code"] for name, step in plan["steps"].items() if "code" in step}
    return [name for name in sorted(ran) if name in planned and ran[name] != planned[name]]


def _not_restored(
    run: Run, problems: Sequence[str], *, can_be_partial: bool = False
) -> click.ClickException:
    shown = [one_line(each) for each in problems[:_MOST_PROBLEMS]]
    shown += [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > len(shown) else []
    listed = "".join(f"\n  {each}" for each in shown)
    partial = "; `--partial` runs the recorded code without this" if can_be_partial else ""
    return click.ClickException(
        f"the recorded code of {run.pipeline}/{run.run_id} cannot be restored:{listed}\n"
        f"help: `--code current` runs the code that is here{partial}"
    )


def _files(run: Run) -> list[str]:
    from levada import sources
    from levada.store import StoreError

    document = run.document
    digest = document.get("sources") if document is not None else None
    try:
        return list(sources.read(run.store, digest)) if digest else []
    except (StoreError, ValueError):
        return []


def _current(
    found: StoredRun, reference: tuple[str, str | None] | None, colours: Palette
) -> Code | None:
    file, pipeline = reference or named(found, found.project.root)
    planned = planning.plan((file, pipeline or found.run.pipeline), "full", colours)
    sys.stderr.write(planned.messages)
    if planned.plan is None:
        return None
    if planned.plan["pipeline"] != found.run.pipeline:
        name, own = planned.plan["pipeline"], found.run.pipeline
        raise click.UsageError(f"the run is one of `{own}`, and {file} has `{name}`")
    project = projects.find(file)
    interpreter.check(planned.plan, project)
    return Code(planned.plan, planned.files, project, planned.types)


@contextmanager
def source(
    found: StoredRun,
    which: str,
    reference: tuple[str, str | None] | None,
    *,
    may_be_partial: bool = False,
) -> Iterator[tuple[str, str | None]]:
    """The file of the ``current`` or the ``recorded`` code, with the name of the pipeline."""
    if which == "current":
        _refuse_partial(may_be_partial)
        file, pipeline = reference or named(found, found.project.root)
        yield file, pipeline or found.run.pipeline
        return
    with restored(found, may_be_partial=may_be_partial) as recorded:
        yield named(found, recorded.root)


def named(found: StoredRun, root: str) -> tuple[str, str]:
    """The file of the run's pipeline in the project at ``root``."""
    run = found.run
    plan = run.plan
    if plan is None and document(run)["plan"] is None:  # a run of Airflow or Kubeflow
        return _declaring(run, root), run.pipeline
    if plan is None:
        raise click.UsageError(
            f"the run does not say which file `{one_line(run.pipeline)}` is in"
            f" ({run.plan_problem}): give it by --file"
        )
    file = _file_of(plan, root)
    if file is None:
        raise click.UsageError(
            f"the run is one of {one_line(plan['file'])}, which is not in {root}: change to the"
            " project's folder, name the file by --file, or run what the store has by"
            " `--code recorded`"
        )
    return os.path.relpath(file), run.pipeline


def _declaring(run: Run, root: str) -> str:
    """The only file of the project with a pipeline of this name: a run of Airflow names no file."""
    from levada_compiler.compilation import compile_pipelines

    from .selection import folders_below

    files = []
    for folder, names in folders_below(root):
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name))
            if name.endswith(".py") and _has_text(path, run.pipeline):
                results = compile_pipelines(path, "pipelines")
                declared = {result.program.name for result in results if result.program}
                files += [path] if run.pipeline in declared.union(results[0].pipelines) else []
    if len(files) == 1:
        return files[0]
    where = f"{' and '.join(sorted(files)[:3])} have one" if files else f"none in {root} has one"
    raise click.UsageError(
        f"the run does not say which file `{one_line(run.pipeline)}` is in, and {where} of this"
        " name: give it by --file"
    )


def _has_text(path: str, text: str) -> bool:
    try:
        with open(path, "rb", opener=regular) as file:
            return text.encode() in file.read()
    except OSError:
        return False


def _file_of(plan: Plan, root: str) -> str | None:
    """The file of a plan, if it is one below ``root``: who writes the store wrote its name."""
    if "\0" in plan["file"]:
        return None
    file = os.path.join(root, *plan["file"].split("/"))
    is_within = os.path.realpath(file).startswith(os.path.join(os.path.realpath(root), ""))
    return file if is_within and os.path.isfile(file) else None


# ---------------------------------------------------------------- parameters


def document(run: Run) -> RunDocument:
    """The document of a run, which has to be whole."""
    if run.document is None:
        raise click.ClickException("; ".join(run.problems) or "the run's document is missing")
    return run.document


def trees(run: Run, plan: Plan, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a run for another one of ``plan``: trees as they were, and values.

    A parameter that has another type now is checked again, as what was shown of it. One that is
    gone is left out, with a warning.
    """
    recorded = document(run)["parameters"]
    before = run.plan["parameters"] if run.plan is not None else []
    schemas = {each["name"]: each["schema"] for each in before}
    kept: dict[str, Any] = {}
    values: dict[str, Any] = {}
    declared = {each["name"]: each["schema"] for each in plan["parameters"]}
    for name, tree in recorded["trees"].items():
        if name in given:
            continue
        if name not in declared:
            warn_of_parameter(name)
        elif schemas.get(name) == declared[name]:
            kept[name] = tree
        else:
            values[name] = recorded["display"].get(name)
    return kept, values


def warn_of_parameter(name: str) -> None:
    """Say that a parameter of the run is left out."""
    console.warning(f"the pipeline has no parameter `{one_line(name)}` any more")


def ids(run: Run, link: str) -> EnginePart:
    """What the engine part of the new run says of the run that it is started from."""
    engine: Any = document(run)["engine"]
    part: Any = {name: engine[name] for name in _READ_BY_STEPS if name in engine}
    part[link] = run.run_id
    found: EnginePart = part
    return found


def start(
    found: StoredRun,
    chosen: Code,
    *,
    link: str,
    given: Sequence[str] = (),
    file: str | None = None,
    earlier: EarlierRun | None = None,
    colours: Palette,
    explain_cache: bool = False,
    as_json: bool = False,
    **options: Any,
) -> int:
    """Run the chosen code here with the parameters of a run; the exit status is how it ended.

    ``link`` is the field of the engine part that names the run: ``rerun_of`` or ``retry_of``.
    """
    from .run import start as start_run

    # With an earlier run, most of what is missing is of steps that do not run again.
    if earlier is None and not readiness.is_ready(chosen.plan, chosen.types, colours):
        return 1
    changed = {
        **arguments.read_file(file),
        **arguments.parse(given, chosen.plan["parameters"]),
    }
    kept, values = trees(found.run, chosen.plan, changed)
    if document(found.run)["engine"].get("executor", "process") != "process":
        console.warning("the run was in containers, and this one is in processes")
    return start_run(
        chosen.plan,
        {**values, **changed},
        found.store,
        colours,
        explain_cache=explain_cache,
        as_json=as_json,
        project=chosen.project.root,
        files=chosen.files,
        trees=kept,
        earlier=earlier,
        ids=ids(found.run, link),
        trigger=link.removesuffix("_of"),
        **options,
    )


def earlier_run(run: Run, plan: Plan, first: str | None = None) -> EarlierRun:
    """The run as one whose results are taken, up to the step ``first`` and what depends on it."""
    from levada.engine.earlier import EarlierRun

    if first is None:
        return EarlierRun(run.run_id, plan)
    node, index = step_named(run, first)
    try:
        return EarlierRun(run.run_id, plan, node, index)
    except LookupError:
        known = EarlierRun(run.run_id, plan).nodes
        near = console.did_you_mean(node, known) if node not in known else ""
        raise click.UsageError(f"the pipeline has no step `{first}`{near}") from None


def step_named(run: Run, name: str) -> tuple[str, tuple[int, ...]]:
    """The node and the iteration of a step: ``fit``, ``fit[2]``, or by its item ``fit[lr=0.1]``."""
    from levada_records.steps import parse_step

    if "=" in name:
        found = [(step.node, step.map_index) for step in run.steps if step.name == name]
        if len(found) == 1:
            return found[0]
    try:
        return parse_step(name)
    except ValueError as error:
        known = [step.name for step in run.steps if step.map_index]
        near = console.did_you_mean(name, known)
        raise click.UsageError(f"{error}{near}") from error


def stored(reference: str, url: str | None) -> StoredRun:
    """The run that a reference names."""
    return run_reference.find(reference, url)
