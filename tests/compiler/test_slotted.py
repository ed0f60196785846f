"""The compiler's own classes of fields are what the standard library's dataclasses are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from levada_compiler import slotted
from levada_compiler.diagnostics.diagnostic import Span


@slotted.dataclass(frozen=True, slots=True, order=True)
class Light:
    number: int
    text: str = "x"
    items: tuple[object, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Standard:
    number: int
    text: str = "x"
    items: tuple[object, ...] = ()


@slotted.dataclass(slots=True)
class LightMutable:
    number: int
    items: list[int] = slotted.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class StandardMutable:
    number: int
    items: list[int] = dataclasses.field(default_factory=list)


USES: dict[str, Callable[[type], object]] = {
    "repr": lambda cls: repr(cls(1, items=(2,))).partition("(")[2],
    "defaults": lambda cls: dataclasses.astuple(cls(1)),
    "equal": lambda cls: (cls(1) == cls(1), cls(1) == cls(2), cls(1) == (1, "x", ()), cls(1) != 1),
    "hash": lambda cls: len({cls(1), cls(1), cls(2)}),
    "order": lambda cls: (cls(1) < cls(2), cls(1) > cls(2), cls(1) <= cls(1), cls(1) >= cls(2)),
    "sorted": lambda cls: [item.number for item in sorted([cls(3), cls(1), cls(2)])],
    "replace": lambda cls: dataclasses.astuple(dataclasses.replace(cls(1), text="y")),
    "own replace": lambda cls: dataclasses.astuple(slotted.replace(cls(1), text="y")),
    "fields": lambda cls: [(f.name, f.type, f.default) for f in dataclasses.fields(cls)],
    "asdict": lambda cls: dataclasses.asdict(cls(1)),
    "match": lambda cls: cls.__match_args__,
    "copy": lambda cls: copy.deepcopy(cls(1)) == cls(1),
    "pickle": lambda cls: pickle.loads(pickle.dumps(cls(1))) == cls(1),
    "many": lambda cls: [cls(n, text="t").number for n in range(100)],
    "assign": lambda cls: setattr(cls(1), "number", 2),
    "delete": lambda cls: delattr(cls(1), "number"),
    "missing": lambda cls: cls(),
    "too many": lambda cls: cls(1, 2, 3, 4),
    "unknown": lambda cls: cls(1, other=2),
    "twice": lambda cls: cls(1, number=2),
    "unlike": lambda cls: cls(1) < 2,
}


def change(instance: object) -> object:
    instance.number, instance.items = 2, [*instance.items, 3]  # type: ignore[attr-defined]
    return instance


MUTABLE_USES: dict[str, Callable[[type], object]] = {
    "made anew": lambda cls: [change(cls(n)).items for n in range(50)],
    "given": lambda cls: [cls(1, [n]).items for n in range(50)],
    "assign": lambda cls: repr(change(cls(1))).partition("(")[2],
    "equal": lambda cls: (cls(1) == cls(1), cls(1) == change(cls(1))),
    "hash": lambda cls: hash(cls(1)),
    "copy": lambda cls: copy.deepcopy(cls(1, [2])).items,
    "pickle": lambda cls: pickle.loads(pickle.dumps(cls(1, [2]))).items,
    "fields": lambda cls: [(f.name, f.default_factory) for f in dataclasses.fields(cls)],
}


def outcome(use: Callable[[type], object], cls: type) -> object:
    try:
        return use(cls)
    except (TypeError, AttributeError) as error:
        words = str(error).replace(cls.__name__, "C")
        return words if type(error) is TypeError else type(error)


@pytest.mark.parametrize("use", USES)
def test_a_light_class_is_as_a_standard_one(use: str) -> None:
    assert outcome(USES[use], Light) == outcome(USES[use], Standard)


@pytest.mark.parametrize("use", MUTABLE_USES)
def test_so_is_one_that_is_not_frozen(use: str) -> None:
    light, standard = MUTABLE_USES[use], MUTABLE_USES[use]
    assert outcome(light, LightMutable) == outcome(standard, StandardMutable)


def test_spans_are_dataclasses_to_others() -> None:
    assert dataclasses.is_dataclass(Span("a.py", 1, 1, 1, 2))


def test_compiling_imports_nothing_that_is_slow_to_import(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "from levada import pipeline, step\n\n\n@step\ndef one() -> int:\n"
        '    """Give 1."""\n    return 1\n\n\n@pipeline\ndef only():\n    return one()\n'
    )
    code = (
        "import sys; from levada_compiler.compilation import compile_file;"
        f"assert compile_file({str(tmp_path / 'one.py')!r}).program;"
        "slow = {'click', 'dataclasses', 'hashlib', 'inspect', 'pathlib', 'tomllib', 'typing'};"
        "print(sorted(slow.intersection(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_repr_of_its_own_stays() -> None:
    @slotted.dataclass(frozen=True, slots=True)
    class Login:
        user: str
        secret: str

        def __repr__(self) -> str:
            return f"Login({self.user!r}, ***)"

    assert repr([Login("me", "hush")]) == "[Login('me', ***)]"
