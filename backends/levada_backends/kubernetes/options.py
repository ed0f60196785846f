"""``[tool.levada.targets.kubernetes]``: where and as whom a pipeline runs in a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from levada import declarations

from ..pods import container, names, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

#: Where the driver finds the plan.
PLAN_FOLDER = "/etc/levada"
TABLE = "[tool.levada.targets.kubernetes]"
#: What the command line adds.
_GIVEN = ("compiler", "project")
#: Where a claim cannot be mounted: it would hide the image, or something is mounted there.
_TAKEN = ("/", container.TEMPORARY, PLAN_FOLDER)
#: https://github.com/kubernetes/api/blob/master/core/v1/types.go: seconds are 32 bits wide.
LONGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Options:
    """The options; times are seconds.

    - ``namespace``: of all objects; without one, that of ``kubectl``.
    - ``image``: of steps that have none; ``driver_image``: of the driver, else that of a step.
    - ``store``: the store's URL, or where ``store_claim`` (a PersistentVolumeClaim) is mounted.
    - ``user``: the numeric uid and gid of all pods; False leaves it to the cluster.
    - ``secret``: the Secret of references that name a key alone; ``image_pull_secrets``.
    - ``priority_class``: of all pods; ``priority_classes``: of steps, by their ``priority``.
    - ``labels``, ``annotations``: of all pods, beside those by which Levada knows them.
    - ``queue``: the Kueue LocalQueue of steps that have no ``queue``.
    - ``stuck_after``: how long a pod may be kept from starting by its image, its configuration or
      an admission rule; ``unschedulable_after``: by a lack of nodes or of quota.
    - ``timeout``: of a whole run; ``finally_timeout``: of its ``finally`` regions once it is
      cancelled or out of time; ``keep``: how long a run's Jobs and logs stay after its end.
    - ``history``: how many finished scheduled runs stay.
    - ``max_parallel``: steps at a time, where the pipeline does not say.
    - ``indexed_from``: from how many items on a fan-out runs in Indexed Jobs.
    - ``starting_deadline``: how late a scheduled run may start.
    - ``network_policy``, ``admission_policy``: whether these are written as well.
    - ``context``, ``kubeconfig``: for who deploys and submits.
    """

    namespace: str | None = None
    image: str | None = None
    driver_image: str | None = None
    store: str | None = None
    store_claim: str | None = None
    user: int | None = 65532
    secret: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    priority_class: str | None = None
    priority_classes: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    queue: str | None = None
    stuck_after: float = 300
    unschedulable_after: float = 3600
    timeout: float | None = None
    finally_timeout: float = 3600
    keep: float = 7 * 86400
    history: int = 10
    max_parallel: int = 100
    indexed_from: int = 20
    starting_deadline: float = 3600
    network_policy: bool = False
    admission_policy: bool = False
    context: str | None = None
    kubeconfig: str | None = None

    @property
    def claim(self) -> str | None:
        """The claim of the store: of that name where nothing is said of a store."""
        return self.store_claim or (None if self.store else "levada-store")

    @property
    def store_url(self) -> str:
        """The store, as all pods have it."""
        return self.store or "/var/lib/levada"


def read(given: Mapping[str, object]) -> tuple[Options, tuple[str, ...]]:
    """The options, and a sentence for each that is wrong."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    known = [each.name for each in fields(Options)]
    for name, value in given.items():
        if name in _GIVEN:
            continue
        if name not in known:
            problems.append(f"there is no option `{name}`; there are {', '.join(known)}")
            continue
        try:
            found[name] = _READERS[name](value)
        except (TypeError, ValueError) as error:
            problems.append(f"`{name}` {error}")
    problems += _across(found)
    return Options(**found), tuple(problems)


def _across(found: Mapping[str, Any]) -> Iterator[str]:
    place = found.get("store")
    if place is None:
        return
    if problem := store.problem(place, found.get("store_claim")):
        yield problem
    elif "://" not in place and (place.rstrip("/") or "/") in _TAKEN:
        yield f"`store` is {place}, where the pods have something else"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"is a string, not {value!r}")
    return value


def _object_name(value: object) -> str:
    text = _text(value)
    if problem := names.subdomain_problem(text):
        raise ValueError(f"is `{text}`, which is no name in Kubernetes: {problem}")
    return text


def _strict_name(value: object) -> str:
    text = _text(value)
    if problem := names.label_problem(text):
        raise ValueError(f"is `{text}`, which is no name in Kubernetes: {problem}")
    return text


def _label_value(value: object) -> str:
    text = _text(value)
    if problem := names.value_problem(text):
        raise ValueError(f"is `{text}`, which is no value of a label: {problem}")
    return text


def _object_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"is a list of names, not {value!r}")
    return tuple(_object_name(each) for each in value)


def _classes(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(_is_whole(key) for key in value):
        raise TypeError('is a table from priorities to classes: { "10" = "high" }')
    return {str(int(key)): _object_name(each) for key, each in value.items()}


def _labels(value: object) -> dict[str, str]:
    table = _texts(value)
    return _unless(names.metadata_problem(table, {}), table)


def _annotations(value: object) -> dict[str, str]:
    table = _texts(value)
    return _unless(names.metadata_problem({}, table), table)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError(f"is a table of texts, not {value!r}")
    return dict(value)


def _unless(problem: str, table: dict[str, str]) -> dict[str, str]:
    if problem:
        raise ValueError(f"has what Kubernetes would refuse: {problem}")
    return table


def _is_whole(text: object) -> bool:
    return isinstance(text, str) and text.lstrip("-").isascii() and text.lstrip("-").isdigit()


def _user(value: object) -> int | None:
    if value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
        raise TypeError(f"is the number of a user other than root, or false, not {value!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"is true or false, not {value!r}")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
        raise TypeError(f"is a whole number from 1, not {value!r}")
    return value


def _seconds(value: object) -> float:
    try:
        seconds = declarations.seconds("it", value)  # type: ignore[arg-type]  # it checks the type
    except (TypeError, ValueError):
        raise ValueError(f'is seconds, "90s", "15m", "2h" or "1d", not {value!r}') from None
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"is from a second to {LONGEST // 86400} days, not {value!r}")
    return seconds


_READERS: dict[str, Callable[[object], Any]] = {
    "namespace": _strict_name,
    "image": _text,
    "driver_image": _text,
    "store": _text,
    "store_claim": _object_name,
    "user": _user,
    "secret": _object_name,
    "image_pull_secrets": _object_names,
    "priority_class": _object_name,
    "priority_classes": _classes,
    "labels": _labels,
    "annotations": _annotations,
    "queue": _label_value,
    "stuck_after": _seconds,
    "unschedulable_after": _seconds,
    "timeout": _seconds,
    "finally_timeout": _seconds,
    "keep": _seconds,
    "history": _count,
    "max_parallel": _count,
    "indexed_from": _count,
    "starting_deadline": _seconds,
    "network_policy": _flag,
    "admission_policy": _flag,
    "context": _text,
    "kubeconfig": _text,
}
