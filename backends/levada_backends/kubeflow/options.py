"""What ``[tool.levada.targets.kubeflow]`` may say."""

from __future__ import annotations

from levada_compiler.slotted import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: KFP's artifact types that an output can be given by name.
ARTIFACT_TYPES = (*("Artifact", "Dataset", "Model", "ClassificationMetrics", "HTML", "Markdown"),)
_TEXTS = {
    "store": "where artifacts and records are kept: a URL, or a path that is in the claim's volume",
    "claim": "a PersistentVolumeClaim that every task is given",
    "mount": "where it is mounted",
    "image": "the image of steps that have none, and of tasks that decide",
    "secret": "the Secret of references that do not name one",
    "pull_secret": "the Secret that images are pulled with",
    "pull_policy": "`Always`, `IfNotPresent` or `Never`",
}
#: Options of the compiler, and of what submits.
_OTHERS = ("compiler", "project", "host", "namespace", "experiment")


@dataclass(frozen=True, slots=True)
class Options:
    """The options, and what is wrong with what was given."""

    store: str = ""
    claim: str = ""
    mount: str = "/levada"
    image: str = ""
    secret: str = ""
    pull_secret: str = ""
    pull_policy: str = ""
    compiler: str = ""
    artifacts: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def store_url(self) -> str:
        """The store; in the claim's volume where nothing is said."""
        return self.store or (f"{self.mount}/store" if self.claim else "")


def read(given: Mapping[str, object]) -> Options:
    """The options that were given."""
    known: dict[str, str] = {}
    problems: list[str] = []
    for name, value in given.items():
        if name in _TEXTS and isinstance(value, str):
            known[name] = value
        elif name in _TEXTS:
            problems.append(f"`{name}` is a string ({_TEXTS[name]}), not {value!r}")
        elif name not in (*_OTHERS, "artifacts"):
            names = ", ".join(f"`{one}`" for one in (*_TEXTS, "artifacts"))
            problems.append(f"there is no option `{name}`; there are {names}")
    artifacts = _artifacts(given.get("artifacts", {}), problems)
    compiler = str(given.get("compiler", ""))
    return Options(**known, compiler=compiler, artifacts=artifacts, problems=tuple(problems))


def _artifacts(given: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(given, dict):
        problems.append('`artifacts` is a table such as {"train.report" = "HTML"}')
        return {}
    for output, kind in given.items():
        if kind not in ARTIFACT_TYPES:
            problems.append(
                f"`artifacts` gives `{output}` the type {kind!r}, which is none of "
                + ", ".join(ARTIFACT_TYPES)
            )
    return {output: kind for output, kind in given.items() if kind in ARTIFACT_TYPES}
