"""Pipeline modules made at random from the whole language.

A number gives a module, the same one each time: ``module(7)``. Types of names are followed, so
that most modules compile; what the compiler refuses nevertheless is fine, if it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEADER = """
import json
import math
from enum import Enum
from typing import NamedTuple

from levada import after, parallel, pipeline, step

SIZES = [1, 2]
GRID = {"a": 1, "b": 2}
NAMES = ["a", "b"]


class OddError(ValueError):
    pass


class Range(NamedTuple):
    low: int
    high: int


@step
def add(x: int, y: int = 0) -> int:
    return x + y


@step
def many(n: int) -> list[int]:
    return list(range(n % 4))


@step
def total(xs: list[int], start: int = 0) -> int:
    return sum(xs, start)


@step
def pair(x: int) -> tuple[int, int]:
    return x, x + 1


@step
def bounds(x: int) -> Range:
    return Range(x - 1, x + 1)


@step
def table(n: int) -> dict[str, int]:
    return {name: n + i for i, name in enumerate("abc"[: n % 4])}


@step
def text(x: object) -> str:
    return f"<{x}>"


@step
def count(*xs: int, **named: int) -> int:
    return sum(xs) + len(named)


@step
def fail(x: int) -> int:
    if x % 4 == 1:
        raise OddError(f"odd {x}")
    if x % 4 == 3:
        raise KeyError(x)
    return x


@step
def note(x: object) -> None:
    return None


def doubled(x):
    return 2 * x


@pipeline
def part(n: int, size: int = 1):
    r = add(n, size)
    if r > 3:
        return total([add(k) for k in SIZES if k > 1], start=n)
    return r


@pipeline
def halves(n: int):
    return {"low": add(n, -1), "high": n}


@pipeline
def limits(n: int) -> Range:
    return Range(low=add(n), high=n + 1)
"""
#: What random pipelines are run with.
PARAMETERS = [
    {"n": 0, "xs": [], "mode": "a"},
    {"n": 1, "xs": [1, 2, 3], "mode": "b"},
    {"n": 2, "xs": [4, 3, 0], "mode": "c"},
    {"n": 5, "xs": [2], "mode": "a"},
]
INT, LIST, DICT, STR = "int", "list", "dict", "str"
KEYS, HALVES = ('"a"', '"b"', '"c"'), ('"low"', '"high"')
SLICES = ("1:", ":2", "::-1", ":-1", "0:1")
DEPTH = 3
Lines: TypeAlias = list[str]
Option: TypeAlias = "tuple[int, Callable[[], str]] | tuple[int, str]"


def module(seed: int) -> str:
    """Return the text of a module with the pipeline ``flow(n, xs, mode)``."""
    random = Random(seed)
    part_body = Maker(random, Scope({"x": INT, "ys": LIST}, depth=1)).function(INT)
    maker = Maker(random, Scope({"n": INT, "xs": LIST, "mode": STR}))
    flow_body = maker.function("any")
    source = [
        "@pipeline\ndef inner(x: int, ys: list[int]):",
        *indented(part_body),
        "\n\n@pipeline\ndef flow(n: int = 1, xs: list[int] = [1, 2, 3], mode: str = 'a'):",
        *indented(flow_body),
    ]
    header = HEADER if random.random() < 0.6 else without_types(HEADER)
    return header + "\n\n" + "\n".join(source) + "\n"


def without_types(text: str) -> str:
    """Return the module without what its steps say of types, so that nothing of them is known."""
    bare = re.sub(r"\b(x|y|n|xs|start|named|size): [a-z\[\], ]+?(?=[,)= ])", r"\1", text)
    return re.sub(r" -> [^:]+:", ":", bare)


def indented(lines: Lines) -> Lines:
    """Return the lines of an inner block."""
    return [f"    {line}" for line in lines]


@dataclass
class Scope:
    """What may be read and assigned at a place."""

    names: dict[str, str]  #: to their types
    depth: int = 0
    fresh_only: bool = False  #: in a loop of the run, a `try`: names of before are not assigned
    in_try: bool = False  #: lists and dicts of before are not changed
    is_fan_out: bool = False
    can_jump: bool = False  #: `break` and `continue` belong to a loop that is unrolled
    can_continue: bool = False  #: the same in a loop of the run
    can_return: bool = True
    error: str = ""  #: the name of the exception that is handled
    locked: frozenset[str] = frozenset()  #: what a loop goes over
    outer: frozenset[str] = frozenset()  #: names of before the block
    own: set[str] = field(default_factory=set)  #: lists and dicts that may be changed
    results: set[str] = field(default_factory=set)  #: what steps returned
    filled: str = ""  #: the list that a loop of the run fills: it is not read in the loop

    def copy(self, **changed: object) -> Scope:
        """Return the scope of a block within."""
        inner = replace(
            self,
            names=dict(self.names),
            own=set(self.own),
            results=set(self.results),
            depth=self.depth + 1,
        )
        return replace(inner, **changed)  # type: ignore[arg-type]

    def of(self, kind: str) -> list[str]:
        """Return the names of a type."""
        return [name for name, each in self.names.items() if each == kind]

    def assignable(self, kind: str) -> list[str]:
        """Return the names of a type that may be assigned anew."""
        barred = self.outer if self.fresh_only else self.locked
        return [name for name in self.of(kind) if name not in barred and name not in self.locked]

    def changeable(self, kind: str) -> list[str]:
        """Return the names of lists or dicts that may be changed in place."""
        barred = self.locked | (self.outer if self.in_try or self.is_fan_out else frozenset())
        return [name for name in self.of(kind) if name in self.own and name not in barred]

    def bind(self, name: str, kind: str, value: str) -> None:
        """Note what a name stands for now."""
        self.names[name] = kind
        self.own.discard(name)
        self.results.discard(name)
        if kind in (LIST, DICT):  # the value may be, or hold, one that has another name
            self.own -= set(re.findall(r"\w+", value))
        if value.startswith(("[", "{", "sorted(", "list(")):
            self.own.add(name)
        if value.startswith(("add(", "many(", "table(", "text(", "total(")):
            self.results.add(name)


@dataclass
class Maker:
    """Makes the body of one function."""

    random: Random
    scope: Scope
    made: int = 0
    result: str = "any"
    within: int = 0  #: comprehensions around this place

    def function(self, result: str) -> Lines:
        """Return the statements of a function that returns a value of a type."""
        self.result = result
        start: Lines = []
        for kind in (INT, LIST, self.one_of([DICT, STR, INT])):
            start += self.assign(kind, fresh=True)
        body = self.block(4 if result == "any" else 2)
        return [*start, *body, *self.end()]

    # -- choices

    def one_of(self, options: Sequence[str]) -> str:
        return self.random.choice(options)

    def some(self, chance: float) -> bool:
        return self.random.random() < chance

    def choose(self, options: Sequence[Option]) -> str:
        """Return one of the texts, each given with its weight."""
        weights = [weight for weight, _ in options]
        _, found = self.random.choices(options, weights)[0]
        return found if isinstance(found, str) else found()

    def new_name(self) -> str:
        self.made += 1
        return f"v{self.made}"

    @contextmanager
    def scoped(self, **changed: object) -> Iterator[Scope]:
        """Let what is made stand in a block within."""
        outer, self.scope = self.scope, self.scope.copy(**changed)
        yield self.scope
        self.scope = outer

    @contextmanager
    def bound(self, *names: str, kind: str = INT) -> Iterator[None]:
        """Let variables of a comprehension or a lambda be read."""
        outer, self.scope = self.scope, replace(self.scope, names=dict(self.scope.names))
        self.scope.names |= dict.fromkeys(names, kind)
        self.within += 1
        yield
        self.within -= 1
        self.scope = outer

    # -- expressions

    def of(self, kind: str, deep: int = 0) -> str:
        """Return an expression of a type."""
        return {INT: self.number, LIST: self.listing, DICT: self.mapping, STR: self.string}[kind](
            deep
        )

    def item(self) -> str:
        """Return an item of a list, which may not be there."""
        name = self.name(LIST, "SIZES")
        known = name == "SIZES" or self.some(0.5)
        return f"{name}[{self.one_of(['0', '-1', '1']) if known else self.number(2)}]"

    def value(self) -> str:
        """Return an item of a dict, which may not be there."""
        name = self.name(DICT, "GRID")
        return f"{name}[{self.one_of(KEYS[:2] if name == 'GRID' else KEYS)}]"

    def name(self, kind: str, other: str) -> str:
        """Return a name of the type, or else a constant."""
        return self.one_of([*self.scope.of(kind), *self.scope.of(kind), other])

    def number(self, deep: int = 0) -> str:
        leaf = self.name(INT, self.one_of(["0", "1", "2", "3"]))
        if deep >= 2 or self.some(0.3):
            return leaf
        one, other = (lambda: self.number(deep + 1)), (lambda: self.number(2))
        xs, d = (lambda: self.listing(deep + 1)), (lambda: self.mapping(deep + 1))
        return self.choose(
            [
                (10, lambda: f"add({one()}, {other()})"),
                (3, lambda: f"add({one()})"),
                (5, lambda: f"fail({one()})"),
                (3, lambda: f"total({xs()}, start={other()})"),
                (2, lambda: f"count(*{xs()}, last={other()})"),
                (1, lambda: f"count({one()}, **{d()})"),
                (3, lambda: f"part({one()})"),
                (2, lambda: f"inner({one()}, {xs()})" if self.result == "any" else "part(2)"),
                (2, lambda: f"halves({one()})[{self.one_of(HALVES)}]"),
                (2, lambda: f"limits({one()}).{self.one_of(['low', 'high'])}"),
                (2, lambda: f"bounds({one()}).{self.one_of(['low', 'high'])}"),
                (2, lambda: f"pair({one()})[{self.one_of(['0', '1', '-1'])}]"),
                (4, lambda: f"({one()} {self.one_of('+-*')} {other()})"),
                (3, lambda: f"({one()} {self.one_of(['//', '%'])} {other()})"),
                (1, lambda: f"-{other()}"),
                (3, lambda: f"len({xs()})"),
                (2, lambda: f"sum({xs()})"),
                (2, lambda: f"{self.one_of(['max', 'min'])}({xs()}, default={other()})"),
                (1, lambda: f"{self.one_of(['max', 'min'])}({xs()})"),
                (1, lambda: f"max({one()}, {other()}, 2)"),
                (2, lambda: f"max({xs()}, key={self.key()}, default={other()})"),
                (3, self.item),
                (2, self.value),
                (2, lambda: f"{self.name(DICT, 'GRID')}.get({self.string(2)}, {other()})"),
                (1, lambda: f"{xs()}.count({other()})"),
                (1, lambda: f"{xs()}.index({other()})"),
                (1, lambda: f"abs({one()})"),
                (1, lambda: f"doubled({one()})"),
                (1, lambda: f"round({one()} / {other()})"),
                (1, lambda: f"math.gcd({one()}, {other()})"),
                (1, lambda: f"int(text({self.string(2)}))"),
                (1, lambda: f"len({self.string(1)})"),
                (3, lambda: f"({one()} if {self.condition(1)} else {one()})"),
                (1, lambda: f"({one()} {self.one_of(['and', 'or'])} {other()})"),
                (1, lambda: f"sum({self.number(2)} for {self.clause(xs())})"),
                (1, lambda: f"int({self.one_of(['any', 'all'])}({self.comprehension()}))"),
            ]
        )  # fmt: skip

    def key(self) -> str:
        name = f"k{self.within}"
        with self.bound(name):
            return f"lambda {name}: {self.one_of([f'-{name}', f'{name} % 3', f'abs({name} - 2)'])}"

    def clause(self, items: str) -> str:
        """Return the clause of a comprehension; only constants may stand in what it makes."""
        name = f"i{self.within}"
        return f"{name} in {items} if {name} != {self.number(2)}"

    def comprehension(self, deep: int = 1) -> str:
        """Return a list comprehension, most often of calls."""
        name, items = f"i{self.within}", self.listing(deep + 1)
        with self.bound(name):
            element = self.number(1)
            tests = "".join(
                f" if {self.condition(2)}" for _ in range(self.random.choice([0, 0, 0, 1, 1, 2]))
            )
            if self.some(0.15) and self.within < 2:
                inner = f"i{self.within}"
                with self.bound(inner):
                    element = self.number(1)
                tests += f" for {inner} in {self.listing(2)}"
        if self.some(0.2):
            index = f"j{self.within}"
            return f"[{element} + {index} for {index}, {name} in enumerate({items}){tests}]"
        return f"[{element} for {name} in {items}{tests}]"

    def listing(self, deep: int = 0) -> str:
        leaf = self.name(LIST, self.one_of(["SIZES", "[]", "[1]", "[0, 1]"]))
        if deep >= 2 or self.some(0.25):
            return leaf
        one, xs = (lambda: self.number(deep + 1)), (lambda: self.listing(deep + 1))
        d = lambda: self.mapping(deep + 1)  # noqa: E731
        return self.choose(
            [
                (4, lambda: f"many({one()})"),
                (3, lambda: f"[{one()}, {one()}]"),
                (8, lambda: self.comprehension(deep)),
                (1, lambda: f"sorted({xs()}{self.one_of(['', ', reverse=True'])})"),
                (1, lambda: f"sorted({xs()}, key={self.key()})"),
                (2, lambda: f"{self.name(LIST, 'SIZES')}[{self.one_of(SLICES)}]"),
                (2, lambda: f"list(range({one()} % 3))"),
                (2, lambda: f"[*{self.listing(2)}, {one()}]"),
                (2, lambda: f"list({self.name(DICT, 'GRID')}.values())"),
                (1, lambda: f"[v for _, v in sorted({d()}.items(), key=lambda kv: -kv[1])]"),
                (1, lambda: f"[a + b for a, b in zip({xs()}, {xs()})]"),
                (1, lambda: f"list(reversed({xs()}))"),
                (1, lambda: f"list(pair({one()}))"),
                (1, lambda: f"list({xs()})"),
                (2, lambda: f"({self.listing(2)} if {self.condition(1)} else {self.listing(2)})"),
                (1, lambda: f"[{self.name(DICT, 'GRID')}[name] for name in NAMES]"),
            ]
        )  # fmt: skip

    def mapping(self, deep: int = 0) -> str:
        leaf = self.name(DICT, self.one_of(["GRID", "{}"]))
        if deep >= 2 or self.some(0.25):
            return leaf
        one, d = (lambda: self.number(deep + 1)), (lambda: self.mapping(deep + 1))
        return self.choose(
            [
                (3, lambda: f"table({one()})"),
                (3, lambda: f'{{"a": {one()}, "b": {one()}}}'),
                (2, lambda: f"{{k: add(v, {self.number(2)}) for k, v in {d()}.items()}}"),
                (2, lambda: f"{{k: v + 1 for k, v in {d()}.items()}}"),
                (2, lambda: "{name: add(i) for i, name in enumerate(NAMES)}"),
                (1, lambda: f"{{f'k{{i}}': add(i) for i in {self.listing(2)}}}"),
                (2, lambda: f'{{**{self.mapping(2)}, "c": {one()}}}'),
                (1, lambda: f"dict(zip(NAMES, {self.listing(deep + 1)}))"),
                (1, lambda: f"({self.mapping(2)} if {self.condition(1)} else {self.mapping(2)})"),
            ]
        )

    def string(self, deep: int = 0) -> str:
        leaf = self.name(STR, self.one_of(['"a"', '"b"', '"1"']))
        if self.scope.error and self.some(0.5):
            error = self.scope.error
            return self.one_of([f"str({error})", f"type({error}).__name__"])
        if deep >= 2 or self.some(0.25):
            return leaf
        one = lambda: self.number(deep + 1)  # noqa: E731
        return self.choose(
            [
                (4, lambda: f"text({self.of(self.one_of([INT, STR, LIST]), deep + 1)})"),
                (3, lambda: self.formatted()),
                (1, lambda: f"str({one()})"),
                (2, lambda: f"({self.string(2)} + {self.string(2)})"),
                (1, lambda: f"{self.string(2)}.upper()"),
                (1, lambda: f'", ".join([{self.string(2)}, {self.string(2)}])'),
                (1, lambda: f"{self.string(2)} * 2"),
                (1, lambda: f"json.dumps({self.mapping(1)})"),
                (1, lambda: f"({self.string(2)} if {self.condition(1)} else {self.string(2)})"),
            ]
        )  # fmt: skip

    def formatted(self) -> str:
        """Return an f-string: Python 3.11 wants other quotes within."""
        inner = self.string(2).replace('"', "'")
        return f'f"{{{self.number(2)}}}-{{{inner}}}"'

    def condition(self, deep: int = 0) -> str:
        small = lambda: self.number(2)  # noqa: E731
        compared = lambda: f"{small()} {self.one_of(['<', '==', '>=', '!='])} {small()}"  # noqa: E731
        if deep >= 2:
            return compared()
        return self.choose(
            [
                (6, compared),
                (2, lambda: f"{self.number(1)} > {small()}"),
                (1, lambda: f"not {compared()}"),
                (2, lambda: f"{compared()} and {self.number(1)} > 1"),
                (2, lambda: f"{compared()} or {self.number(1)} in {self.listing(2)}"),
                (1, lambda: f"0 < {small()} <= {small()}"),
                (2, lambda: self.name(LIST, "SIZES")),
                (1, lambda: self.number(1)),
                (1, lambda: f"{self.string(1)} == {self.string(2)}"),
                (1, lambda: f"{self.string(2)} in {self.name(DICT, 'GRID')}"),
                (1, lambda: f"{small()} is not None"),
            ]
        )

    # -- statements

    def block(self, most: int) -> Lines:
        """Return one or more statements; names that they assign are in scope afterwards."""
        lines: Lines = []
        for _ in range(self.random.randint(1, most)):
            made = self.statement()
            lines += made
            if made[-1].startswith(("raise ", "return ", "break", "continue")):
                break
        return lines

    def inner_block(self, **changed: object) -> tuple[Lines, dict[str, str]]:
        """Return a block within, and the names in scope at its end."""
        with self.scoped(**changed) as scope:
            lines = self.block(3)
        return lines, scope.names

    def statement(self) -> Lines:
        simple: list[tuple[int, Callable[[], Lines]]] = [
            (10, lambda: self.assign(self.one_of([INT, INT, INT, LIST, DICT, STR]))),
            (6, self.effect),
            (6, self.grow),
            (2, self.put),
            (3, self.unpack),
            (1, self.augment),
            (1, self.order),
            (1, self.fail),
            (1, self.jump),
        ]
        nested: list[tuple[int, Callable[[], Lines]]] = [
            (8, self.branch),
            (3, self.match),
            (5, self.fan_out),
            (4, self.unrolled),
            (8, self.guard),
            (1, self.together),
        ]
        options = simple if self.scope.depth >= DEPTH else simple + nested
        weights = [weight for weight, _ in options]
        (_, make) = self.random.choices(options, weights)[0]
        return make()

    def assign(self, kind: str, *, fresh: bool = False) -> Lines:
        value = self.of(kind)
        known = self.scope.assignable(kind)
        name = self.new_name() if fresh or not known or self.some(0.3) else self.one_of(known)
        if kind == LIST and (value == "[]" or self.some(0.3)):
            value = self.one_of(["[]", f"[{self.number(1)}]"])
        self.scope.bind(name, kind, value)
        return [f"{name} = {value}"]

    def effect(self) -> Lines:
        call = self.choose(
            [
                (4, lambda: f"note({self.of(self.one_of([INT, STR, LIST, DICT]), 1)})"),
                (3, lambda: f"fail({self.number(1)})"),
                (2, lambda: f"add({self.number(1)})"),
                (1, lambda: f"inner({self.number(1)}, xs)" if self.result == "any" else "note(0)"),
                (1, lambda: f"part({self.number(1)})"),
            ]
        )
        return [call]

    def grow(self) -> Lines:
        lists = self.scope.changeable(LIST)
        if self.scope.filled:
            lists.append(self.scope.filled)
        if not lists:
            return self.assign(LIST)
        name = self.one_of(lists)
        return [
            self.choose(
                [
                    (5, lambda: f"{name}.append({self.number()})"),
                    (1, lambda: f"{name}.extend({self.listing(1)})"),
                    (1, lambda: f"{name} += [{self.number(1)}]"),
                ]
            )
        ]

    def put(self) -> Lines:
        dicts = self.scope.changeable(DICT)
        if not dicts or self.scope.is_fan_out:
            return self.assign(DICT)
        key = self.one_of(['"a"', '"c"', self.string(2)])
        return [f"{self.one_of(dicts)}[{key}] = {self.number()}"]

    def unpack(self) -> Lines:
        one, other, source = self.new_name(), self.new_name(), self.number(1)
        lines = [
            self.choose(
                [
                    (3, f"{one}, {other} = pair({source})"),
                    (2, f"{one}, {other} = bounds({source})"),
                    (2, f"{one}, {other} = {self.number(1)}, {source}"),
                    (1, f"({one}, {other}), _ = pair({source}), 1"),
                    (1, f"{one}, {other} = {self.name(LIST, 'SIZES')}"),
                    (1, f"{one} = {other} = {source}"),
                    (1, f"{other} = 1 + ({one} := {source})"),
                ]
            )
        ]
        self.scope.names |= {one: INT, other: INT}
        return lines

    def augment(self) -> Lines:
        names = self.scope.assignable(INT)
        if not names:
            return self.effect()
        return [f"{self.one_of(names)} {self.one_of('+-*')}= {self.number(1)}"]

    def order(self) -> Lines:
        names = [name for name in self.scope.names if name in self.scope.results]
        if not names:
            return self.effect()
        name = self.one_of(names)
        return [
            self.one_of([f"after({name})", f"note.after({name})(1)", "add.options(retry=1)(1)"])
        ]

    def fail(self) -> Lines:
        if not self.scope.depth:
            return [f"assert {self.condition()}, {self.string(1)}"]
        return [
            self.choose(
                [
                    (2, lambda: f"raise ValueError({self.string(1)})"),
                    (1, lambda: f"raise OddError({self.string(1)}, {self.number(2)})"),
                    (1, lambda: f"raise KeyError({self.string(2)})"),
                    (1, lambda: "raise" if self.scope.error else "assert n"),
                    (2, lambda: f"assert {self.condition()}"),
                ]
            )
        ]

    def jump(self) -> Lines:
        if not self.scope.depth:
            return self.effect()
        if self.scope.can_jump:
            return [self.one_of(["break", "continue"])]
        if self.scope.can_continue:
            return ["continue"]
        return self.end() if self.scope.can_return else self.effect()

    def end(self) -> Lines:
        """Return the ``return`` of the function."""
        if self.result == INT:
            return [f"return {self.number(1)}"]
        kinds = [self.one_of([INT, LIST, DICT, STR]) for _ in range(3)]
        shown = [self.name(kind, self.of(kind, 1)) for kind in kinds]
        names = ", ".join(shown)
        pairs = ", ".join(f'"r{i}": {value}' for i, value in enumerate(shown))
        lists, numbers = self.scope.of(LIST), self.scope.of(INT)
        return [
            self.choose(
                [
                    (5, f"return {', '.join([*lists[-3:], *numbers[-3:], shown[0]])}"),
                    (4, f"return {names}"),
                    (2, f"return {shown[0]}"),
                    (2, f"return {{{pairs}}}"),
                    (1, lambda: f"return Range({self.number(1)}, high={self.number(1)})"),
                ]
            )
        ]

    def merge(self, *ends: dict[str, str]) -> None:
        """Bring names into scope that every one of the blocks has assigned."""
        first, *others = ends
        for name, kind in first.items():
            if all(other.get(name) == kind for other in others):
                self.scope.names.setdefault(name, kind)

    def sides(self, count: int, **changed: object) -> list[tuple[Lines, dict[str, str]]]:
        """Return as many blocks, of which each may assign one name that is the same in all."""
        found = [self.inner_block(**changed) for _ in range(count)]
        leaves = ("raise", "return", "break", "continue")
        if self.some(0.5):
            name, kind = self.new_name(), self.one_of([INT, LIST, STR])
            for lines, names in found:
                if not lines[-1].startswith(leaves):
                    with self.scoped(**changed):
                        self.scope.names = names
                        lines.append(f"{name} = {self.of(kind, 1)}")
                    names[name] = kind
        return found

    def branch(self) -> Lines:
        test = self.condition()
        if self.some(0.1):
            name = self.new_name()
            test = f"({name} := {self.number(1)}) > 1"
            self.scope.names[name] = INT
        if self.some(0.35):
            return [f"if {test}:", *indented(self.inner_block()[0])]
        found = self.sides(self.random.choice([2, 2, 3]))
        self.merge(*(names for _, names in found))
        tests = [f"elif {self.condition(1)}:" for _ in found[2:]]
        heads = [f"if {test}:", *tests, "else:"]
        return [
            line
            for head, (lines, _) in zip(heads, found, strict=True)
            for line in (head, *indented(lines))
        ]

    def match(self) -> Lines:
        on_text = self.some(0.5)
        subject = self.string(1) if on_text else self.number(1)
        patterns = ['"a"', '"b" | "c"'] if on_text else ["0", "1 | 2", "None"]
        heads = [f"case {pattern}:" for pattern in patterns[: self.random.randint(1, 3)]]
        if self.some(0.2):
            heads[-1] = heads[-1].replace(":", f" if {self.condition(1)}:")
        found = self.sides(len(heads) + 1)
        self.merge(*(names for _, names in found))
        cases = [
            line
            for head, (lines, _) in zip([*heads, "case _:"], found, strict=True)
            for line in (head, *indented(lines))
        ]
        return [f"match {subject}:", *indented(cases)]

    def fan_out(self) -> Lines:
        """Return a loop over what is known only in the run."""
        index, item = self.new_name(), self.new_name()
        name = self.name(LIST, "many(2)")
        both = f"{index}, {item}"
        target, items, kinds = self.random.choice(
            [
                (item, name, {item: INT}),
                (item, name, {item: INT}),
                (item, f"many({self.number(1)})", {item: INT}),
                (item, f"range({self.number(2)} % 3)", {item: INT}),
                (both, f"enumerate({name})", {index: INT, item: INT}),
                (both, f"zip({name}, {self.name(LIST, 'SIZES')})", {index: INT, item: INT}),
                (both, f"{self.name(DICT, 'GRID')}.items()", {index: STR, item: INT}),
                (item, f"table({self.number(2)})", {item: STR}),
            ]
        )
        lists = [
            each for each in self.scope.changeable(LIST) if not re.search(rf"\b{each}\b", items)
        ]
        filled = self.one_of(lists) if lists and self.some(0.7) else self.scope.filled
        changed = {
            "filled": filled,
            "fresh_only": True,
            "is_fan_out": True,
            "can_continue": True,
            "can_jump": False,
            "can_return": False,
            "outer": frozenset(self.scope.names),
            "locked": self.scope.locked | set(re.findall(r"\w+", items)),
        }
        with self.scoped(**changed) as scope:
            scope.names.pop(filled, None)
            scope.names |= kinds
            lines = self.block(3)
        return [f"for {target} in {items}:", *indented(lines)]

    def unrolled(self) -> Lines:
        """Return a loop over constants."""
        index, item = self.new_name(), self.new_name()
        target, items, kinds = self.random.choice(
            [
                (item, "SIZES", {item: INT}),
                (item, "range(2)", {item: INT}),
                (item, "NAMES", {item: STR}),
                (f"{index}, {item}", "GRID.items()", {index: STR, item: INT}),
                (item, f"[{self.number(1)}, {self.number(2)}]", {item: INT}),
            ]
        )
        with self.scoped(can_jump=True) as scope:
            scope.names |= kinds
            lines = self.block(3)
        self.scope.names |= kinds
        tail = [] if self.some(0.85) else ["else:", *indented(self.inner_block()[0])]
        return [f"for {target} in {items}:", *indented(lines), *tail]

    def guard(self) -> Lines:
        kept = self.some(0.9)
        outer = frozenset(self.scope.names) if kept else frozenset()
        outer |= self.scope.outer
        body, after_body = self.inner_block(fresh_only=kept, in_try=kept, outer=outer)
        if self.some(0.7):
            failing = f"fail({self.number(2)})"
            body.append(f"{self.new_name()} = {failing}" if self.some(0.5) else failing)
            shared = self.new_name()
            body.append(f"{shared} = {self.number(1)}")
            after_body[shared] = INT
        else:
            shared = ""
        lines, ends = ["try:", *indented(body)], [after_body]
        handled = self.some(0.75)
        final = not handled or self.some(0.3)
        kept = final and self.some(0.9)  # what a handler changes is not certain in the `finally`
        outer = frozenset(self.scope.names) if kept else self.scope.outer
        for clause in self.clauses() if handled else []:
            named = clause.rpartition(" as ")[2].rstrip(":") if " as " in clause else "?"
            handler, names = self.inner_block(
                error="" if named == "?" else named,
                fresh_only=kept or self.scope.fresh_only,
                in_try=kept or self.scope.in_try,
                outer=outer | self.scope.outer,
            )
            if shared and self.some(0.8):
                handler.append(f"{shared} = {self.number(2)}")
                names[shared] = INT
            lines += [clause, *indented(handler)]
            ends.append(names)
        if handled and self.some(0.2):
            with self.scoped(fresh_only=True, in_try=True, outer=outer | self.scope.outer) as scope:
                scope.names |= after_body
                lines += ["else:", *indented(self.block(2))]
        if final:
            jumps = dict.fromkeys(("can_return", "can_jump", "can_continue"), False)
            lines += ["finally:", *indented(self.inner_block(**jumps)[0])]
        self.merge(*ends)
        return lines

    def clauses(self) -> Lines:
        error = f"e{self.scope.depth}"
        first = self.choose(
            [
                (4, "except Exception:"),
                (3, "except Exception as {error}:"),
                (3, "except ValueError as {error}:"),
                (2, "except OddError:"),
                (2, "except (KeyError, IndexError) as {error}:"),
                (1, "except LookupError:"),
                (1, "except (ZeroDivisionError, TypeError):"),
            ]
        )
        first = first.format(error=error)
        if "Exception" in first or self.some(0.4):
            return [first]
        last = self.one_of(["except Exception:", f"except KeyError as {error}:", "except:"])
        return [first, last]

    def together(self) -> Lines:
        lines, names = self.inner_block(can_return=False, can_jump=False, can_continue=False)
        self.merge(names)
        return ["with parallel():", *indented(lines)]
