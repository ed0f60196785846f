"""What a step says about itself while it runs: metrics, parameters, artifacts, its context.

In an attempt these go to the attempt's record. In a plain Python call there is no attempt:
metrics and parameters are printed to stderr, and nothing is stored.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    class Tracker(Protocol):
        """Where an attempt keeps what the step logs."""

        context: Context

        def metric(self, name: str, value: float, step: int | None) -> None:
            """Keep one value of a metric."""

        def parameters(self, values: Mapping[str, object]) -> None:
            """Keep named settings of the attempt."""

        def artifact(self, name: str, value: object) -> None:
            """Store a value or a file under a name."""


#: The variable that names the file of the attempt (see `levada.relay`) to the processes that a
#: step starts afresh. A forked one knows its parent's attempt without it.
ATTEMPT = "LEVADA_ATTEMPT"


class Context:
    """Where a step runs. Outside of a run every field is None, and ``parameters`` is empty.

    What a step reads here its result may depend on: the cache gives a result back only where the
    fields that were read are the same.
    """

    __slots__ = ("_fields", "_on_read", "_read")

    run_id: str | None
    pipeline: str | None
    node: str | None
    map_index: tuple[int, ...] | None
    attempt: int | None
    parameters: dict[str, object]
    logical_date: str | None
    data_interval_start: str | None
    data_interval_end: str | None
    project: str | None
    store: str | None

    def __init__(self, on_read: Callable[[str], None] | None = None, **fields: object) -> None:
        self._on_read = on_read
        self._fields: dict[str, Any] = {name: fields.get(name) for name in FIELDS}
        self._fields["parameters"] = fields.get("parameters") or dict
        self._read: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name not in FIELDS:
            raise AttributeError(f"a context has no {name!r}; it has {', '.join(FIELDS)}")
        if name not in self._read:
            self._read.add(name)
            if self._on_read is not None:
                self._on_read(name)
        if callable(self._fields[name]):  # the parameters, which are loaded when they are asked for
            self._fields[name] = self._fields[name]()
        return self._fields[name]

    def __repr__(self) -> str:
        return f"Context({', '.join(f'{name}={getattr(self, name)!r}' for name in FIELDS)})"


FIELDS = (
    "run_id",
    "pipeline",
    "node",
    "map_index",
    "attempt",
    "parameters",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "project",
    "store",
)


def fields_read(given: Context) -> list[str]:
    """Name the fields of a context that were read so far."""
    return sorted(given._read)


def note_read(given: Context, name: str) -> None:
    """Note that a field of a context was read in another process of the step."""
    given._read.add(name)


class _Current:
    """The attempt that this process is in, if any. A forked child sees its parent's.

    ``inherited`` is that of the process which started this one, with the path that it was told by.
    """

    __slots__ = ("inherited", "tracker")

    def __init__(self) -> None:
        self.tracker: Tracker | None = None
        self.inherited: tuple[str, Tracker | None] = ("", None)


_current = _Current()


def begin(tracker: Tracker) -> None:
    """Send what the step logs to ``tracker`` from now on."""
    _current.tracker = tracker


def end() -> None:
    """Forget the tracker: the attempt is over."""
    _current.tracker = None


def _tracker() -> Tracker | None:
    """Return what keeps what is logged here; None in a plain Python call."""
    if _current.tracker is not None:
        return _current.tracker
    import os  # not loaded by `import levada` alone

    path = os.environ.get(ATTEMPT)
    if not path:
        return None
    if _current.inherited[0] != path:
        # Only a process that a step has started comes here; nothing else needs so much.
        from levada import relay

        _current.inherited = (path, relay.tracker(path))
    return _current.inherited[1]


def context() -> Context:
    """The run, node, attempt and parameters that this step runs with."""
    tracker = _tracker()
    return Context() if tracker is None else tracker.context


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Record one value of a metric, at a ``step`` (an epoch, say) where there is one.

    Raises TypeError if the name is no string or the value no number (bool and text are none).
    """
    _check_name("metric", name)
    number = _as_number(name, value)
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise TypeError(f"the step of metric {name!r} must be a whole number, not {step!r}")
    tracker = _tracker()
    if tracker is None:
        at = "" if step is None else f" (step {step})"
        print(f"metric {name} = {number}{at}", file=sys.stderr)  # noqa: T201  a plain call
    else:
        tracker.metric(name, number, step)


def log_params(values: Mapping[str, object] | None = None, /, **named: object) -> None:
    """Record settings that the step chose: ``log_params(depth=3)`` or ``log_params({...})``.

    Raises TypeError if a name is no string.
    """
    merged = {**(values or {}), **named}
    for name in merged:
        _check_name("parameter", name)
    tracker = _tracker()
    if tracker is None:
        for name, value in merged.items():
            print(f"param {name} = {value!r}", file=sys.stderr)  # noqa: T201  a plain call
    else:
        tracker.parameters(merged)


def log_artifact(name: str, value: object) -> None:
    """Store a value under a name beside the step's outputs; a Path stores the file or folder.

    Raises TypeError if the name is no string, and whatever storing the value raises.
    """
    _check_name("artifact", name)
    tracker = _tracker()
    if tracker is not None:
        tracker.artifact(name, value)


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise TypeError(f"the name of a {kind} must be a string that is not empty, not {name!r}")


def _as_number(name: str, value: object) -> float:
    """A plain int or float. NumPy scalars and Decimals say what they are by ``__float__``."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"metric {name!r} must be a number, not {value!r}")
    if type(value) is int:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metric {name!r} must be a number, not {value!r}") from None
