"""``[tool.levada.targets.kubernetes]``: where and as whom a pipeline runs in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada_compiler.options import FLAG, SECONDS, TEXT, Kind, Option, OptionTable

from ..pods import container, store
from ..pods.option_kinds import (
    ANNOTATIONS,
    IMAGE,
    LABEL_VALUE,
    LABELS,
    OBJECT_NAME,
    OBJECT_NAMES,
    REFERENCES,
    STRICT_NAME,
    VARIABLES,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Where the driver finds the plan.
PLAN_FOLDER = "/etc/levada"
TABLE = "[tool.levada.targets.kubernetes]"
_STORE, _CLAIM = "/var/lib/levada", "levada-store"
#: Where a claim cannot be mounted: it would hide the image, or something is mounted there.
_TAKEN = ("/", container.TEMPORARY, PLAN_FOLDER)
#: https://github.com/kubernetes/api/blob/master/core/v1/types.go: seconds are 32 bits wide.
LONGEST = 2**31 - 1


def _seconds(name: str, value: object) -> float:
    try:
        seconds = SECONDS.read(name, value)
    except (TypeError, ValueError):
        problem = f'{name} must be seconds, "90s", "15m", "2h" or "1d", not {value!r}'
        raise ValueError(problem) from None
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{name} must be from a second to {LONGEST // 86400} days, not {value!r}")
    return seconds


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LONGEST:
        raise TypeError(f"{name} must be a whole number from 1, not {value!r}")
    return value


def _user(name: str, value: object) -> int | None:
    if value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST:
        problem = f"{name} must be the number of a user other than root, or false, not {value!r}"
        raise TypeError(problem)
    return value


def _classes(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(_is_whole(key) for key in value):
        raise TypeError(f"{name} must be a table from priorities to classes, not {value!r}")
    return {str(int(key)): OBJECT_NAME.read(f"{name}.{key}", each) for key, each in value.items()}


def _is_whole(text: object) -> bool:
    return isinstance(text, str) and text.lstrip("-").isascii() and text.lstrip("-").isdigit()


_TIME = Kind(_seconds, "float | str", {}, '"15m"')
_COUNT = Kind(_count, "int", {}, "10")
_USER: Kind[Any] = Kind(_user, "int | bool", {}, "65532")
_CLASSES = Kind(_classes, "Mapping[str, str]", {}, '{ "10" = "high" }')


class Options(OptionTable):
    """The options; times are seconds."""

    namespace = Option[str | None](
        STRICT_NAME, None, "The namespace of all objects.", otherwise="that of `kubectl`"
    )
    image = Option[str | None](IMAGE, None, "The image of steps that have none.")
    driver_image = Option[str | None](
        IMAGE, None, "The image of the driver.", otherwise="that of a step whose values it looks at"
    )
    store = Option[str | None](
        TEXT,
        None,
        "A URL, or where `store_claim` is mounted.",
        example=f'"{_STORE}"',
        otherwise=f'"{_STORE}"',
    )
    store_claim = Option[str | None](
        OBJECT_NAME,
        None,
        "The PersistentVolumeClaim of the store; none where `store` is a URL.",
        example=f'"{_CLAIM}"',
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
    account_annotations = Option[dict[str, str]](
        ANNOTATIONS,
        {},
        "Annotations of the service accounts: the role that the store is used with.",
        example='{ "eks.amazonaws.com/role-arn" = "arn:aws:iam::1:role/levada" }',
    )
    user = Option[int | None](
        _USER,
        65532,
        "uid, gid and fsGroup of all pods; `false` leaves them to the cluster (OpenShift).",
    )
    secret = Option[str | None](
        OBJECT_NAME, None, 'The Secret of references that are a key alone: `secrets=["TOKEN"]`.'
    )
    image_pull_secrets = Option[tuple[str, ...]](
        OBJECT_NAMES, (), "Secrets that images are pulled with."
    )
    priority_class = Option[str | None](OBJECT_NAME, None, "The priority class of all pods.")
    priority_classes = Option[dict[str, str]](
        _CLASSES, {}, "The priority classes of steps, by their `priority`."
    )
    labels = Option[dict[str, str]](LABELS, {}, "Labels of all pods, beside Levada's own.")
    annotations = Option[dict[str, str]](ANNOTATIONS, {}, "Annotations of all pods.")
    queue = Option[str | None](
        LABEL_VALUE, None, "The Kueue LocalQueue of steps that have no `queue`."
    )
    stuck_after = Option[float](
        _TIME,
        300,
        "How long a pod may wait for its image, configuration, an admission rule or the driver's"
        " rights.",
        otherwise='"5m"',
    )
    unschedulable_after = Option[float](
        _TIME, 3600, "How long a pod may wait for a node or for quota.", otherwise='"1h"'
    )
    timeout = Option[float | None](
        _TIME,
        None,
        "The time of a whole run; then it is cancelled, and `finally` regions run.",
        example='"12h"',
    )
    finally_timeout = Option[float](
        _TIME,
        3600,
        "The time of the `finally` regions of a run that is cancelled or out of time.",
        otherwise='"1h"',
    )
    keep = Option[float](
        _TIME, 7 * 86400, "How long the Jobs of a finished run stay.", otherwise='"7d"'
    )
    history = Option[int](_COUNT, 10, "How many finished runs of the schedule stay.")
    max_parallel = Option[int](
        _COUNT, 100, "How many steps run at a time where the pipeline does not say."
    )
    indexed_from = Option[int](_COUNT, 20, "From how many items on a fan-out runs in Indexed Jobs.")
    starting_deadline = Option[float](
        _TIME, 3600, "How late a scheduled run may start.", otherwise='"1h"'
    )
    network_policy = Option[bool](
        FLAG,
        False,
        "Whether a NetworkPolicy is written: nothing connects to the pods.",
        example="true",
    )
    admission_policy = Option[bool](
        FLAG,
        False,
        "Whether an admission policy is written: the driver makes Jobs of these steps only.",
        example="true",
    )
    context = Option[str | None](
        TEXT, None, "The context of the kubeconfig, for who deploys and submits."
    )
    kubeconfig = Option[str | None](
        TEXT,
        None,
        "The path of the kubeconfig.",
        otherwise="that of `KUBECONFIG`, or `~/.kube/config`",
        example='"~/.kube/prod"',
    )

    @property
    def claim(self) -> str | None:
        """The claim of the store: of that name where nothing is said of a store."""
        return self.store_claim or (None if self.store else _CLAIM)

    @property
    def store_url(self) -> str:
        """The store, as all pods have it."""
        return self.store or _STORE

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the store and its claim."""
        place = self.store
        if place is None:
            return
        if problem := store.problem(place, self.store_claim):
            yield "store", problem
        elif "://" not in place and (place.rstrip("/") or "/") in _TAKEN:
            yield "store", f"`store` is {place}, where the pods have something else"
