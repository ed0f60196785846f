"""Random pipelines, each as Python source and as the plan that must mean the same."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

#: A value in reach: how Python names it, how the plan does, how deep a list it is (0: an int).
Value = tuple[str, str, int]


@dataclass
class Program:
    source: str
    plan: dict[str, Any]
    failing: set[int]


@dataclass
class Builder:
    """Draws one pipeline; ``loops`` are the variables of the loops around the place."""

    draw: st.DrawFn
    count: int = 0
    calls: list[int] = field(default_factory=list)

    def number(self) -> int:
        self.count += 1
        return self.count

    def choice(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def region(
        self, reach: list[Value], loops: list[str], depth: int, least: int = 0
    ) -> tuple[list[str], list[dict[str, Any]], list[Value]]:
        """Lines, nodes, and the values that the region adds."""
        reach = list(reach)
        before = len(reach)
        lines: list[str] = []
        nodes: list[dict[str, Any]] = []
        for _ in range(self.draw(st.integers(least, 3))):
            kinds = ["call", "call"] + (["branch", "loop", "guard", "group"] if depth else [])
            make = getattr(self, self.choice(kinds))
            more, node, given = make(reach, loops, depth - 1)
            after = self.draw(st.booleans()) and nodes and node["kind"] != "group"
            node["after"] = [self.choice(nodes)["id"]] if after else []
            lines += more
            nodes.append(node)
            reach += given
        return lines or ["pass"], nodes, reach[before:]

    def operand(self, reach: list[Value], depth: int = 0) -> Value:
        fitting = [value for value in reach if value[2] == depth]
        constant = ("2", "2", 0) if depth == 0 else ("[0, 1, 2]", "[0, 1, 2]", 1)
        return self.choice([*fitting, constant])

    def any_value(self, reach: list[Value]) -> Value:
        return self.choice([*reach, ("1", "1", 0)])

    def condition(self, reach: list[Value]) -> tuple[str, str]:
        python, plan, _ = self.operand(reach)
        form = self.choice(["{} % 2 == 0", "10 // {} > 2", "not {} > 3"])
        return form.format(python), form.format(plan)

    def call(self, reach: list[Value], loops: list[str], depth: int) -> Any:  # noqa: ARG002
        number = self.number()
        self.calls.append(number)
        python, plan, _ = self.any_value(reach)
        node = {
            "kind": "call",
            "id": f"n{number}",
            "step": "m:s",
            "inputs": {"tag": str(number), "a": plan},
            "settings": {},
        }
        text = f"n{number}[{', '.join(loops)}]" if loops else f"n{number}"
        return [f"v{number} = s({number}, {python})"], node, [(f"v{number}", text, 0)]

    def branch(self, reach: list[Value], loops: list[str], depth: int) -> Any:
        number = self.number()
        python, plan = self.condition(reach)
        then = self.region(reach, loops, depth)
        other = self.region(reach, loops, depth)
        one = self.operand(reach + then[2])
        two = self.operand(reach + other[2])
        lines = [f"if {python}:", *indent([*then[0], f"v{number} = {one[0]}"])]
        lines += ["else:", *indent([*other[0], f"v{number} = {two[0]}"])]
        node = {"kind": "branch", "id": f"b{number}", "condition": plan}
        node |= {"then": then[1], "otherwise": other[1]}
        return lines, node, [(f"v{number}", f"({one[1]} if {plan} else {two[1]})", 0)]

    def loop(self, reach: list[Value], loops: list[str], depth: int) -> Any:
        number = self.number()
        items = self.operand(reach, 1)
        if self.draw(st.booleans()):
            size = self.operand(reach)
            items = (f"range({size[0]} % 4)", f"range({size[1]} % 4)", 1)
        variable = f"d{number}"
        filtered = self.choice([None, f"{variable} != 1", f"6 // {variable} > 2"])
        inner = [*reach, (variable, variable, 0)]
        body = self.region(inner, [*loops, variable], depth)
        each = self.operand(inner + body[2])
        inside = [*body[0], f"v{number}.append({each[0]})"]
        if filtered:
            inside = [f"if {filtered}:", *indent(inside)]
        lines = [f"v{number} = []", f"for {variable} in {items[0]}:", *indent(inside)]
        node = {"kind": "loop", "id": f"l{number}", "target": variable, "items": items[1]}
        node |= {"where": [filtered] if filtered else [], "body": body[1]}
        suffix = f" if {filtered}" if filtered else ""
        text = f"[{each[1]} for {variable} in {items[1]}{suffix}]"
        return lines, node, [(f"v{number}", text, 1)]

    def guard(self, reach: list[Value], loops: list[str], depth: int) -> Any:
        number = self.number()
        body = self.region(reach, loops, depth, least=1)
        one = self.operand(reach + body[2])
        node = {"kind": "guard", "id": f"g{number}", "body": body[1], "handler": None}
        lines = ["try:", *indent([*body[0], f"v{number} = {one[0]}"])]
        text = one[1]
        handled = self.draw(st.booleans())
        if handled:
            handler = self.region(reach, loops, depth)
            two = self.operand(reach + handler[2])
            node["handler"] = handler[1]
            lines += ["except Exception:", *indent([*handler[0], f"v{number} = {two[0]}"])]
            failed = ", ".join(repr(name) for name in failing_nodes(body[1]))
            text = f"({two[1]} if failed({failed}) else {one[1]})"
        final = self.region(reach, loops, depth)
        node["final"] = final[1]
        if not handled or final[1]:
            lines += ["finally:", *indent(final[0])]
        return lines, node, [(f"v{number}", text, 0)]

    def group(self, reach: list[Value], loops: list[str], depth: int) -> Any:
        number = self.number()
        body = self.region(reach, loops, depth)
        return body[0], {"kind": "group", "id": f"p{number}", "body": body[1]}, body[2]


def failing_nodes(nodes: list[dict[str, Any]]) -> list[str]:
    found = []
    for node in nodes:
        if node["kind"] in ("call", "branch", "loop"):
            found.append(node["id"])
        slots = {"branch": ["then", "otherwise"], "call": []}.get(node["kind"], ["body"])
        if node["kind"] == "guard":
            slots = ["body", "final"] if node["handler"] is None else ["handler", "final"]
        for slot in slots:
            found += failing_nodes(node[slot])
    return found


def indent(lines: list[str]) -> list[str]:
    return textwrap.indent("\n".join(lines), "    ").split("\n")


@st.composite
def programs(draw: st.DrawFn) -> Program:
    builder = Builder(draw)
    parameters: list[Value] = [("x", "params.x", 0), ("xs", "params.xs", 1)]
    lines, nodes, given = builder.region(parameters, [], 3, least=1)
    results = given or parameters
    source = "\n".join(
        ["def pipeline(x, xs):", *indent([*lines, f"return [{', '.join(v[0] for v in results)}]"])]
    )
    failing = draw(st.sets(st.sampled_from(builder.calls), max_size=3)) if builder.calls else set()
    plan = {
        "schema": "levada.plan/1",
        "pipeline": "p",
        "settings": {},
        "parameters": [],
        "steps": {"m:s": {"module": "m", "function": "s"}},
        "body": nodes,
        "result": {"values": [v[1] for v in results], "names": [], "is_tuple": True},
    }
    return Program(source, plan, failing)
