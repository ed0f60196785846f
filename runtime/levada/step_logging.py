"""What a step says by `logging` goes to its log, unless its code has set up logging itself.

Python on its own shows warnings without a level or a time, and nothing below them. `logging` is not
imported for this: most steps do without it, and it would take a third of the time of a short one.
"""

from __future__ import annotations

import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from logging import Logger
    from time import struct_time
    from types import ModuleType
    from typing import Any

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"


class StepLogging:
    """While it is entered, `logging` shows what is from INFO on, with level and time in UTC.

    It stands in for Python's handler of last resort, which is used only where no other handler is.
    The first handler that the step's code gives to the root logger ends it. A logger that gets a
    handler keeps its level.
    """

    def __init__(self) -> None:
        self._set_up: _SetUp | None = None

    def __enter__(self) -> None:
        logging = sys.modules.get("logging")
        if logging is not None:
            self._begin(logging)
        else:
            sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._set_up is not None:
            self._set_up.end()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Set `logging` up as soon as it is imported; see `importlib.abc.MetaPathFinder`."""
        if name != "logging" or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._begin(module)

        with suppress(AttributeError):  # a loader of another kind: Python's own default stays
            loader.exec_module = exec_module

    def _begin(self, logging: ModuleType) -> None:
        root = logging.root
        is_plain = not root.handlers and root.level == logging.WARNING
        if is_plain and logging.lastResort is not None:
            self._set_up = _SetUp(logging)


class _Level(int):
    """A level that was set here: a level that the step sets is another object."""


class _SetUp:
    """The handler and the level of the root logger, until the step sets its own."""

    def __init__(self, logging: Any) -> None:
        self._logging = logging
        self._root = root = logging.root
        self._before = logging.lastResort
        # Its stream is what `sys.stderr` is at the time.
        self._handler = type(self._before)(logging.INFO)
        formatter = logging.Formatter(_FORMAT, _TIME)
        formatter.converter = _utc
        self._handler.setFormatter(formatter)
        logging.lastResort = self._handler
        root.setLevel(_Level(logging.INFO))
        self._add = add = logging.Logger.addHandler
        self._kept: list[tuple[Logger, int]] = []

        def add_handler(logger: Logger, handler: object) -> None:
            self._give_way(logger, handler)
            add(logger, handler)

        logging.Logger.addHandler = add_handler

    def end(self) -> None:
        """Put back what was there before, but for what the step has set."""
        self._logging.Logger.addHandler = self._add
        for logger, level in [(self._root, self._logging.WARNING), *self._kept]:
            if type(logger.level) is _Level:
                logger.setLevel(level)
        if self._logging.lastResort is self._handler:
            self._logging.lastResort = self._before

    def _give_way(self, logger: Logger, handler: object) -> None:
        """Leave a handler of the step, or of a library, with what it would get without us."""
        logging = self._logging
        if logger is self._root:
            self.end()
        elif not isinstance(handler, logging.NullHandler) and logger.level == logging.NOTSET:
            logger.setLevel(_Level(logging.WARNING))
            self._kept.append((logger, logging.NOTSET))


def _utc(seconds: float | None) -> struct_time:
    from time import gmtime

    return gmtime(seconds)
