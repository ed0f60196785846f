"""What each task declares as KFP's artifacts: names and types are those of the step's outputs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.ir import Step, Type

VERSION = "0.0.1"
METRICS = "metrics"
#: Packages by what KFP would call a value of theirs.
_PACKAGES = {
    "Dataset": ("numpy", "pandas", "polars", "pyarrow", "datasets"),
    "Model": (
        *("sklearn", "torch", "xgboost", "lightgbm", "catboost", "tensorflow", "keras"),
        *("transformers", "onnx", "flax"),
    ),
}


def of_step(step: Step, wanted: Mapping[str, str]) -> dict[str, str]:
    """The artifacts of a step by name, with KFP's types; its metrics are the last one."""
    named = {output_name(output.name): output.type for output in step.outputs}
    if not named and step.returns.name != "None":
        named = {"output": step.returns}
    found = {
        name: wanted.get(f"{step.function}.{name}") or kind(type_) for name, type_ in named.items()
    }
    return found | {METRICS if METRICS not in found else f"logged_{METRICS}": "Metrics"}


def output_name(name: str) -> str:
    """A named output is called as it is; those of a tuple have numbers."""
    return f"output_{name}" if name.isdecimal() else name


def kind(type_: Type) -> str:
    """KFP's type for what a step says that it returns."""
    package = type_.name.partition(".")[0]
    return next((kind for kind, names in _PACKAGES.items() if package in names), "Artifact")


def declared(name: str) -> dict[str, object]:
    """An artifact type of KFP."""
    return {"artifactType": {"schemaTitle": f"system.{name}", "schemaVersion": VERSION}}
