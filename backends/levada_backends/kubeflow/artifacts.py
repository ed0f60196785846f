"""What each task declares as outputs: names and types are those of the step's.

What is small by its annotation is a parameter of KFP, a string that holds JSON (a number would be
a double); all else is an artifact.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from levada_compiler.program.ir import Step, Type

#: KFP's artifact types that an output can have.
ARTIFACT_TYPES = ("Artifact", "Dataset", "Model", "ClassificationMetrics", "HTML", "Markdown")
VERSION = "0.0.1"
METRICS, LOGGED = "metrics", "logged"
#: Stands where an artifact has its KFP type.
PARAMETER = "parameter"
#: The output of a step that has no named ones.
WHOLE = "output"
#: Packages by what KFP would call a value of theirs.
_PACKAGES = {
    "Dataset": ("numpy", "pandas", "polars", "pyarrow", "datasets"),
    "Model": (
        *("sklearn", "torch", "xgboost", "lightgbm", "catboost", "tensorflow", "keras"),
        *("transformers", "onnx", "flax"),
    ),
}
#: What an output may have of a task's input, in bytes of JSON: a text of 4 KiB with an escape a
#: character, 2,000 characters that an artifact shows of its value, the plots of a curve, a number.
_LARGEST = {PARAMETER: 8500, "ClassificationMetrics": 52_000}
_LARGEST_ARTIFACT, _LARGEST_NUMBER = 9000, 200
_SMALL = frozenset(("bool", "int", "float", "str", "None", "literal"))


class Outputs:
    """The outputs of steps. ``wanted`` has the KFP types that the project gives some of them."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._taken_whole: set[str] = set()

    def of(self, step: Step) -> dict[str, str]:
        """By name, KFP's type or ``PARAMETER``; last what the step may log beside these."""
        found = {
            name: self._wanted.get(f"{step.function}.{name}") or kind(type_)
            for name, type_ in self._named(step).items()
        }
        if "log_artifact" in step.logs:
            found[LOGGED if LOGGED not in found else f"{LOGGED}_artifacts"] = "Artifact"
        if "log_metric" in step.logs:
            found[METRICS if METRICS not in found else f"logged_{METRICS}"] = "Metrics"
        return found

    def _named(self, step: Step) -> dict[str, Type]:
        named = {output_name(output.name): output.type for output in step.outputs}
        if step.key in self._taken_whole or (not named and step.returns.name != "None"):
            named[WHOLE] = step.returns
        return named

    def largest(self, step: Step, name: str) -> int:
        """The bytes that an output may have among the inputs of a task."""
        own = self.of(step)[name]
        if own == PARAMETER and _is_number(self._named(step)[name]):
            return _LARGEST_NUMBER
        return _LARGEST.get(own, _LARGEST_ARTIFACT)

    def whole(self, step: Step) -> str | None:
        """The name of all that a step returns, which is an output of its own from now on."""
        if any(output.name == WHOLE for output in step.outputs) or step.returns.name == "None":
            return None
        if step.outputs:
            self._taken_whole.add(step.key)
        return WHOLE


def staged(name: str) -> str:
    """The output by which what stages a program's inputs gives one."""
    return f"input-{name}"


def written(name: str) -> str:
    """The input by which what collects a program's outputs is given one."""
    return f"program-{name}"


def output_name(name: str) -> str:
    """A named output is called as it is; those of a tuple have numbers."""
    return f"output_{name}" if name.isdecimal() else name


def kind(type_: Type) -> str:
    """KFP's type for what a step says that it returns."""
    own = type_.text.rpartition(".")[2]
    if own in ARTIFACT_TYPES:  # the project has a type that is called so
        return own
    if _is_small(type_):
        return PARAMETER
    package = type_.name.partition(".")[0]
    return next((kind for kind, names in _PACKAGES.items() if package in names), "Artifact")


def _is_small(type_: Type) -> bool:
    if type_.name == "union":
        return all(map(_is_small, type_.arguments))
    return type_.name in _SMALL


def _is_number(type_: Type) -> bool:
    """Whether its values have few characters: ``levada.kubeflow_report`` gives no longer number."""
    if type_.name == "union":
        return all(map(_is_number, type_.arguments))
    return type_.name not in ("str", "literal") or (
        type_.name == "literal" and all(len(value) < _LARGEST_NUMBER // 2 for value in type_.values)
    )


def declared(name: str, *, is_list: bool = False) -> dict[str, object]:
    """An artifact of one of KFP's types, or several."""
    content: dict[str, object] = {"artifactType": {"schemaTitle": f"system.{name}"}}
    return content | ({"isArtifactList": True} if is_list else {})


def declared_by_root(names: Iterable[str]) -> dict[str, object]:
    """Artifacts of the whole pipeline. Only the SDK wants the version of a type, and only here."""
    own = {"schemaTitle": "system.Artifact", "schemaVersion": VERSION}
    return {name: {"artifactType": own} for name in names}
