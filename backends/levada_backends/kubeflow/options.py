"""What ``[tool.levada.targets.kubeflow]`` may say.

What it has in common with ``kubernetes`` has the same name there.
"""

from __future__ import annotations

from levada_compiler.slotted import dataclass, field
from levada_compiler.target import Option

from ..pods import names, store
from .artifacts import ARTIFACT_TYPES
from .schedule import same_zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLICIES = ("Always", "IfNotPresent", "Never")
_STORE, _CLAIM = "/var/lib/levada", "levada-store"
_TEXTS = {
    "image": "of steps that have none, and of the tasks that decide",
    "store": f"where `store_claim` is mounted (`{_STORE}`), or a URL without a claim",
    "store_claim": f"the PersistentVolumeClaim of the store (`{_CLAIM}`), for all pods",
    "secret": "the Secret of references that name a key alone",
    "image_pull_policy": "`Always`, `IfNotPresent` or `Never`; the cluster's",
    "service_account": "of runs, and so of all their pods; KFP's (`pipeline-runner`)",
    "schedule_timezone": "the time zone of KFP's schedules, one for the whole server (`UTC`)",
}
#: How the keys begin of what KFP and Argo know a pod by.
_OWN_METADATA = ("pipeline/", "pipelines.kubeflow.org/", "workflows.argoproj.io/")
_FOR_THE_CLIENT = {
    "host": "the URL of KFP's API, for `levada deploy` and `levada submit`",
    "namespace": "the namespace of runs, where KFP has several users",
    "experiment": "the experiment that runs belong to; the pipeline's name",
    "token_env": "the environment variable that holds the token for the API",
    "certificates": "a file with the certificates of those who signed the API's",
}
#: All of them, for `levada targets`.
OPTIONS = (
    *(Option(name, note) for name, note in _TEXTS.items()),
    Option("image_pull_secrets", "a list of Secrets that images are pulled with"),
    Option("labels", "a table of labels, for the pods of all tasks"),
    Option("annotations", 'the same of annotations: `{"sidecar.istio.io/inject" = "false"}`'),
    Option("collected", "whether what the items of loops gave is a list in KFP too (`true`)"),
    Option("artifacts", 'KFP types of outputs: `{"train.report" = "HTML"}`'),
    *(Option(name, note) for name, note in _FOR_THE_CLIENT.items()),
)


@dataclass(frozen=True, slots=True)
class Options:
    """The options, and what is wrong with what was given."""

    image: str = ""
    store: str = ""
    store_claim: str = ""
    secret: str = ""
    image_pull_policy: str = ""
    schedule_timezone: str = "UTC"
    service_account: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    collected: bool = True
    compiler: str = ""
    problems: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        """The claim of the store: of that name where nothing is said of a store."""
        return self.store_claim or ("" if self.store else _CLAIM)

    @property
    def store_url(self) -> str:
        """The store, as all pods have it."""
        return self.store or _STORE


def read(given: Mapping[str, object]) -> Options:
    """The options that were given."""
    texts = {name: str(given[name]) for name in _TEXTS if isinstance(given.get(name), str)}
    secrets = given.get("image_pull_secrets", [])
    artifacts = given.get("artifacts", {})
    return Options(
        **texts,
        image_pull_secrets=tuple(map(str, secrets)) if isinstance(secrets, list) else (),
        labels=_table(given, "labels"),
        annotations=_table(given, "annotations"),
        artifacts=dict(artifacts) if isinstance(artifacts, dict) else {},
        collected=given.get("collected") is not False,
        compiler=str(given.get("compiler", "")),
        problems=tuple(_problems(given, texts)),
    )


def _problems(given: Mapping[str, object], texts: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each that is wrong."""
    for name in _TEXTS:
        if name in given and name not in texts:
            yield f"`{name}` is a string, not {given[name]!r}"
    policy = texts.get("image_pull_policy")
    if policy and policy not in POLICIES:
        yield f"`image_pull_policy` is one of {', '.join(POLICIES)}, not `{policy}`"
    zone = texts.get("schedule_timezone", "UTC")
    if not same_zone(zone, "UTC") and not _is_zone(zone):
        yield f'`schedule_timezone` is a name such as "Europe/Berlin", not `{zone}`'
    image = texts.get("image")
    if image and (problem := names.image_problem(image)):
        yield f"`image` is `{image}`, which is no image: {problem}"
    claim = texts.get("store_claim")
    if claim and (problem := names.label_problem(claim)):  # it names the pod's volume too
        yield f"`store_claim` is `{claim}`, which KFP cannot mount: {problem}"
    wanted = [(each, texts[each]) for each in ("secret", "service_account") if texts.get(each)]
    secrets = given.get("image_pull_secrets", [])
    if isinstance(secrets, list) and all(isinstance(name, str) for name in secrets):
        wanted += [("image_pull_secrets", name) for name in secrets]
    else:
        yield f"`image_pull_secrets` is a list of names, not {secrets!r}"
    for option, name in wanted:
        if problem := names.subdomain_problem(name):
            yield f"`{option}` is `{name}`, which is no name in Kubernetes: {problem}"
    if not isinstance(given.get("collected", True), bool):
        yield f"`collected` is true or false, not {given['collected']!r}"
    place = texts.get("store")
    if place is not None and (problem := store.problem(place, claim)):
        yield problem
    yield from _artifact_problems(given.get("artifacts", {}))
    yield from _metadata_problems(given)


def _table(given: Mapping[str, object], name: str) -> dict[str, str]:
    table = given.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        return {}
    return dict(table)


def _metadata_problems(given: Mapping[str, object]) -> Iterator[str]:
    for name in ("labels", "annotations"):
        table = _table(given, name)
        if table != given.get(name, {}):
            yield f"`{name}` is a table of texts, not {given[name]!r}"
        for key, text in table.items():
            if key.startswith(_OWN_METADATA):
                yield f"`{name}` has `{key}`, which KFP and Argo say of a pod themselves"
            if "{{" in text:
                yield f"`{name}` has `{key}`, in whose text Argo would replace what begins `{{{{`"
    if problem := names.metadata_problem(_table(given, "labels"), _table(given, "annotations")):
        yield f"Kubernetes would refuse {problem}"


def _is_zone(name: str) -> bool:
    import zoneinfo

    return name in zoneinfo.available_timezones()


def _artifact_problems(artifacts: object) -> Iterator[str]:
    if not isinstance(artifacts, dict):
        yield '`artifacts` is a table such as {"train.report" = "HTML"}'
        return
    for output, kind in artifacts.items():
        if not all(output.rpartition(".")[::2]):
            yield f"`artifacts` has `{output}`, which names no output: write `{output}.output`"
        if kind not in ARTIFACT_TYPES:
            types = ", ".join(ARTIFACT_TYPES)
            yield f"`artifacts` gives `{output}` the type {kind!r}, which is none of {types}"
