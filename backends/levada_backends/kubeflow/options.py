"""What ``[tool.levada.targets.kubeflow]`` may say."""

from __future__ import annotations

from levada_compiler.slotted import dataclass, field

from ..target import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: KFP's artifact types that an output can be given by name.
ARTIFACT_TYPES = (*("Artifact", "Dataset", "Model", "ClassificationMetrics", "HTML", "Markdown"),)
_TEXTS = {
    "store": "a URL, or a path in the claim's volume: where artifacts and records are kept; "
    "`<mount>/store` where there is a claim",
    "claim": "a PersistentVolumeClaim that every task is given",
    "mount": "where that is mounted; `/levada`",
    "image": "the image of steps that have none, and of tasks that decide",
    "secret": "the Secret of references that do not name one",
    "pull_secret": "the Secret that images are pulled with",
    "pull_policy": "`Always`, `IfNotPresent` or `Never`",
}
_FOR_THE_CLIENT = {
    "host": "the URL of KFP's API, for `levada submit` and `levada deploy`",
    "namespace": "the namespace of runs, where KFP has users of several",
    "experiment": "the experiment that runs belong to; the pipeline's name",
    "token_env": "the environment variable that holds the token for the API",
    "certificates": "a file with the certificates of those who signed the API's",
}
#: All of them, for `levada targets`.
OPTIONS = (
    *(Option(name, note) for name, note in _TEXTS.items()),
    Option("artifacts", 'KFP types of outputs: `{"train.report" = "HTML"}`'),
    *(Option(name, note) for name, note in _FOR_THE_CLIENT.items()),
)


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
            problems.append(f"the option `{name}` is a string, not {value!r}: {_TEXTS[name]}")
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
