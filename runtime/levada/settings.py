"""The engine settings of steps and pipelines, each defined once in :data:`SETTINGS`.

The decorators read a setting by its definition when the module is imported, the compiler reads it
from the source by the same definition. The type stub, the warnings of targets and the tables in
the docs are made from the definitions or compared with them by a test.

Every step of every pipeline imports this: nothing else is imported, and checks that need more
(:attr:`Setting.check`) are for the compiler, which has the time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Generic, TypeVar

    T = TypeVar("T")
else:
    # `typing` takes longer to import than all of this: a type parameter is for type checkers.
    T = None
    Generic = {T: object}

STEP, PIPELINE, CALL = "step", "pipeline", "call"
#: What has settings, and how to call it in a message.
HOLDERS = {STEP: "a step", PIPELINE: "a pipeline", CALL: "`options`"}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Suffixes of quantities with their factors; the longer one of two with the same end comes first.
_QUANTITY_SUFFIXES: dict[str, float] = {
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)},
    **{unit: 1000**power for power, unit in enumerate("kMGTPE", 1)},
    "m": 0.001,
    "": 1,
}


# ---------------------------------------------------------------------------- values


class _Record:
    """A value with named fields: compared, shown and hashed by them."""

    __slots__: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the fields that were given, as JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_json().items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.as_json() == self.as_json()

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.as_json().items())))


class Resources(_Record):
    """What a step needs: numbers (cores, bytes) or quantities (``"500m"``, ``"4Gi"``).

    >>> Resources(cpu=2, memory="4Gi")
    Resources(cpu=2, memory='4Gi')
    """

    __slots__ = ("cpu", "disk", "gpu", "gpu_type", "memory")

    def __init__(
        self,
        *,
        cpu: float | str | None = None,
        memory: float | str | None = None,
        gpu: int | None = None,
        gpu_type: str | None = None,
        disk: float | str | None = None,
    ) -> None:
        self.cpu = _quantity("cpu", cpu)
        self.memory = _quantity("memory", memory)
        self.gpu = None if gpu is None else _count("gpu", gpu)
        self.gpu_type = None if gpu_type is None else text("gpu_type", gpu_type)
        self.disk = _quantity("disk", disk)


class Retry(_Record):
    """``count`` attempts after the first; the delay grows by ``backoff`` each time.

    Delays are durations as :func:`seconds` has them, and may be none.

    >>> Retry(3, delay="10s")
    Retry(count=3, delay=10, backoff=2, max_delay=None)
    """

    __slots__ = ("backoff", "count", "delay", "max_delay")

    def __init__(
        self,
        count: int,
        *,
        delay: Duration = 1,
        backoff: float = 2,
        max_delay: Duration | None = None,
    ) -> None:
        self.count = _count("count", count)
        self.delay = _duration("delay", delay)
        self.backoff = _number("backoff", backoff, least=1)
        self.max_delay = None if max_delay is None else _duration("max_delay", max_delay)

    def as_json(self) -> dict[str, object]:
        """Return all four fields: the defaults belong to the meaning."""
        return {
            "count": self.count,
            "delay": self.delay,
            "backoff": self.backoff,
            "max_delay": self.max_delay,
        }


class Secret(_Record):
    """A reference to a secret, never its value: a name, and a key in it where there is one.

    >>> Secret("warehouse", "token").reference
    'warehouse/token'
    """

    __slots__ = ("key", "name")

    def __init__(self, name: str, key: str | None = None) -> None:
        self.name = text("name", name)
        self.key = None if key is None else text("key", key)

    @property
    def reference(self) -> str:
        """``name/key``, or ``name``."""
        return self.name if self.key is None else f"{self.name}/{self.key}"


class Volume(_Record):
    """A claim (or a folder of the host, by its path) that a step sees at ``path``.

    >>> Volume("datasets", "/data", read_only=True)
    Volume(claim='datasets', path='/data', read_only=True)
    """

    __slots__ = ("claim", "path", "read_only")

    def __init__(self, claim: str, path: str, *, read_only: bool = False) -> None:
        self.claim = text("claim", claim)
        self.path = text("path", path)
        self.read_only = flag("read_only", read_only)


# ---------------------------------------------------------------------------- reading

if TYPE_CHECKING:
    from datetime import timedelta

    Duration = float | str | timedelta
    Reader = Callable[[str, object], T]


def text(name: str, value: object) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def flag(name: str, value: object) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def whole(name: str, value: object) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value.bit_length() > 63:  # a field of the engines has 64 bits
        raise ValueError(f"{name} must be a whole number of at most 64 bits")
    return value


def positive(name: str, value: object) -> int:
    """Read a whole number from 1."""
    return _least(name, whole(name, value), 1)


def seconds(name: str, value: object) -> float:
    """Read a duration: seconds, ``"90s"``, ``"15m"``, ``"2h"``, ``"1d"`` or a timedelta."""
    number = _duration(name, value)
    if number == 0:
        raise ValueError(f"{name} must be more than 0 seconds")
    return number


def _reuse(name: str, value: object) -> bool | float:
    """Read whether results are used again, or up to which age in seconds."""
    if isinstance(value, bool):
        return value
    try:
        return seconds(name, value)
    except (TypeError, ValueError) as error:
        text = f'{name} must be True, False or an age as "90s", "15m", "6h" or "1d", not {value!r}'
        raise type(error)(text) from None


def texts(name: str, value: object) -> list[str]:
    """Read a list of strings."""
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list of strings, not {value!r}")
    return [text(f"an item of {name}", item) for item in value]


def mapping(name: str, value: object) -> dict[str, str]:
    """Read a dict of strings."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of strings, not {value!r}")
    for key, item in value.items():
        text(f"a name in {name}", key)
        if not isinstance(item, str):
            raise TypeError(f"{name}[{key!r}] must be a string, not {item!r}")
    return dict(value)


def _count(name: str, value: object) -> int:
    return _least(name, whole(name, value), 0)


def _least(name: str, value: int, least: int) -> int:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    return value


def _number(name: str, value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(f"{name} must be a number of at most 64 bits")
    if not least <= value < float("inf"):
        raise ValueError(f"{name} must be a number from {least}, not {value!r}")
    return value


#: In seconds, what a timedelta of Airflow's files can hold: 999,999,999 days.
_LONGEST = 999_999_999 * 86_400


def _duration(name: str, value: object) -> float:
    if hasattr(value, "total_seconds"):
        value = value.total_seconds()
    elif isinstance(value, str):
        value = _seconds_of_text(name, value)
    number = _number(name, value, least=0)
    if number > _LONGEST:
        raise ValueError(f"{name} must be at most 999,999,999 days")
    return number


def _seconds_of_text(name: str, value: str) -> float:
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not number.isascii() or not number.replace(".", "", 1).isdigit():
        raise ValueError(f'{name} must be seconds, "90s", "15m", "2h" or "1d", not {value!r}')
    total = float(number) * _UNITS[unit]
    return int(total) if total.is_integer() else total


def _quantity(name: str, value: object) -> float | str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return _number(name, value, least=0)
    suffix = next(s for s in _QUANTITY_SUFFIXES if value.endswith(s))
    number = value[: len(value) - len(suffix)]
    if not number.replace(".", "", 1).isdigit() or not number.isascii():
        hint = _quantity_meant(value)
        raise ValueError(
            f'{name} must be a number or a quantity such as "4Gi", not {value!r}{hint}'
        )
    return value


def amount(quantity: float | str) -> float:
    """Return the number that a quantity stands for, in cores or bytes.

    >>> amount("4Ki"), amount("500m"), amount(2)
    (4096.0, 0.5, 2)
    """
    if not isinstance(quantity, str):
        return quantity
    suffix = next(s for s in _QUANTITY_SUFFIXES if quantity.endswith(s))
    return float(quantity[: len(quantity) - len(suffix)]) * _QUANTITY_SUFFIXES[suffix]


def _quantity_meant(value: str) -> str:
    """Say what ``"4GB"`` or ``"4 gib"`` is meant to be; empty if that is unknown."""
    number = value.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = value.strip()[len(number) :].strip().lower().removesuffix("b")
    found = [suffix for suffix in _QUANTITY_SUFFIXES if suffix.lower() == unit]
    is_number = number.isascii() and number.replace(".", "", 1).isdigit()
    return f'; did you mean "{number}{found[0]}"?' if found and is_number else ""


def _resources(name: str, value: object) -> dict[str, object]:
    if not isinstance(value, Resources):
        raise TypeError(f"{name} must be Resources(…), not {value!r}")
    return value.as_json()


def _retry(name: str, value: object) -> dict[str, object]:
    if isinstance(value, Retry):
        return value.as_json()
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number or Retry(…), not {value!r}")
    return Retry(_count(name, value)).as_json()


def _secrets(name: str, value: object) -> dict[str, str]:
    if isinstance(value, (list, tuple)):
        return {variable: variable for variable in texts(name, value)}
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of references or a list of variables")
    plain = {k: v.reference if isinstance(v, Secret) else v for k, v in value.items()}
    return mapping(name, plain)


def _volumes(name: str, value: object) -> list[dict[str, object]]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, Volume) for v in value):
        raise TypeError(f"{name} must be a list of Volume(…), not {value!r}")
    return [volume.as_json() for volume in value]


def _tolerations(name: str, value: object) -> list[dict[str, object]]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, dict) for v in value):
        raise TypeError(f"{name} must be a list of dicts, not {value!r}")
    return [dict(item) for item in value]


def _schedule(name: str, value: object) -> str | None:
    return None if value is None else text(name, value)


def _date(name: str, value: object) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return text(name, value)


def _function(name: str, value: object) -> str:
    found = text(name, value)
    module, colon, function = found.partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError(f'{name} must be "module:function", not {value!r}')
    return found


def _name(name: str, value: object) -> str:
    found = text(name, value)
    plain = found.replace("-", "_").replace(".", "_")
    if not plain.isidentifier() or not found.isascii() or len(found) > 200:
        rule = "up to 200 letters, digits, `_`, `-` and `.`, and begin with a letter"
        raise ValueError(f"{name} must have {rule}, not {value!r}")
    return found


def _assets(name: str, value: object) -> list[str]:
    uris = texts(name, value)
    for uri in uris:
        if not uri.isascii() or not uri.isprintable() or uri != uri.strip():
            raise ValueError(f"{name} takes URIs of plain ASCII, not {uri!r}")
    return list(dict.fromkeys(uris))


# ---------------------------------------------------------------------------- checks


def _check_timezone(value: str) -> None:
    import zoneinfo

    known = zoneinfo.available_timezones()
    # Without a time zone database on this machine nothing can be said about the name.
    if known and value not in known:
        import difflib

        near = difflib.get_close_matches(value, known, n=1, cutoff=0.6)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"`{value}` is not a time zone{hint}")


def _check_date(value: str) -> None:
    import datetime

    try:
        datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"`{value}` is not an ISO date") from error


def _check_variables(value: dict[str, str]) -> None:
    for name, item in value.items():
        if "=" in name or "\0" in name or "\0" in item:
            raise ValueError(f"`{name!r}` cannot be a variable of the environment")


def _check_schedule(value: str) -> None:
    from . import cron

    cron.check(value)


# ---------------------------------------------------------------------------- definitions


class Kind(Generic[T]):
    """A type of settings and options: what reads a value, and how one is written.

    ``read`` gets the name (for messages) and a value, and gives its meaning, or raises TypeError
    or ValueError with a sentence for the user. ``annotation`` is for type checkers, ``schema``
    the JSON schema of the meaning, and ``example`` a value as it is written.
    """

    __slots__ = ("annotation", "example", "read", "schema")

    def __init__(
        self, read: Reader[T], annotation: str, schema: Mapping[str, object], example: str
    ) -> None:
        self.read = read
        self.annotation = annotation
        self.schema = schema
        self.example = example


class Setting:
    """A setting: its kind, on what it is, its default, and what it is for.

    ``default`` is the JSON meaning of leaving it out. A setting that is ``inherited`` may be on a
    pipeline too, for the steps that have none of their own. ``check`` raises ValueError for what
    an engine would refuse later. One that is not ``for_targets`` is used up by the compiler.
    """

    __slots__ = (
        *("check", "default", "doc", "example", "for_targets", "inherited", "kind", "on", "read"),
    )

    def __init__(
        self,
        kind: Kind[Any],
        doc: str,
        *,
        on: Iterable[str] = (STEP, CALL),
        inherited: bool = False,
        default: object = None,
        example: str = "",
        check: Callable[[Any], None] | None = None,
        for_targets: bool = True,
    ) -> None:
        self.kind = kind
        self.doc = doc
        self.on = (STEP, CALL, PIPELINE) if inherited else tuple(on)
        self.inherited = inherited
        self.default = default
        self.example = example or kind.example
        self.read = kind.read
        self.check = check
        self.for_targets = for_targets

    def says_something(self, value: object) -> bool:
        """Whether a value (its JSON meaning) asks for more than leaving the setting out does."""
        return value != self.default and value not in (None, [], {})


_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_TABLE = {"type": "object", "additionalProperties": _STRING}
_AMOUNT = {"type": ["number", "string"]}

FLAG = Kind(flag, "bool", {"type": "boolean"}, "True")
WHOLE = Kind(whole, "int", {"type": "integer"}, "10")
POSITIVE = Kind(positive, "int", {"type": "integer", "minimum": 1}, "10")
TEXT = Kind(text, "str", {"type": "string", "minLength": 1}, '"name"')
TEXTS = Kind(texts, "Sequence[str]", _STRINGS, '["name"]')
MAPPING = Kind(mapping, "Mapping[str, str]", _TABLE, '{"name": "value"}')
SECONDS = Kind(
    seconds, "float | str | timedelta", {"type": "number", "exclusiveMinimum": 0}, '"15m"'
)
_REUSE = Kind(
    _reuse,
    "bool | float | str | timedelta",
    {"type": ["boolean", "number"], "exclusiveMinimum": 0},
    '"6h"',
)
_NAME = Kind(_name, "str", {"type": "string", "minLength": 1}, '"churn-daily"')
_ASSETS = Kind(_assets, "Sequence[str]", _STRINGS, '["s3://bucket/model"]')
_FUNCTION = Kind(_function, "str", {"type": "string", "pattern": ":"}, '"module:function"')
_RETRY = Kind(
    _retry,
    "Retry | int",
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0},
            "delay": {"type": "number", "minimum": 0},
            "backoff": {"type": "number", "minimum": 1},
            "max_delay": {"type": ["number", "null"], "minimum": 0},
        },
        "required": ["count", "delay", "backoff", "max_delay"],
        "additionalProperties": False,
    },
    'Retry(3, delay="10s")',
)
_RESOURCES = Kind(
    _resources,
    "Resources",
    {
        "type": "object",
        "properties": {
            "cpu": _AMOUNT,
            "memory": _AMOUNT,
            "gpu": {"type": "integer", "minimum": 0},
            "gpu_type": _STRING,
            "disk": _AMOUNT,
        },
        "additionalProperties": False,
    },
    'Resources(cpu=2, memory="4Gi")',
)
_VOLUMES = Kind(
    _volumes,
    "Sequence[Volume]",
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "claim": _STRING,
                "path": _STRING,
                "read_only": {"type": "boolean"},
            },
            "required": ["claim", "path", "read_only"],
            "additionalProperties": False,
        },
    },
    '[Volume("claim", "/path")]',
)
_SECRETS = Kind(
    _secrets, "Mapping[str, str | Secret] | Sequence[str]", _TABLE, '{"TOKEN": "name/key"}'
)
_TOLERATIONS = Kind(
    _tolerations,
    "Sequence[Mapping[str, object]]",
    {"type": "array", "items": {"type": "object"}},
    '[{"key": "gpu", "operator": "Exists"}]',
)
_SCHEDULE = Kind(_schedule, "str | None", {"type": ["string", "null"]}, '"0 6 * * *"')
_DATE = Kind(_date, "date | str", _STRING, '"2026-01-31"')

_NO_RETRY = {"count": 0, "delay": 1, "backoff": 2, "max_delay": None}
_BOTH = (STEP, CALL, PIPELINE)
_PIPELINE = (PIPELINE,)

#: Every setting by its name, in the order of the docs.
SETTINGS = {
    "name": Setting(
        _NAME,
        "What a pipeline is called everywhere (its DAG, CronJob and runs), or one call of a step.",
        on=(PIPELINE, CALL),
        example='"evaluate_production"',
        for_targets=False,
    ),
    "retry": Setting(
        _RETRY,
        "Attempts after the first, with the time between them; a PermanentError ends them.",
        inherited=True,
        default=_NO_RETRY,
    ),
    "timeout": Setting(
        SECONDS, "The time that one attempt may take; then it is ended and fails.", inherited=True
    ),
    "cache": Setting(
        _REUSE,
        "Whether a result of an earlier run is used where nothing has changed, or up to which age.",
        inherited=True,
        default=True,
    ),
    "environment": Setting(
        MAPPING,
        "Environment variables; those of a call, a step and a pipeline are merged.",
        inherited=True,
        default={},
        example='{"TZ": "UTC"}',
        check=_check_variables,
    ),
    "executor": Setting(
        TEXT,
        "Where a step runs, of what the target has.",
        inherited=True,
        example='"kubernetes"',
    ),
    "resources": Setting(_RESOURCES, "CPU, memory, GPUs and disk that a step needs.", default={}),
    "requirements": Setting(
        TEXTS,
        "Packages that a step needs beside those that it imports.",
        default=[],
        example='["pandas>=2"]',
    ),
    "secrets": Setting(
        _SECRETS,
        "Environment variables with secrets: by reference, never by value.",
        default={},
        check=_check_variables,
    ),
    "files": Setting(
        TEXTS,
        "Data files of the project that belong to the step's code; paths or globs.",
        default=[],
        example='["data/*.csv"]',
    ),
    "volumes": Setting(_VOLUMES, "Claims or folders that the step's container sees.", default=[]),
    "image": Setting(
        TEXT, "A ready image to run in; none is built.", example='"ghcr.io/team/steps:1"'
    ),
    "node_selector": Setting(
        MAPPING,
        "Labels that the node of the step's pod must have.",
        default={},
        example='{"disk": "ssd"}',
    ),
    "tolerations": Setting(_TOLERATIONS, "Taints that the step's pod tolerates.", default=[]),
    "pool": Setting(TEXT, "A pool that limits how many tasks run at a time.", example='"db"'),
    "queue": Setting(TEXT, "The queue that a step waits in.", example='"gpu"'),
    "priority": Setting(WHOLE, "Which step starts first where not all can: the larger number."),
    "allow_pickle": Setting(
        FLAG, "Whether values of unknown types may be kept as pickles.", default=False
    ),
    "allow_secret_output": Setting(
        FLAG, "Whether a step may return the value of a secret, which is then kept.", default=False
    ),
    "check_types": Setting(
        FLAG,
        "Whether what a step returns is checked against its declared type.",
        default=True,
        example="False",
    ),
    "produces": Setting(_ASSETS, "URIs of the assets that a step writes.", default=[]),
    "consumes": Setting(_ASSETS, "URIs of the assets that a step reads.", default=[]),
    "on_failure": Setting(
        _FUNCTION, "A function that is called when a step or a run has failed.", on=_BOTH
    ),
    "sla": Setting(
        SECONDS,
        "By when a step or a run is to be over, counted from when the run was to start.",
        on=_BOTH,
        example='"2h"',
    ),
    "on_sla_miss": Setting(
        _FUNCTION, "A function that is called when a run misses its `sla`.", on=_PIPELINE
    ),
    "schedule": Setting(
        _SCHEDULE,
        "When runs start: minute, hour, day of month, month, day of week; or `@daily`.",
        on=_PIPELINE,
        check=_check_schedule,
    ),
    "timezone": Setting(
        TEXT,
        "The time zone of `schedule`, by its IANA name.",
        on=_PIPELINE,
        default="UTC",
        example='"Europe/Lisbon"',
        check=_check_timezone,
    ),
    "start_date": Setting(
        _DATE, "From when on the schedule holds.", on=_PIPELINE, check=_check_date
    ),
    "catchup": Setting(
        FLAG,
        "Whether runs of the schedule that were missed are made up for.",
        on=_PIPELINE,
        default=False,
    ),
    "triggered_by": Setting(
        _ASSETS, "URIs of the assets whose updates start a run.", on=_PIPELINE, default=[]
    ),
    "max_active_runs": Setting(
        POSITIVE, "How many runs may be under way at a time.", on=_PIPELINE, example="1"
    ),
    "max_parallel": Setting(POSITIVE, "How many steps of a run may run at a time.", on=_PIPELINE),
    "owner": Setting(TEXT, "Who is responsible.", on=_PIPELINE, example='"ml-team"'),
    "tags": Setting(TEXTS, "Words to find the pipeline by.", on=_PIPELINE, default=[]),
}

#: Settings of steps whose images Levada makes. That of a container step is its first argument.
NOT_OF_CONTAINERS = ("image", "requirements", "files", "allow_pickle", "check_types")


def settings_of(holder: str) -> dict[str, Setting]:
    """Return the settings that a holder (``step``, ``pipeline`` or ``call``) may have."""
    return {name: setting for name, setting in SETTINGS.items() if holder in setting.on}


def setting_as_json(holder: str, name: str, value: object) -> object:
    """Return the JSON meaning of one setting.

    Raises TypeError for a setting that does not exist or a value of the wrong type, ValueError
    for a value that has no meaning.

    >>> setting_as_json("step", "timeout", "15m")
    900
    """
    setting = SETTINGS.get(name)
    if setting is None or holder not in setting.on:
        known = ", ".join(sorted(settings_of(holder)))
        raise TypeError(f"{HOLDERS[holder]} has no setting {name!r}; it has {known}")
    return setting.read(name, value)
