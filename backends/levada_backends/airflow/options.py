"""What ``[tool.levada.targets.airflow]`` says of where steps run; the names are Airflow's own."""

from __future__ import annotations

from levada import records
from levada_compiler.slotted import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

PROCESS, DOCKER, KUBERNETES = "process", "docker", "kubernetes"
EXECUTORS = (PROCESS, DOCKER, KUBERNETES)
#: The uid that is in images that Levada builds, and what a cluster is asked for.
UID = 65532
#: What the address of a record may name.
RECORD_FIELDS = ("pipeline", "run_id", "step", "item", "attempt", "path")
#: A ``user`` that the cluster assigns, as OpenShift does.
ASSIGNED = "assigned"


@dataclass(frozen=True, slots=True)
class Options:
    """The options, each with a value of the right type."""

    executor: str = PROCESS
    decisions: str | None = None
    image: str | None = None
    store: str | None = None
    volumes: list[dict[str, Any]] = field(default_factory=list)
    user: int | str | None = None
    docker_url: str | None = None
    docker_conn_id: str | None = None
    network_mode: str | None = None
    kubernetes_conn_id: str | None = None
    cluster_context: str | None = None
    namespace: str | None = None
    service_account_name: str | None = None
    image_pull_secrets: list[str] = field(default_factory=list)
    secret: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: list[dict[str, Any]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    priority_class_name: str | None = None
    startup_timeout_seconds: int = 600
    deferrable: bool = False
    airflow: int | None = None
    record_url: str | None = None
    plugins_folder: str | None = None

    @property
    def record(self) -> str | None:
        """The pattern of the address of a record: in the store where that has one."""
        if self.record_url is None and (self.store or "").startswith(("http://", "https://")):
            store = str(self.store).rstrip("/").replace("{", "{{").replace("}", "}}")
            return records.record_path(f"{store}/{{path}}")
        return self.record_url


def read(table: Mapping[str, object]) -> Options:
    """The options of a table; one of a wrong type is as if it were not there."""
    wrong = {name for name, _ in problems(table)}
    names = [name for name in KINDS if name in table and name not in wrong]
    return Options(**{name: table[name] for name in names})  # type: ignore[arg-type]  # checked


def problems(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The names of options whose values are of a wrong type, and what they should be."""
    for name, (is_right, expected) in KINDS.items():
        if name in table and not is_right(table[name]):
            yield name, expected


# ---------------------------------------------------------------------------- types


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_user(value: object) -> bool:
    return _is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


def _is_executor(value: object) -> bool:
    return value in EXECUTORS


def _is_volumes(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_volume, value))


def _is_volume(value: object) -> bool:
    if not isinstance(value, dict) or set(value) - {"claim", "path", "read_only"}:
        return False
    flag = isinstance(value.get("read_only", False), bool)
    return flag and _is_text(value.get("claim")) and _is_text(value.get("path"))


def _is_record_url(value: object) -> bool:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return False
    from string import Formatter

    try:
        parts = list(Formatter().parse(value))
    except ValueError:  # a brace without its other half
        return False
    plain = all(not format_spec and not conversion for _, _, format_spec, conversion in parts)
    return plain and all(name is None or name in RECORD_FIELDS for _, name, _, _ in parts)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_TEXT = (_is_text, "a text")
_MAPPING = (_is_mapping, "a table of texts")

#: For each option what tells a value of the right type, and what to call such a value.
KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "executor": (_is_executor, '"process", "docker" or "kubernetes"'),
    "decisions": (_is_executor, '"process", "docker" or "kubernetes"'),
    "volumes": (_is_volumes, 'a list such as [{claim = "levada-store", path = "/store"}]'),
    "user": (_is_user, 'a number, or "assigned"'),
    "image_pull_secrets": (_is_texts, "a list of texts"),
    "node_selector": _MAPPING,
    "labels": _MAPPING,
    "annotations": _MAPPING,
    "tolerations": (_is_tables, 'a list such as [{key = "gpu", operator = "Exists"}]'),
    "startup_timeout_seconds": (_is_whole, "a whole number of seconds"),
    "deferrable": (_is_flag, "true or false"),
    "airflow": (lambda value: value in (2, 3) and not isinstance(value, float), "2 or 3"),
    "record_url": (
        _is_record_url,
        "an address with any of " + ", ".join(f"{{{name}}}" for name in RECORD_FIELDS),
    ),
    **dict.fromkeys(
        (
            *("image", "store", "docker_url", "docker_conn_id", "network_mode", "secret"),
            *("kubernetes_conn_id", "cluster_context", "namespace", "service_account_name"),
            *("priority_class_name", "plugins_folder"),
        ),
        _TEXT,
    ),
}
