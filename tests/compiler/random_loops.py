"""Random pipelines of loops that run no step and carry values, as text."""

from __future__ import annotations

import random
import textwrap

HEAD = """\
from levada import pipeline


@pipeline
def flow(n: int, xs: list[int], ys: list[int]):
"""
START = ["a = 1", "b = n", "out = []", "d = {}", "other = [0]"]
START += ["groups = {}", "thirds = {k: [] for k in range(3)}"]


class Loops:
    """Writes one pipeline. A function that returns in a loop returns one value."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.returns = self.random.random() < 0.4

    def module(self) -> str:
        body = [*START]
        for _ in range(self.random.randrange(1, 3)):
            body += self.loop(["a", "b", "n"], 0)
        body.append("return a" if self.returns else "return a, b, out, d, other, groups, thirds")
        return HEAD + textwrap.indent("\n".join(body), "    ") + "\n"

    def given(self) -> dict[str, object]:
        """What to run it with."""
        many, few = self.random.randrange(5), self.random.randrange(3)
        xs = [self.random.randrange(6) for _ in range(many)]
        return {"n": self.random.randrange(4), "xs": xs, "ys": [5 - x for x in xs[:few]]}

    def loop(self, names: list[str], depth: int) -> list[str]:
        item = f"{self.random.choice('xyz')}{depth}"
        items = self.random.choice(["xs", "ys", "[*xs, 1]", "range(3)"])
        lines = [f"for {item} in {items}:"]
        lines += indented(self.block([*names, item], depth + 1, in_loop=True))
        if self.random.random() < 0.3:
            lines += ["else:", *indented(self.block(names, depth + 1, in_loop=False))]
        return lines

    def block(self, names: list[str], depth: int, *, in_loop: bool) -> list[str]:
        lines: list[str] = []
        for _ in range(self.random.randrange(1, 4)):
            kind = self.random.randrange(16)
            if kind < 8:
                lines.append(self.simple(names))
            elif kind < 12 and depth < 3:
                lines += [f"if {self.test(names)}:"]
                lines += indented(self.block(names, depth + 1, in_loop=in_loop))
                if self.random.random() < 0.5:
                    lines += ["else:", *indented(self.block(names, depth + 1, in_loop=in_loop))]
            elif kind == 12 and in_loop:
                return [*lines, self.random.choice(["continue", "break"])]
            elif kind == 13 and self.returns:
                return [*lines, f"return {self.value(names)}"]
            elif kind == 14 and depth < 2:
                lines += self.loop(names, depth + 1)
            else:
                lines.append(f"a, b = b, {self.value(names)}")
        return lines

    def simple(self, names: list[str]) -> str:
        value, name = self.value(names), self.random.choice(names)
        return self.random.choice(
            [
                f"{self.random.choice('ab')} = {value}",
                f"{self.random.choice('ab')} += {value}",
                f"out.append({value})",
                f"d[{name}] = {value}",
                f"d[{name} % 3] = d.get({name} % 3, 0) + 1",
                f"groups.setdefault({name}, []).append({value})",
                f"thirds[{name} % 3].append({value})",
                f"thirds[{name} % 3].extend([{value}, {name}])",
                f"other = other + [{value}]",
                f"other += [{value}]",
            ]
        )

    def value(self, names: list[str]) -> str:
        one, other = self.random.choice(names), self.random.choice(names)
        return self.random.choice(
            [
                one,
                str(self.random.randrange(5)),
                f"{one} + {other}",
                f"{one} * 2 - {other}",
                f"10 // ({one} % 3)",
                f"({one} if {other} > 1 else {other} - 1)",
            ]
        )

    def test(self, names: list[str]) -> str:
        one, other = self.random.choice(names), self.random.choice(names)
        return self.random.choice(
            [
                f"{one} > {self.random.randrange(6)}",
                f"{one} % 2 == {self.random.randrange(2)}",
                f"{one} < {other}",
                f"{one} in out",
                f"{one} not in d",
                f"{one} == 3 or 6 // {one} > 1",
                f"len(out) < {self.random.randrange(4)}",
            ]
        )


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
