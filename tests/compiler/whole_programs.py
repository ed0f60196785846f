"""Random valid programs, with every construct of the IR, for properties of its passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from levada_compiler.diagnostics.diagnostic import Span
from levada_compiler.program import ir

TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**60, 2**70)
    | st.floats()
    | TEXT
    | st.sampled_from(["\ud83d\ude00", "\udc00", "{{ x }}", -0.0, 10**4000])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
DIGEST = "sha256:" + "0f" * 32


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    line, column = draw(st.integers(1, 99)), draw(st.integers(1, 99))
    file = draw(st.sampled_from(["pipeline.py", "a b/c:1:2-3:4.py", "lib/é.py"]))
    return Span(file, line, column, line + draw(st.integers(0, 3)), column + 1)


TYPES = st.recursive(
    st.sampled_from([ir.Type("any"), ir.Type("int", text="int"), ir.Type("pipeline:Report")])
    | st.lists(JSON, max_size=2).map(lambda v: ir.Type("literal", values=tuple(map(compact, v)))),
    lambda inner: st.lists(inner, min_size=2, max_size=3).map(
        lambda members: ir.Type("union", tuple(members), text="written")
    ),
    max_leaves=4,
)


@dataclass
class Builder:
    """Draws one program. ``reach`` are expressions for what is visible at the place."""

    draw: st.DrawFn
    count: int = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def span(self) -> Span:
        return self.draw(spans())

    def choice(self, options: list[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    # ------------------------------------------------------------------ expressions

    def expression(self, reach: list[ir.Expr], depth: int = 2) -> ir.Expr:
        span = self.span()
        leaves: list[ir.Expr] = [ir.Const(self.draw(SCALARS), span), ir.Param("depth", span)]
        if not depth or self.draw(st.booleans()):
            return self.choice([*leaves, *reach])
        one, other = (self.expression(reach, depth - 1) for _ in range(2))
        field = ir.Field(one, self.choice(["", "s", "r", "a"]), self.draw(TEXT), span)
        return self.choice(
            [
                ir.Attribute(one, "auc", span),
                ir.Subscript(one, other, span),
                ir.Subscript(one, ir.Slice(other, ir.Const(None, span), one, span), span),
                ir.Unary(self.choice(["not", "-", "+", "~"]), one, span),
                ir.Binary(self.choice(["+", "**", "//", "<<"]), one, other, span),
                ir.Compare((one, other, one), ("<", "not in"), span),
                ir.BoolOp(self.choice(["and", "or"]), (one, other), span),
                ir.Display(self.choice(["list", "tuple", "set"]), (one, other), span),
                ir.DictDisplay(((one, other),), span),
                ir.Format(("a", field, self.draw(TEXT)), span),
                ir.Apply("enumerate", ((None, one), ("start", other)), span),
                ir.Apply("zip", ((None, one), (None, ir.Starred(other, span))), span),
                ir.Method(one, "get", ((None, other),), span),
                ir.Conditional(one, other, one, span),
                ir.Instance("pipeline:Report", "dataclass", (("auc", one), ("n", other)), span),
                self.comprehension(reach, one, span),
                self.sorted_by(reach, one, span),
                ir.Concat((one, other), span),
            ]
        )

    def comprehension(self, reach: list[ir.Expr], items: ir.Expr, span: Span) -> ir.Expr:
        name, variable = self.name("comp"), self.name("z")
        inner = [*reach, ir.Item(name, variable, span)]
        condition, key, value = (self.expression(inner, 0) for _ in range(3))
        clause = ir.Clause(ir.Target((variable,), is_tuple=False), items, (condition,))
        kind = self.choice(["list", "set", "dict"])
        element = ir.Display("tuple", (key, value), span) if kind == "dict" else value
        return ir.Comprehension(name, kind, element, (clause,), span)

    def sorted_by(self, reach: list[ir.Expr], items: ir.Expr, span: Span) -> ir.Expr:
        name, variable = self.name("lambda"), self.name("z")
        body = self.expression([*reach, ir.Item(name, variable, span)], 0)
        key = self.choice([ir.Lambda(name, (variable,), body, span), ir.FunctionName("len", span)])
        return ir.Apply("sorted", ((None, items), ("key", key)), span)

    # ------------------------------------------------------------------ nodes

    def region(
        self, reach: list[ir.Expr], prefix: str, depth: int, least: int = 1
    ) -> tuple[tuple[ir.Node, ...], list[ir.Expr]]:
        """Nodes, and the values that the region adds, as seen at its end."""
        nodes: list[ir.Node] = []
        added: list[ir.Expr] = []
        for _ in range(self.draw(st.integers(least, 2))):
            kinds = ["call"] + (["branch", "loop", "guard", "group", "value"] if depth else [])
            after = tuple(node.id for node in nodes if self.draw(st.booleans()))
            make = getattr(self, "call" if not nodes else self.choice(kinds))
            node, values = make([*reach, *added], prefix, depth - 1, after)
            nodes.append(node)
            added += values
        return tuple(nodes), added

    def call(
        self, reach: list[ir.Expr], prefix: str, _: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        arguments = [ir.Argument("a", self.expression(reach), self.span())]
        if self.draw(st.booleans()):
            arguments.append(ir.Argument("b", self.expression(reach), self.span()))
        name = prefix + self.name("call")
        retry = {"backoff": 2, "count": self.draw(st.integers(0, 9)), "delay": 1, "max_delay": None}
        settings = (ir.Setting("retry", compact(retry), self.span()),)
        node = ir.Call(name, "pipeline:work", tuple(arguments), after, settings, self.span())
        return node, [ir.Output(name, self.span())]

    def value(
        self, reach: list[ir.Expr], prefix: str, _: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        name, raises = prefix + self.name("v"), self.draw(st.booleans())
        is_checked = raises and self.draw(st.booleans())
        node = ir.Value(name, self.expression(reach), raises, is_checked, after, self.span())
        return node, [ir.Use(name, self.span())]

    def fail(self, reach: list[ir.Expr], prefix: str) -> ir.Node:
        classes = ("builtins.ValueError", "builtins.Exception")
        arguments = (self.expression(reach),)
        return ir.Fail(prefix + self.name("raise"), classes, arguments, "", (), self.span())

    def branch(
        self, reach: list[ir.Expr], prefix: str, depth: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        name = prefix + self.name("if")
        condition = self.expression(reach)
        then, yes = self.region(reach, prefix, depth)
        otherwise, no = self.region(reach, prefix, depth, least=0)
        if self.draw(st.booleans()):
            otherwise = (*otherwise, self.fail([*reach, *no], prefix))
        span = self.span()
        merged: list[ir.Expr] = [
            ir.Select(name, one, no[0] if no else ir.Const(None, span), span) for one in yes
        ]
        return ir.Branch(name, condition, then, otherwise, after, span), merged

    def loop(
        self, reach: list[ir.Expr], prefix: str, depth: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        name = prefix + self.name("for")
        variable, other = self.name("x"), self.name("y")
        span = self.span()
        simple = ir.Target((variable,), is_tuple=False)
        nested = ir.Target((variable, ir.Target((other,), is_tuple=True)), is_tuple=True)
        item = ir.Item(name, variable, span)
        items = self.expression(reach)
        conditions = tuple(self.expression([*reach, item]) for _ in range(self.choice([0, 1])))
        body, inside = self.region([*reach, item], prefix, depth)
        target = self.choice([simple, nested])
        node = ir.Loop(name, target, items, conditions, body, after, span)
        return node, [ir.Collect(name, each, self.choice([True, False]), span) for each in inside]

    def guard(
        self, reach: list[ir.Expr], prefix: str, depth: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        name = prefix + self.name("try")
        span = self.span()
        body, values = self.region(reach, prefix, depth)
        if self.draw(st.booleans()):
            final, ended = self.region(reach, prefix, depth)
            return ir.Guard(name, body, None, final, after, span), [*values, *ended]
        handler, saved = self.region(reach, prefix, depth)
        pairs = zip(values, saved, strict=False)
        node = ir.Guard(name, body, handler, (), after, span)
        return node, [ir.Recover(name, one, other, span) for one, other in pairs]

    def group(
        self, reach: list[ir.Expr], prefix: str, depth: int, after: tuple[str, ...]
    ) -> tuple[ir.Node, list[ir.Expr]]:
        name = prefix + self.name("sub")
        body, values = self.region(reach, f"{name}.", depth)
        return ir.Group(name, "inner", self.draw(TEXT), body, after, self.span()), values


@st.composite
def programs(draw: st.DrawFn) -> ir.Program:
    """A whole valid program."""
    builder = Builder(draw)
    parameter = ir.Parameter("depth", draw(TYPES), compact(draw(JSON)), draw(TEXT), builder.span())
    body, values = builder.region([], "", depth=3)
    names = tuple(map(str, range(len(values))))
    result = ir.Result(tuple(values), names, "tuple", builder.span())
    nothing = ir.Result((), (), "none", builder.span())
    return ir.Program(
        name="main",
        description=draw(TEXT),
        file="pipeline.py",
        source=DIGEST,
        search=(".",),
        parameters=(parameter,),
        settings=(ir.Setting("tags", compact(draw(st.lists(TEXT, max_size=2))), builder.span()),),
        steps=(_step(draw, builder),),
        body=body,
        result=draw(st.sampled_from([nothing, result])),
        span=builder.span(),
    )


def _step(draw: st.DrawFn, builder: Builder) -> ir.Step:
    required = ir.Parameter("a", draw(TYPES), None, "", builder.span())
    optional = ir.Parameter("b", draw(TYPES), "", draw(TEXT), builder.span(), "keyword-only")
    return ir.Step(
        key="pipeline:work",
        module="pipeline",
        function="work",
        source_root=".",
        description=draw(TEXT),
        parameters=(required, optional),
        returns=draw(TYPES),
        outputs=(ir.NamedOutput("auc", draw(TYPES)), ir.NamedOutput("0", draw(TYPES))),
        settings=(),
        code=DIGEST,
        imports=("numpy", "pandas"),
        span=builder.span(),
    )
