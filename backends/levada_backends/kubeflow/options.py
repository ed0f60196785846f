"""What ``[tool.levada.targets.kubeflow]`` may say.

What it has in common with ``kubernetes`` has the same name there.
"""

from __future__ import annotations

from levada_compiler.options import FLAG, MAPPING, TEXT, Kind, Option, OptionTable, choice

from ..pods import names, store
from ..pods.option_kinds import (
    ANNOTATIONS,
    IMAGE,
    LABELS,
    OBJECT_NAME,
    OBJECT_NAMES,
    REFERENCES,
    VARIABLES,
)
from .artifacts import ARTIFACT_TYPES
from .schedule import same_zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STORE, _CLAIM = "/var/lib/levada", "levada-store"
#: How the keys begin of what KFP and Argo know a pod by.
_OWN_METADATA = ("pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/")


def _claim(name: str, value: object) -> str:
    found = TEXT.read(name, value)
    if problem := names.label_problem(found):  # it names the pod's volume too
        raise ValueError(f"{name} is `{found}`, which KFP cannot mount: {problem}")
    return found


def _zone(name: str, value: object) -> str:
    import zoneinfo

    found = TEXT.read(name, value)
    if not same_zone(found, "UTC") and found not in zoneinfo.available_timezones():
        raise ValueError(f'{name} must be a name such as "Europe/Berlin", not `{found}`')
    return found


def _without_kfps(kind: Kind[dict[str, str]]) -> Callable[[str, object], dict[str, str]]:
    """Return what reads labels or annotations that KFP does not set, nor Argo replaces."""

    def read(name: str, value: object) -> dict[str, str]:
        for key, text in MAPPING.read(name, value).items():
            if key.startswith(_OWN_METADATA):
                raise ValueError(f"{name} has `{key}`, which KFP and Argo say of a pod themselves")
            if "{{" in text:
                problem = f"{name} has `{key}`, in whose text Argo would replace what begins `{{{{`"
                raise ValueError(problem)
        return kind.read(name, value)

    return read


def _artifacts(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a table from outputs to types, not {value!r}")
    for output, kind in value.items():
        if not all(output.rpartition(".")[::2]):
            raise ValueError(f"{name} has `{output}`, which names no output: write `step.output`")
        if kind not in ARTIFACT_TYPES:
            types = ", ".join(ARTIFACT_TYPES)
            raise ValueError(f"{name} gives `{output}` the type {kind!r}, which is none of {types}")
    return dict(value)


_LABELS = Kind(_without_kfps(LABELS), LABELS.annotation, LABELS.schema, LABELS.example)
_ANNOTATIONS = Kind(
    _without_kfps(ANNOTATIONS), ANNOTATIONS.annotation, ANNOTATIONS.schema, ANNOTATIONS.example
)


class Options(OptionTable):
    """The options; what is not given is empty."""

    image = Option[str](
        IMAGE, "", "The image of steps that have none, and of the tasks that decide."
    )
    store = Option[str](
        TEXT,
        "",
        "Where `store_claim` is mounted, or a URL without a claim.",
        example=f'"{_STORE}"',
        otherwise=f'"{_STORE}"',
    )
    store_claim = Option[str](
        Kind(_claim, "str", {}, f'"{_CLAIM}"'),
        "",
        "The PersistentVolumeClaim of the store, for all pods.",
        otherwise=f'"{_CLAIM}"',
    )
    store_environment = Option[dict[str, str]](
        VARIABLES, {}, "Variables by which the store's service is reached: region, endpoint."
    )
    store_secrets = Option[dict[str, str]](
        REFERENCES,
        {},
        "Variables with the store's credentials, from Secrets, where no role gives any.",
    )
    secret = Option[str](OBJECT_NAME, "", "The Secret of references that name a key alone.")
    image_pull_policy = Option[str](
        choice("Always", "IfNotPresent", "Never"),
        "",
        "When images are pulled.",
        otherwise="the cluster's",
    )
    image_pull_secrets = Option[tuple[str, ...]](
        OBJECT_NAMES, (), "Secrets that images are pulled with."
    )
    service_account = Option[str](
        OBJECT_NAME,
        "",
        "The service account of runs, and so of all their pods.",
        otherwise="KFP's (`pipeline-runner`)",
    )
    labels = Option[dict[str, str]](_LABELS, {}, "Labels of the pods of all tasks.")
    annotations = Option[dict[str, str]](_ANNOTATIONS, {}, "Annotations of the pods of all tasks.")
    collected = Option[bool](
        FLAG,
        True,
        "Whether what the items of loops gave is a list in KFP too.",
        example="false",
    )
    artifacts = Option[dict[str, str]](
        Kind(_artifacts, "Mapping[str, str]", {}, '{ "train.report" = "HTML" }'),
        {},
        f"KFP types of outputs: {', '.join(f'`{each}`' for each in ARTIFACT_TYPES)}.",
    )
    schedule_timezone = Option[str](
        Kind(_zone, "str", {}, '"Europe/Berlin"'),
        "UTC",
        "The time zone of KFP's schedules, one for the whole server.",
    )
    host = Option[str](
        TEXT,
        "",
        "The URL of KFP's API, for `levada deploy` and `levada submit`.",
        example='"https://kubeflow.example.com"',
    )
    namespace = Option[str](TEXT, "", "The namespace of runs, where KFP has several users.")
    experiment = Option[str](
        TEXT, "", "The experiment that runs belong to.", otherwise="the pipeline's name"
    )
    token_env = Option[str](
        TEXT,
        "",
        "The environment variable that holds the token for the API.",
        example='"KFP_TOKEN"',
    )
    certificates = Option[str](
        TEXT,
        "",
        "A file with the certificates of those who signed the API's.",
        example='"ca.pem"',
    )

    @property
    def claim(self) -> str:
        """The claim of the store: of that name where nothing is said of a store."""
        return self.store_claim or ("" if self.store else _CLAIM)

    @property
    def store_url(self) -> str:
        """The store, as all pods have it."""
        return self.store or _STORE

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the store and its claim."""
        if self.store and (problem := store.problem(self.store, self.store_claim)):
            yield "store", problem
