"""What a pipeline module declares: steps, pipelines and their engine settings.

A decorator checks the settings and returns the function itself, so that a pipeline is ordinary
Python. The compiler never runs this module's users; it reads the same settings from the source
and gives them the same meaning with :func:`setting_as_json`.

The types that a type checker sees are in ``declarations.pyi``: nothing is imported here, since
every step of every pipeline pays for it.
"""

import sys

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COROUTINE, _ASYNC_GENERATOR, _GENERATOR = 0x80, 0x200, 0x20
_MEMORY_SUFFIXES = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E", "m", "")


class PermanentError(Exception):
    """Raised by a step whose failure would be the same again: it is not retried."""


class _Record:
    """A value with named fields: compared, shown and hashed by them."""

    __slots__ = ()

    def as_json(self):
        """The fields that were given, as JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None}

    def __repr__(self):
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_json().items())
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other):
        return type(other) is type(self) and other.as_json() == self.as_json()

    def __hash__(self):
        return hash((type(self), tuple(self.as_json().items())))


class Resources(_Record):
    """What a step needs: numbers (cores, bytes) or quantities (``"500m"``, ``"4Gi"``)."""

    __slots__ = ("cpu", "disk", "gpu", "gpu_type", "memory")

    def __init__(self, *, cpu=None, memory=None, gpu=None, gpu_type=None, disk=None):
        self.cpu = _quantity("cpu", cpu)
        self.memory = _quantity("memory", memory)
        self.gpu = None if gpu is None else _whole("gpu", gpu, least=0)
        self.gpu_type = None if gpu_type is None else _text("gpu_type", gpu_type)
        self.disk = _quantity("disk", disk)


class Retry(_Record):
    """``count`` attempts after the first; the delay grows by ``backoff`` each time.

    Delays are durations as :func:`seconds` has them, and may be none.
    """

    __slots__ = ("backoff", "count", "delay", "max_delay")

    def __init__(self, count, *, delay=1, backoff=2, max_delay=None):
        self.count = _whole("count", count, least=0)
        self.delay = _duration("delay", delay)
        self.backoff = _number("backoff", backoff, least=1)
        self.max_delay = None if max_delay is None else _duration("max_delay", max_delay)

    def as_json(self):
        """All four fields: the defaults belong to the meaning."""
        return {
            "count": self.count,
            "delay": self.delay,
            "backoff": self.backoff,
            "max_delay": self.max_delay,
        }


class Secret(_Record):
    """A reference to a secret, never its value: a name, and a key in it where there is one."""

    __slots__ = ("key", "name")

    def __init__(self, name, key=None):
        self.name = _text("name", name)
        self.key = None if key is None else _text("key", key)

    @property
    def reference(self):
        """``name/key``, or ``name``."""
        return self.name if self.key is None else f"{self.name}/{self.key}"


class Volume(_Record):
    """A claim (or a folder of the host, by its path) that a step sees at ``path``."""

    __slots__ = ("claim", "path", "read_only")

    def __init__(self, claim, path, *, read_only=False):
        self.claim = _text("claim", claim)
        self.path = _text("path", path)
        self.read_only = _flag("read_only", read_only)


def step(function=None, /, **settings):
    """Declare a function as a step, or make a step of a function that exists.

    As a decorator, ``@step`` or ``@step(retry=3, …)``, it returns the function itself. Given a
    function that its module has already, ``task = step(function, name="task", retry=3)``, it
    returns another one that calls it, with the name ``name``: the function is left as it is.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning, and for
    what is not a function.
    """
    if function is None:
        return _declare("step", None, settings)
    name = settings.pop("name", None)
    if name is not None and not _identifier(name):
        raise ValueError(f"the name of a step must be a Python identifier, not {name!r}")
    if name is not None or _exists(function):
        function = _calling(function, name)
    return _declare("step", function, settings)


def pipeline(function=None, /, **settings):
    """Declare a function as a pipeline; ``@pipeline`` or ``@pipeline(schedule="0 6 * * *")``.

    Raises TypeError or ValueError for a setting that does not exist or has no meaning.
    """
    return _declare("pipeline", function, settings)


def after(*nodes):
    """Say that what follows waits for ``nodes``. Plain Python is in order anyway."""


def setting_as_json(kind, name, value):
    """The JSON meaning of one setting of a ``kind`` ("step" or "pipeline").

    Raises TypeError for a setting that does not exist or a value of the wrong type, ValueError
    for a value that has no meaning.
    """
    known = SETTINGS[kind]
    if name not in known:
        raise TypeError(f"a {kind} has no setting {name!r}; it has {', '.join(sorted(known))}")
    return known[name](name, value)


def seconds(name, value):
    """A duration in seconds: a number, ``"90s"``, ``"15m"``, ``"2h"``, ``"1d"`` or a timedelta."""
    number = _duration(name, value)
    if number == 0:
        raise ValueError(f"{name} must be more than 0 seconds")
    return number


def _duration(name, value):
    if hasattr(value, "total_seconds"):
        value = value.total_seconds()
    elif isinstance(value, str):
        value = _seconds_of_text(name, value)
    return _number(name, value, least=0)


def _declare(kind, function, settings):
    meaning = {name: setting_as_json(kind, name, value) for name, value in settings.items()}
    if function is None:
        return lambda function: _mark(kind, function, meaning)
    return _mark(kind, function, meaning)


def _mark(kind, function, settings):
    if not hasattr(function, "__code__"):
        raise TypeError(f"@{kind} goes on a function, not on {function!r}")
    _refuse_deferred(kind, function)

    def options(**overrides):
        for name, value in overrides.items():
            setting_as_json(kind, name, value)
        return function

    function.after = lambda *_: function
    function.options = options
    function.__levada__ = {"kind": kind, "settings": settings}
    return function


def _refuse_deferred(kind, function):
    """Raise TypeError for a function whose call gives no result yet."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise TypeError(f"{function.__name__} is async: a {kind} is an ordinary function")
    if flags & _GENERATOR:
        raise TypeError(f"{function.__name__} yields: a {kind} returns its result, as a list say")


def _exists(function):
    """Whether a function has been defined before: it is no longer being decorated."""
    if not hasattr(function, "__code__"):
        return callable(function)
    module = sys.modules.get(getattr(function, "__module__", None))
    return getattr(module, getattr(function, "__name__", ""), None) is function


def _calling(function, name):
    """A function that calls ``function``. Raises TypeError for what a run could not find."""
    known = getattr(function, "__name__", None)
    if isinstance(function, type) or not callable(function) or known is None:
        raise TypeError(f"a step is made of a function, not of {function!r}")
    bound = getattr(function, "__self__", None)
    if bound is not None and type(bound) is not type(sys):
        raise TypeError(f"a step is made of a function of a module, not of the method {known}")
    if known == "<lambda>" or "<locals>" in getattr(function, "__qualname__", ""):
        raise TypeError(f"a step is made of a function of a module, not of {function!r}")
    _refuse_deferred("step", function)

    def call(*args, **kwargs):
        return function(*args, **kwargs)

    for attribute in ("__module__", "__qualname__", "__doc__", "__type_params__"):
        if hasattr(function, attribute):
            setattr(call, attribute, getattr(function, attribute))
    call.__name__ = name or known
    call.__wrapped__ = function
    return call


def _identifier(name):
    return isinstance(name, str) and name.isidentifier()


def _text(name, value):
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    if not value:
        raise ValueError(f"{name} must not be empty")
    return value


def _flag(name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def _number(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not least <= value < float("inf"):
        raise ValueError(f"{name} must be a number from {least}, not {value!r}")
    return value


def _whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    return value


def _priority(name, value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    return value


def _quantity(name, value):
    if value is None:
        return None
    if not isinstance(value, str):
        return _number(name, value, least=0)
    suffix = next(s for s in _MEMORY_SUFFIXES if value.endswith(s))
    number = value[: len(value) - len(suffix)]
    if not number.replace(".", "", 1).isdigit() or not number.isascii():
        raise ValueError(f'{name} must be a number or a quantity such as "4Gi", not {value!r}')
    return value


def _seconds_of_text(name, value):
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not number.isascii() or not number.replace(".", "", 1).isdigit():
        raise ValueError(f'{name} must be seconds, "90s", "15m", "2h" or "1d", not {value!r}')
    total = float(number) * _UNITS[unit]
    return int(total) if total.is_integer() else total


def _resources(name, value):
    if not isinstance(value, Resources):
        raise TypeError(f"{name} must be Resources(…), not {value!r}")
    return value.as_json()


def _retry(name, value):
    if isinstance(value, Retry):
        return value.as_json()
    return Retry(_whole(name, value, least=0)).as_json()


def _texts(name, value):
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list of strings, not {value!r}")
    return [_text(f"an item of {name}", item) for item in value]


def _mapping(name, value):
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of strings, not {value!r}")
    for key, item in value.items():
        _text(f"a name in {name}", key)
        if not isinstance(item, str):
            raise TypeError(f"{name}[{key!r}] must be a string, not {item!r}")
    return dict(value)


def _secrets(name, value):
    if isinstance(value, (list, tuple)):
        return {variable: variable for variable in _texts(name, value)}
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of references or a list of variables")
    plain = {k: v.reference if isinstance(v, Secret) else v for k, v in value.items()}
    return _mapping(name, plain)


def _volumes(name, value):
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, Volume) for v in value):
        raise TypeError(f"{name} must be a list of Volume(…), not {value!r}")
    return [volume.as_json() for volume in value]


def _tolerations(name, value):
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, dict) for v in value):
        raise TypeError(f"{name} must be a list of dicts, not {value!r}")
    return [dict(item) for item in value]


def _schedule(name, value):
    return None if value is None else _text(name, value)


def _date(name, value):
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return _text(name, value)


def _function_name(name, value):
    module, colon, function = _text(name, value).partition(":")
    parts = [*module.split("."), function]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError(f'{name} must be "module:function", not {value!r}')
    return value


def _assets(name, value):
    for uri in _texts(name, value):
        if not uri.isascii() or not uri.isprintable() or uri != uri.strip():
            raise ValueError(f"{name} takes URIs of plain ASCII, not {uri!r}")
    return list(dict.fromkeys(value))


def _positive(name, value):
    return _whole(name, value, least=1)


_DEFAULTS = {
    "cache": _flag,
    "environment": _mapping,
    "executor": _text,
    "retry": _retry,
    "timeout": seconds,
}

#: Per kind: the settings and what gives each its JSON meaning. The table is in docs/contracts.md.
SETTINGS = {
    "step": {
        **_DEFAULTS,
        "allow_pickle": _flag,
        "consumes": _assets,
        "files": _texts,
        "image": _text,
        "node_selector": _mapping,
        "on_failure": _function_name,
        "pool": _text,
        "priority": _priority,
        "produces": _assets,
        "queue": _text,
        "requirements": _texts,
        "resources": _resources,
        "secrets": _secrets,
        "sla": seconds,
        "tolerations": _tolerations,
        "volumes": _volumes,
    },
    "pipeline": {
        **_DEFAULTS,
        "catchup": _flag,
        "max_active_runs": _positive,
        "max_parallel": _positive,
        "on_failure": _function_name,
        "on_sla_miss": _function_name,
        "owner": _text,
        "schedule": _schedule,
        "sla": seconds,
        "start_date": _date,
        "tags": _texts,
        "timezone": _text,
        "triggered_by": _assets,
    },
}
