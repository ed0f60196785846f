"""What a run stored: looked at as plain data, loaded, or written to a file."""

from __future__ import annotations

import json
import os

from levada import records, values
from levada.artifact import Artifact, CorruptArtifact, MaterializerError, NoField
from levada.materializers import paths
from levada.trees.canonical import artifact_of, canonical, leaf_of

from levada_records.project_classes import trust_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO

    from levada.json_types import Json
    from levada.trees.tree_types import Tree

    from levada_records.runs import Run
    from levada_records.steps import Step

_BYTES = ("builtins:bytes", "builtins:bytearray")
#: The tags of trees that are bytes or a text.
_RAW = {"$bytes", "$bytearray", "$str"}
#: What a file of a format is called, where it is not called as the format.
_ENDINGS = {"pickle": "pkl"}


class MissingOutput(LookupError):  # noqa: N818
    """A run or a step has no such output. The message says what it has."""


class OutputExists(Exception):  # noqa: N818
    """Something is already in the place that an output is to be written to."""


class Output:
    """A value that a run stored. Nothing is read before it is asked for.

    ``name`` is what people call it, ``train.model``; ``artifact`` is how it is stored, None of a
    small value that stands in a document itself.
    """

    __slots__ = ("_run", "_store", "_tree", "artifact", "name")

    def __init__(self, name: str, tree: Tree | Artifact, run: Run) -> None:
        self.name = name
        self._run = run
        self.artifact = artifact_of(tree)
        self._tree: Tree = leaf_of(tree.as_json()) if isinstance(tree, Artifact) else tree
        self._store = run.store

    @property
    def type(self) -> str:
        """The class of the value, ``module:qualname``."""
        return values.tree_type(self._tree) if self.artifact is None else self.artifact.type

    @property
    def format(self) -> str:
        """What the stored bytes are: ``json``, ``parquet``, ``file``, ``folder``, …."""
        return "json" if self.artifact is None else self.artifact.format

    @property
    def size(self) -> int:
        """The stored bytes; of a folder those of the list of its files."""
        return len(canonical(self._tree)) if self.artifact is None else self.artifact.size

    @property
    def digest(self) -> str:
        """What identifies the value, ``sha256:<hex>``."""
        return values.digest(self._tree) if self.artifact is None else self.artifact.digest

    @property
    def is_data(self) -> bool:
        """Whether it is data that JSON can show, and not a file, a table, a model or bytes."""
        return (self.artifact is None or self.artifact.is_tree) and self.type not in _BYTES

    @property
    def is_pickled(self) -> bool:
        """Whether it is a pickle, or has one in it: loading it runs code."""
        return self.artifact is not None and self.artifact.is_pickled

    def data(self) -> Json:
        """Return it as plain JSON; a part that is a file of its own is its address.

        Raises ArtifactError if it is damaged, and StoreError.
        """
        return values.display(self._tree, self._store)

    def preview(self) -> dict[str, Any] | None:
        """Return what its materializer wrote for people to see; None if there is nothing."""
        from levada_records.previews import read_preview

        return None if self.artifact is None else read_preview(self._store, self.artifact)

    def load(self, *, as_data: bool = False, allow_pickle: bool = False) -> Any:
        """Return the value itself, verified; ``as_data`` returns it as plain JSON.

        The class of a project is found through `Run.project`. A pickle runs code when it is loaded,
        so it is loaded only if that is allowed here. Raises ArtifactError and StoreError.
        """
        if as_data:
            return self.data()
        if self.is_pickled and not allow_pickle:
            raise MaterializerError(
                f"{self.name} is a pickle, which runs code when it is loaded; load it with"
                " allow_pickle=True if you trust everybody who can write to the store"
                f" {self._store.url}"
            )
        trust_project(self._run)
        try:
            return values.decode(self._tree, self._store, allow_pickle)
        except CorruptArtifact:
            raise
        except MaterializerError as error:
            hint = "load(as_data=True) returns it as plain data"
            if self._run.project is None:
                hint += ", levada.runs.project(path) says where its classes are"
            raise MaterializerError(f"{error}; {hint}") from error

    def path(self) -> Path:
        """Return the path of a copy of it on this machine, which is gone when the process ends.

        Raises ArtifactError and StoreError.
        """
        from pathlib import Path

        return Path(self.write(f"{paths.new_folder()}/"))

    def open(self) -> BinaryIO:
        """Open what :meth:`write` would put in a file, verified.

        Raises ArtifactError for a folder, and StoreError.
        """
        if self.artifact is None or self.artifact.is_tree:
            import io

            return io.BytesIO(self._content())
        if self.format == paths.FOLDER_FORMAT:
            raise MaterializerError(f"{self.name} is a folder: path() gives a copy of it")
        self.artifact.check_size(self._store.check_blob(self.artifact.digest))
        return self._store.open_blob(self.artifact.digest)

    def file_name(self) -> str:
        """Return the name of a file or folder for it: its own, or ``train.model.parquet``."""
        own = self.artifact.meta.get("name") if self.artifact is not None and self._is_path else ""
        if isinstance(own, str) and own and paths.is_safe_name(own):
            return own
        ending = "bin" if self.type in _BYTES else _ENDINGS.get(self.format, self.format)
        return f"{self.name.replace('/', '_')}.{ending}"

    @property
    def _is_path(self) -> bool:
        return self.artifact is not None and self.artifact.materializer == "path"

    def write(self, target: str, *, force: bool = False) -> str:
        """Write it to a path, all or nothing; returns the path.

        A file, a folder, a text and bytes are written as they were, other plain data as JSON, and
        everything else as it is stored: no code of a value runs. With a slash at its end,
        ``target`` is the folder that gets it, by the name of `file_name`; it is made if it is not
        there. With ``force`` it
        replaces a file, but never a folder. Raises OutputExists, OSError, ArtifactError and
        StoreError.
        """
        if target.endswith("/"):
            os.makedirs(target, exist_ok=True)
            target += self.file_name()
        if os.path.lexists(target):
            _check_replaced(target, force=force)
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(6).hex()}.part")
        try:
            self._write_new(temporary)
            _put(temporary, target, force=force)
        finally:
            _remove(temporary)
        return target

    def _write_new(self, path: str) -> None:
        """Write it to a path where nothing is."""
        if self.artifact is None or self.artifact.is_tree:
            with open(path, "xb") as file:
                file.write(self._content())
        elif self._is_path:
            paths.copy_to(self.artifact, self._store, path)
        else:
            paths.copy_blob(self._store, self.artifact.digest, path)
            self.artifact.check_size(os.stat(path).st_size)

    def _content(self) -> bytes:
        """The bytes of a file for a value that is a tree."""
        tree = self._tree if self.artifact is None else values.tree_of(self.artifact, self._store)
        if isinstance(tree, str) or (isinstance(tree, dict) and len(tree) == 1 and _RAW & {*tree}):
            value = values.decode(tree)
            if isinstance(value, (bytes, bytearray)):
                return bytes(value)
            return str(value).encode("utf-8", "surrogatepass")
        text = json.dumps(self.data(), indent=2, ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass") + b"\n"

    def _repr_html_(self) -> str:
        from levada_records.html import output_html

        return output_html(self)

    def __repr__(self) -> str:
        return f"<output {self.name}: {self.type.rpartition(':')[2]}, {self.format}>"


def run_output(run: Run) -> Output:
    """Return what the pipeline returned. Raises MissingOutput if it has returned nothing.

    Of several values it is a list, or an object by their names.
    """
    outcome = run.outcome
    if outcome is None or outcome["status"] != records.SUCCEEDED:
        raise MissingOutput(f"run {run.run_id} has returned nothing: it is {run.status}")
    outputs = outcome["outputs"]
    if outcome["kind"] == "none" or not outputs:
        raise MissingOutput(f"the pipeline {run.pipeline} returns nothing; name one of its steps")
    if outcome["kind"] == "value":
        return Output(run.pipeline, outputs[0], run)
    named: Tree = [*outputs]
    if outcome["kind"] != "tuple":
        named = dict(zip(outcome["names"], outputs, strict=False))
    return Output(run.pipeline, named, run)


def step_output(run: Run, step: Step, name: str = "") -> Output:
    """Return an output of a step by its name; without one all that it returned.

    A name is that of an output, of a field of what was returned, or of what was stored with
    `log_artifact`. Raises MissingOutput, ArtifactError and StoreError.
    """
    record = step.record
    if record is None or (record["returns"] is None and name not in record["artifacts"]):
        why = step.problem or f"it is {step.status}"
        raise MissingOutput(f"{step.name} of run {run.run_id} has no output: {why}")
    label = f"{step.name}.{name}" if name else step.name
    returned = record["returns"]
    if returned is not None:
        artifact = Artifact.from_json(returned)
        if not name:
            return Output(label, artifact, run)
        try:
            return Output(label, values.output(artifact, name, run.store), run)
        except NoField:
            pass  # it may be the name of a logged artifact
    if name in record["artifacts"]:
        return Output(label, Artifact.from_json(record["artifacts"][name]), run)
    raise MissingOutput(_no_output(step, name))


def output_names(step: Step) -> list[str]:
    """Return the names of a step's outputs and logged artifacts."""
    record = step.record
    return [] if record is None else [*record["outputs"], *record["artifacts"]]


def _no_output(step: Step, name: str) -> str:
    names = output_names(step)
    there = f"it has {', '.join(names)}" if names else "it has only what it returned as a whole"
    return f"{step.name} has no output `{name}`; {there}"


def _check_replaced(target: str, *, force: bool) -> None:
    """Raise OutputExists unless what is in this place may be replaced."""
    if os.path.isdir(target) and not os.path.islink(target):
        raise OutputExists(
            f"{target} is a folder, which is never replaced; remove it, or write {target}/ to put"
            " it in there"
        )
    if not force:
        raise OutputExists(f"{target} is there already; --force replaces it")


def _put(temporary: str, target: str, *, force: bool) -> None:
    """Have what is complete take its place, where nothing is unless ``force`` is given."""
    if os.path.isdir(temporary):
        if os.path.lexists(target):
            _check_replaced(target, force=force)
            os.unlink(target)
        os.rename(temporary, target)
    elif force:
        os.replace(temporary, target)
    else:
        try:
            os.link(temporary, target)  # unlike a rename, it replaces nothing
        except FileExistsError:
            _check_replaced(target, force=False)
        except OSError:  # a file system without links
            if os.path.lexists(target):
                _check_replaced(target, force=False)
            os.rename(temporary, target)


def _remove(path: str) -> None:
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)
