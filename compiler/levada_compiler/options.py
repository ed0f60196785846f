"""The options of a target, each defined once: keys of ``[tool.levada.targets.<name>]``.

    class Options(OptionTable):
        namespace = Option(TEXT, None, "The namespace of all objects.", example='"ml"')
        keep = Option(SECONDS, 3600, "How long a finished run stays.")

An instance reads a table: ``Options({"keep": "2h"}).keep`` is 7200. The compiler reports what is
wrong with the values of a target's options, the command line and the docs list them.
"""

from __future__ import annotations

from levada.settings import POSITIVE, SECONDS, TEXT, TEXTS, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, ClassVar, Generic, Self, TypeVar, overload

    T = TypeVar("T")
else:
    # `typing` costs more than this module: a type parameter is for type checkers.
    class _Subscriptable:
        __class_getitem__ = classmethod(lambda cls, _: cls)

    T = None
    Generic = {T: _Subscriptable}

__all__ = [
    "FLAG",
    "MAPPING",
    "POSITIVE",
    "SECONDS",
    "TABLES",
    "TEXT",
    "TEXTS",
    "Kind",
    "Option",
    "OptionTable",
    "choice",
]


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {value!r}")
    return value


def _mapping(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise TypeError(f"{name} must be a table of strings, not {value!r}")
    return value


def _tables(name: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError(f"{name} must be a list of tables, not {value!r}")
    return value


# As TOML calls and writes them.
FLAG = Kind(_flag, "bool", {"type": "boolean"}, "true")
MAPPING = Kind(_mapping, "Mapping[str, str]", {"type": "object"}, '{ name = "value" }')
TABLES = Kind(_tables, "Sequence[Mapping[str, object]]", {"type": "array"}, "[{}]")


def choice(*values: Any) -> Kind[Any]:
    """Return the kind of options that are one of ``values``.

    >>> choice("Always", "Never").read("`policy`", "always")
    Traceback (most recent call last):
        ...
    ValueError: `policy` must be "Always" or "Never", not 'always'
    """
    shown = [f'"{value}"' if isinstance(value, str) else str(value) for value in values]
    listed = ", ".join(shown[:-1]) + f" or {shown[-1]}"

    def read(name: str, value: object) -> Any:
        # By type too: true is not 1, and 2.0 is not 2.
        if not any(type(value) is type(known) and value == known for known in values):
            raise ValueError(f"{name} must be {listed}, not {value!r}")
        return value

    return Kind(read, "str", {"enum": list(values)}, shown[0])


class Option(Generic[T]):
    """One option: its kind, the value without it, and what it is for.

    ``otherwise`` says in words what holds without it, where ``default`` does not say that.
    """

    name: str

    def __init__(
        self,
        kind: Kind[Any],
        default: T,
        doc: str,
        *,
        example: str = "",
        otherwise: str = "",
    ) -> None:
        self.kind = kind
        self.default = default
        self.doc = doc
        self.example = example or kind.example
        self.otherwise = otherwise or _shown(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...
        @overload
        def __get__(self, instance: OptionTable, owner: type) -> T: ...

    def __get__(self, instance: OptionTable | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = instance.values.get(self.name, self.default)
        return value


class OptionTable:
    """The options of one target with the values that a project gives them.

    A value of a wrong type counts as not given. ``compiler`` is the version of Levada, and
    ``environment`` the name of the one that was chosen, else an empty text.
    """

    #: What :meth:`definitions` has found for this very class.
    _definitions: ClassVar[dict[str, Option[Any]] | None] = None

    def __init__(self, given: Mapping[str, object] | None = None) -> None:
        self.values: dict[str, Any] = {}
        self.compiler = str((given or {}).get("compiler", ""))
        self.environment = str((given or {}).get("environment", ""))
        self._wrong: list[tuple[str, str]] = []
        for name, option in self.definitions().items():
            if given is not None and name in given:
                try:
                    self.values[name] = option.kind.read(f"`{name}`", given[name])
                except (TypeError, ValueError) as error:
                    self._wrong.append((name, str(error)))

    @classmethod
    def definitions(cls) -> dict[str, Option[Any]]:
        """Return all options by name, in the order in which they are written."""
        known: dict[str, Option[Any]] | None = cls.__dict__.get("_definitions")
        if known is None:  # asked several times for each file that is compiled
            known = {
                name: option
                for each in reversed(cls.__mro__)
                for name, option in vars(each).items()
                if isinstance(option, Option)
            }
            cls._definitions = known
        return dict(known)

    def problems(self) -> Iterable[tuple[str, str]]:
        """Return the names of wrong options, each with a sentence that says what is wrong."""
        return (*self._wrong, *self.conflicts())

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with values beside each other, as :meth:`problems` has it."""
        yield from ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]  # it holds lists and dicts


def _shown(value: object) -> str:
    """Return a default as TOML; empty for what is nothing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value:
        return f'"{value}"'
    return str(value) if isinstance(value, int | float) else ""
