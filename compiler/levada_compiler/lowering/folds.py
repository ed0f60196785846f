"""Loops of the run that only compute, and pass values from one iteration to the next.

Such a loop (a total, the best of some results, a `break` at the first that fits) is one value:
``folded(step, items, initial, count)``. The lambda ``step`` is given what the names hold that the
loop carries, and an item; it gives what they hold after the iteration, whether the loop ends, and
what the iteration appends to ``count`` lists. The value is the tuple of what the names hold in the
end, and of these lists.

Whether a body runs a step is known once it is lowered. So the loop is lowered as if it ran none;
where it does, all that is undone, and the loop fans out.
"""

from __future__ import annotations

import ast

from ..diagnostics.reports import Reports
from ..front import types
from ..program.ir import Apply, Attribute, Const, Display, Item, Lambda, Subscript
from ..slotted import dataclass, replace
from . import blocks, flow, item_lists, jumps, loops, targets
from .accumulators import REMAKING
from .flow import BROKEN, CONTINUED, FLAGS, RESULT, RETURNED
from .frame import NeedsTaskError, TooLargeError
from .values import (
    ANY,
    BOOL,
    Accumulated,
    Contents,
    Lowered,
    Unusable,
    constant,
    dict_display,
    display,
    joined,
    made_of,
    named,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..program.ir import Expr, Node, Type
    from .blocks import Ending
    from .frame import Frame
    from .values import Scope

#: The types that a carried name is taken to keep, until an iteration shows that it does not.
_KEPT: Final = ("int", "float", "str", "bool")


@dataclass(slots=True)
class _Carried:
    """A name or an accumulator whose value iterations pass on, as the variable of a lambda."""

    key: str | int  #: the name, or the cell of the accumulator
    variable: str
    initial: Lowered
    given: Lowered  #: what an iteration begins with
    found: Lowered | None = None  #: what it ends with
    appended: Lowered | None = None  #: what it only appends


def lower(frame: Frame, node: ast.For, items: Lowered) -> Ending | None:
    """Lower a loop that only computes; None where nothing is carried, or where a step is called."""
    if not _carries(frame, node):
        return None
    kinds: dict[str, Type] = {}
    while True:
        attempt = _Attempt(frame, node, items, kinds)
        try:
            changed = attempt.run()
        except NeedsTaskError:
            attempt.undo()
            return None
        except TooLargeError:  # which ends the compilation, so that nobody else says why
            attempt.reports.add_all(frame.building.reports)
            raise
        if not changed:
            return attempt.finish()
        kinds.update(dict.fromkeys(changed, ANY))
        attempt.undo()


def _carries(frame: Frame, node: ast.For) -> bool:
    """Return whether a loop jumps out, changes a name from before it, or reads what it fills."""
    kinds = ast.Break if "fan-out" in frame.loops else ast.Break | ast.Return
    if any(isinstance(each, kinds) for each in jumps.found(node.body)):
        return True
    if any(isinstance(frame.scope.names.get(name), Lowered) for name in _assigned(node)):
        return True
    filled = {n for n, held in frame.scope.names.items() if isinstance(held, Accumulated)}
    if filled.intersection(_assigned(node)):
        return True
    owners = {id(owner) for owner in _changed_owners(node)}
    read = (each for each in _names(node) if each.id in filled and id(each) not in owners)
    changed = {owner.id for owner in _changed_owners(node)}
    return any(each.id in changed for each in read) or _rereads(node, filled)


def _assigned(node: ast.For) -> list[str]:
    return [name for item in node.body for name in blocks.assigned_names(item)]


def _names(node: ast.For) -> Iterator[ast.Name]:
    for item in node.body:
        yield from (each for each in ast.walk(item) if isinstance(each, ast.Name))


def _changed_owners(node: ast.For) -> list[ast.Name]:
    """Return the names in ``xs.append(x)``, ``d[k] = x`` and their like."""
    found: list[ast.Name] = []
    for each in (inner for item in node.body for inner in ast.walk(item)):
        match each:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name() as owner))):
                found.append(owner)
            case ast.Subscript(value=ast.Name() as owner, ctx=ast.Store()):
                found.append(owner)
    return found


def _rereads(node: ast.For, filled: set[str]) -> bool:
    """Return whether there is ``d[k] += x`` or its like, which read what they change."""
    for each in (inner for item in node.body for inner in ast.walk(item)):
        match each:
            case ast.AugAssign(target=ast.Subscript(value=ast.Name(id=name))) if name in filled:
                return True
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
                name in filled and method in REMAKING
            ):
                return True
        made = item_lists.found(each)
        if made is not None and made.owner.id in filled:
            return True
    return False


class _Attempt:
    """One lowering of a loop as a value, with what it takes to undo it."""

    def __init__(self, frame: Frame, node: ast.For, items: Lowered, kinds: dict[str, Type]) -> None:
        self.frame = frame
        self.node = node
        self.items = items
        self.kinds = kinds
        self.span = loops.header_span(frame, node)
        self.before = frame.scope
        self.carried: list[_Carried] = []
        self.unchanged: set[str | int] = set()
        self.reports = frame.building.reports
        self._frame = dict(vars(frame))
        self._returns = len(frame.returns)
        self._building = dict(vars(frame.building))
        self._names = frame.building.names.state()

    def undo(self) -> None:
        """Forget the attempt."""
        vars(self.frame).update(self._frame)
        vars(self.frame.building).update(self._building)
        del self.frame.returns[self._returns :]
        self.frame.building.names.restore(self._names)

    # ------------------------------------------------------------------ the body

    def run(self) -> list[str]:
        """Lower the body; return the names whose type is not what it was taken to be.

        Raises NeedsTaskError if there is more to it than to compute.
        """
        frame = self.frame
        self.loop = frame.new_id(f"for_{targets.first_name(self.node.target)}")
        self.lambda_id = frame.new_id("lambda_1")
        self.item = frame.new_variable("item")
        frame.building.reports, frame.building.only_computes = Reports(), True
        frame.scope = self.before.copy()
        frame.depth += 1
        frame.loops = (*frame.loops, "computed")
        with frame.inner_region() as nodes:
            self._begin()
            kind = types.element(self.items.type)
            self.target = loops.declare_items(frame, self.node.target, self.loop, kind)
            blocks.block(frame, self.node.body)
            blocks.set_flag(frame, CONTINUED, self.span, to=False)
            flow.forget_completed(frame.scope, self.span)
            self.stops = blocks.left(frame, self.span)
            self._end(tuple(nodes))
        self.nodes = tuple(nodes)
        frame.loops = frame.loops[:-1]
        frame.depth -= 1
        self.inside, frame.scope = frame.scope, self.before.copy()
        self.problems, frame.building.reports = frame.building.reports, self.reports
        frame.building.only_computes = self._building["only_computes"]
        return [str(each.key) for each in self.carried if self._has_changed_type(each)]

    def _begin(self) -> None:
        """Give the names that the loop may change what an iteration is given."""
        frame, scope = self.frame, self.frame.scope
        for flag in FLAGS:
            blocks.set_flag(frame, flag, self.span, to=False)
        mentioned = {each.id for each in _names(self.node)}
        for name, held in sorted(self.before.names.items()):
            if name in mentioned and isinstance(held, Accumulated):
                self._begin_cell(held.cell)
        for name in dict.fromkeys(_assigned(self.node)):
            binding = self.before.names.get(name)
            if isinstance(binding, Lowered) and binding.poisoned:
                self.unchanged.add(name)
            elif isinstance(binding, Lowered):
                self._begin_name(name, binding)
            elif isinstance(binding, Accumulated):
                contents = self.before.cells[binding.cell]
                if contents.broken is None and not contents.is_partial:
                    self._begin_name(name, flow.value_of(contents, self.span))
        returns = [each for each in jumps.found(self.node.body) if isinstance(each, ast.Return)]
        if returns:
            initial = scope.names.get(RESULT)
            value = initial if isinstance(initial, Lowered) else constant(None, self.span)
            self.carried.append(_Carried(RESULT, frame.new_variable("result"), value, value))

    def _begin_name(self, name: str, initial: Lowered) -> None:
        if initial.definition is not None or initial.has_callables:
            raise NeedsTaskError
        if initial.type.name.startswith("exception"):
            raise NeedsTaskError
        frame = self.frame
        kind = initial.type if initial.type.name in _KEPT else ANY
        if initial.fresh:
            kind = named(initial.type.name)
        kind = self.kinds.get(name, kind)
        variable = frame.new_variable(name)
        given = Lowered(Item(self.lambda_id, variable, self.span), kind, fresh=initial.fresh)
        self.carried.append(_Carried(name, variable, initial, given))
        frame.bind(name, given)

    def _begin_cell(self, cell: int) -> None:
        held = self.before.cells[cell]
        if any(each.key == cell for each in self.carried) or held.broken or held.is_partial:
            return
        name = "found" if held.is_dict else "items"
        variable = self.frame.new_variable(name)
        initial = flow.value_of(held, self.span)
        kind = named("dict" if held.is_dict else "list")
        given = Lowered(Item(self.lambda_id, variable, self.span), kind)
        self.carried.append(_Carried(cell, variable, initial, given))
        part = flow.pairs_of(given, self.span) if held.is_dict else given
        begun = Contents(self.frame.depth, ((part,),), held.is_dict, shared=held.shared)
        self.frame.scope.cells[cell] = begun

    # ------------------------------------------------------------------ after the body

    def _end(self, nodes: tuple[Node, ...]) -> None:
        """Find what an iteration ends with."""
        scope = self.frame.scope
        for each in self.carried:
            if isinstance(each.key, int):
                each.found = flow.value_of(scope.cells[each.key], self.span)
                each.appended = _only_appended(scope.cells[each.key], each)
            else:
                each.found = self._content(each.key, scope)
        used = self._used(nodes)
        kept = []
        for each in self.carried:
            is_used = each.variable in used
            if is_used:
                each.appended = None
            if each.found is None and is_used:
                raise NeedsTaskError  # it has no value in each iteration
            unchanged = each.appended is None and self._is_unchanged(each, scope)
            if each.found is not None and (is_used or not unchanged):
                kept.append(each)
            elif each.found is not None:
                self.unchanged.add(each.key)
        self.carried = kept

    def _content(self, name: str, scope: Scope) -> Lowered | None:
        binding = scope.names.get(name)
        if binding is None or isinstance(binding, Unusable):
            return None
        found = flow.content(binding, scope, self.span)
        if found is not None and (found.definition is not None or found.has_callables):
            raise NeedsTaskError
        return found

    def _is_unchanged(self, each: _Carried, scope: Scope) -> bool:
        if isinstance(each.key, int):
            begun = scope.cells[each.key].frames
            return len(begun) == 1 and len(begun[0]) == 1 and _names_item(begun[0][0], each)
        return each.found is not None and _names_item(each.found, each)

    def _used(self, nodes: tuple[Node, ...]) -> set[str]:
        """Return the variables that anything but the names' own next values refers to."""
        expressions: list[Expr] = [self.stops.expr]
        for node in nodes:
            expressions += node.expressions()
            expressions += [test for test, _ in self.frame.building.sides.get(node.id, ())]
        for each in self.carried:
            if each.appended is not None:
                expressions.append(each.appended.expr)
            elif each.found is not None and not _names_item(each.found, each):
                expressions.append(each.found.expr)
        items = (item for expression in expressions for item in expression.walk())
        return {item.name for item in items if isinstance(item, Item)}

    def _has_changed_type(self, each: _Carried) -> bool:
        if isinstance(each.key, int) or each.found is None or each.key == RESULT:
            return False
        given, found = each.given.type, each.found.type
        return given != ANY and found.name != given.name

    # ------------------------------------------------------------------ the value

    def finish(self) -> Ending:
        """Make the value, give the names their parts of it, and lower the ``else`` of the loop."""
        frame, scope = self.frame, self.frame.scope
        self.reports.add_all(self.problems)
        scope.when = dict(self.inside.when)
        for name, binding in self.inside.names.items():
            is_new = self.before.names.get(name) is not binding and name not in self.unchanged
            if is_new and not name.startswith("$"):
                scope.names[name] = loops.last_iteration(frame, name, self.node)
        flags = [flag for flag in (BROKEN, RETURNED) if self._flag(flag).static is not False]
        holders = [each for each in self.carried if each.appended is None]
        lists = [each for each in self.carried if each.appended is not None]
        whole = self._whole(holders, lists, [self._flag(flag) for flag in flags])
        for place, each in enumerate(holders):
            self._bind(each, self._part(whole, place, each.given.type))
        for place, flag in enumerate(flags):
            scope.names[flag] = self._part(whole, len(holders) + place, BOOL)
        for place, each in enumerate(lists):
            part = self._part(whole, len(holders) + len(flags) + place, named("list"))
            self._bind_list(each, part)
        return loops.end(frame, self.node, {each: self.before.names.get(each) for each in FLAGS})

    def _flag(self, name: str) -> Lowered:
        found = self.inside.names[name]
        assert isinstance(found, Lowered)  # noqa: S101 - as they all are
        return found

    def _part(self, whole: Lowered, place: int, kind: Type) -> Lowered:
        return Lowered(Attribute(whole.expr, str(place), self.span), kind)

    def _bind(self, each: _Carried, value: Lowered) -> None:
        scope = self.frame.scope
        poisoned = each.initial.poisoned or (each.found is not None and each.found.poisoned)
        value = replace(value, poisoned=poisoned)
        if isinstance(each.key, str):
            if each.key == RESULT:
                scope.names[RESULT] = _shaped(replace(value, type=ANY), each.found)
            else:
                fresh = each.given.fresh and isinstance(self.inside.names[each.key], Accumulated)
                self.frame.bind(each.key, replace(value, fresh=fresh))
            return
        if self._is_unchanged(each, self.inside):
            return  # iterations only read it
        held = self.before.cells[each.key]
        part = flow.pairs_of(value, self.span) if held.is_dict else value
        self._set_cell(each.key, replace(held, frames=(*held.frames[:-1], (part,))))

    def _bind_list(self, each: _Carried, value: Lowered) -> None:
        assert isinstance(each.key, int)  # noqa: S101 - only accumulators are appended to
        self._set_cell(each.key, self.before.cells[each.key].appended(value, self.frame.depth))

    def _set_cell(self, cell: int, held: Contents) -> None:
        shared = self.inside.cells[cell].shared
        self.frame.scope.cells[cell] = replace(held, shared=held.shared or shared)
        self.frame.scope.when.setdefault(cell, self.frame.building.emitted)

    def _whole(
        self, holders: list[_Carried], lists: list[_Carried], flags: list[Lowered]
    ) -> Lowered:
        frame, span = self.frame, self.span
        ends = [each.found for each in holders if each.found is not None]
        parts = [each.appended for each in lists if each.appended is not None]
        after = display("tuple", (*ends, *flags), span)
        element = Display("tuple", (after.expr, self.stops.expr, _tuple(parts, span)), span)
        given = [frame.new_variable("flag") for _ in flags]
        variables = (*[each.variable for each in holders], *given, self.item)
        one = Lowered(Display("list", (Item(self.lambda_id, self.item, span),), span), ANY)
        target = loops.as_target(self.target)
        made = loops.Iterations(self.loop, target, one, (), self.nodes, span)
        body = Subscript(made.comprehension(frame, element)[0], Const(0, span), span)
        step = Lambda(self.lambda_id, variables, body, span)
        none = constant(value=False, span=span)
        initial = display(
            "tuple", (*[each.initial for each in holders], *[none] * len(flags)), span
        )
        arguments = (step, self.items.expr, initial.expr, Const(len(parts), span))
        expr = Apply("folded", tuple((None, each) for each in arguments), span)
        children = (self.items, initial, after, *parts)
        value = made_of(expr, ANY, children, raises=True)
        return frame.keep(value, self._name())

    def _name(self) -> str:
        names = [str(each.key) for each in self.carried if isinstance(each.key, str)]
        return next((name for name in names if not name.startswith("$")), "found")


def _tuple(values: list[Lowered], span: Span) -> Expr:
    return Display("tuple", tuple([value.expr for value in values]), span)


def _shaped(value: Lowered, found: Lowered | None) -> Lowered:
    """Return what was returned with the shape of it: what has several outputs keeps them.

    Nothing reads it but where the loop has returned.
    """
    span = value.expr.span

    def part(key: str | int) -> Lowered:
        return Lowered(Subscript(value.expr, Const(key, span), span), ANY)

    if found is None or value.poisoned:
        return value
    if keys := flow.keys_of(found):
        return dict_display(tuple((constant(key, span), part(key)) for key in keys), span)
    if found.parts and found.type.name == "tuple":
        return display("tuple", tuple(map(part, range(len(found.parts)))), span)
    return value


def _names_item(value: Lowered, each: _Carried) -> bool:
    """Return whether a value is what an iteration was given for a name."""
    pairs = flow.pairs_of(each.given, value.expr.span)
    is_item = isinstance(value.expr, Item) and value.expr.name == each.variable
    return is_item or value.expr == pairs.expr


def _only_appended(held: Contents, each: _Carried) -> Lowered | None:
    """Return what an iteration appends to a list or dict, whose beginning it leaves as it is."""
    if len(held.frames) != 1 or len(held.frames[0]) < 2 or not _names_item(held.frames[0][0], each):
        return None
    return joined(held.frames[0][1:], held.frames[0][1].expr.span)
