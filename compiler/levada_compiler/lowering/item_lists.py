"""Lists within a dict or list that a pipeline fills: ``groups[k].append(x)``.

``groups[k].append(x)`` is lowered as ``groups[k] = [*groups[k], x]``. In Python that is not the
same if the list has another name too. So every use of ``groups`` in the function is looked at: it
is made of new lists, and nothing reads it before its last change.
"""

from __future__ import annotations

import ast

from ..diagnostics.diagnostic import Label
from ..slotted import dataclass, replace
from . import accumulators, flow
from .expressions import arithmetic, is_local
from .lowering import expression
from .values import Accumulated, display, known_pairs, poison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from ..front import modules as m
    from .frame import Frame
    from .values import Lowered

_METHODS: Final = ("append", "extend")
#: The names of the key and of the item while a change is lowered.
_KEY: Final = "$key"
_ITEM: Final = "$item"


@dataclass(frozen=True, slots=True)
class Change:
    """``owner[key].append(item)``, or with a ``default`` ``owner.setdefault(key, default)…``."""

    owner: ast.Name
    key: ast.expr
    default: ast.List | None
    item: ast.expr

    def item_list(self, key: ast.expr) -> ast.List:
        """Return the list that is at the key afterwards."""
        owner = ast.Name(self.owner.id, ast.Load())
        before: ast.expr = ast.Subscript(owner, key, ast.Load())
        if self.default is not None:
            before = ast.Call(ast.Attribute(owner, "get", ast.Load()), [key, self.default], [])
        return ast.List([ast.Starred(before, ast.Load()), self.item], ast.Load())

    def text(self) -> str:
        """Return the assignment that does the same."""
        made = ast.unparse(self.item_list(self.key))
        return f"{self.owner.id}[{ast.unparse(self.key)}] = {made}"


def found(node: ast.AST) -> Change | None:
    """Return the change of a list within another value that an expression makes; None if none."""
    match node:
        case ast.Call(ast.Attribute(value=holder, attr=method), [item], []) if method in _METHODS:
            if isinstance(item, ast.Starred):
                return None
        case _:
            return None
    if method == "extend":
        item = ast.copy_location(ast.Starred(item, ast.Load()), item)
    match holder:
        case ast.Subscript(ast.Name() as owner, key) if not isinstance(key, ast.Slice):
            return Change(owner, key, None, item)
        case ast.Call(
            ast.Attribute(value=ast.Name() as owner, attr="setdefault"),
            [key, ast.List() as default],
            [],
        ):
            return Change(owner, key, default, item)
    return None


def change(frame: Frame, node: ast.Call) -> bool:
    """Lower ``groups[k].append(x)`` and its like; return False for any other call."""
    made = found(node)
    if made is None or not is_local(frame, made.owner.id):
        return False
    name = made.owner.id
    frame.used.add(name)
    binding = frame.scope.names.get(name)
    if not isinstance(binding, Accumulated):
        return _refuse(frame, node, made)
    held = frame.scope.cells[binding.cell]
    if made.default is not None and not held.is_dict:
        return False  # a list has no such method
    place = _Uses(frame.function.node, name).problem()
    if frame.depth > held.depth and not frame.building.only_computes:
        _refuse_parallel(frame, node, made)
    elif frame.depth and not held.is_dict:
        _refuse_list(frame, node, made)
    elif place is not None:
        _refuse_shared(frame, node, made, place)
    else:
        _lower(frame, node, made)
        return True
    accumulators.append(frame, binding, poison(frame.span(node)), node)
    return True


def augment(frame: Frame, node: ast.AugAssign) -> None:
    """Lower ``d[key] += value``: of a list it changes the list, whatever else its name is."""
    target = node.target
    assert isinstance(target, ast.Subscript)  # noqa: S101 - the caller has looked
    loaded = ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
    left, right = expression(frame, loaded), expression(frame, node.value)
    if left.type.name == "list" and isinstance(target.value, ast.Name):
        item: ast.expr = ast.Starred(node.value, ast.Load())
        if isinstance(node.value, ast.List) and len(node.value.elts) == 1:
            item = node.value.elts[0]
        place = _Uses(frame.function.node, target.value.id).other_name()
        if place is not None:
            _refuse_shared(frame, node, Change(target.value, target.slice, None, item), place)
            right = poison(frame.span(node))
    accumulators.set_item(frame, target, arithmetic(frame, node, node.op, left, right))


def _lower(frame: Frame, node: ast.Call, made: Change) -> None:
    """Lower the change as an assignment; the key and the item are evaluated once."""
    starred = made.item if isinstance(made.item, ast.Starred) else None
    written = made.item if starred is None else starred.value
    key = frame.keep(expression(frame, made.key), "key")
    item = frame.keep(expression(frame, written), "item")
    frame.scope.names |= {_KEY: key, _ITEM: item}
    name = ast.copy_location(ast.Name(_ITEM, ast.Load()), written)
    given = name if starred is None else ast.Starred(name, ast.Load())
    index = ast.copy_location(ast.Name(_KEY, ast.Load()), made.key)
    items = replace(made, item=given).item_list(index)
    value = expression(frame, ast.fix_missing_locations(ast.copy_location(items, node)))
    if not _replace(frame, node, made.owner.id, (key, value)):
        target = ast.copy_location(ast.Subscript(made.owner, index, ast.Store()), node)
        accumulators.set_item(frame, target, value)
    del frame.scope.names[_KEY], frame.scope.names[_ITEM]


def _replace(frame: Frame, node: ast.Call, name: str, given: tuple[Lowered, Lowered]) -> bool:
    """Put a value in the place of an item of a dict whose keys are known; return False if not so.

    Else what the dict held before would be written out beside it, in each round.
    """
    binding = frame.scope.names[name]
    assert isinstance(binding, Accumulated)  # noqa: S101 - as the caller has seen
    (key, value), span = given, frame.span(node)
    held = frame.scope.cells[binding.cell]
    if not held.is_dict or frame.depth != held.depth or not key.is_static or value.parts is None:
        return False
    pairs = known_pairs(flow.value_of(held, span), span)
    if pairs is None or any(not each.is_static for each, _ in pairs):
        return False
    accumulators.append(frame, binding, display("list", (), span), node)  # it may not be changed
    items = {each.static: (each, item) for each, item in pairs}
    items[key.static] = (key, replace(value, fresh=False, cell=None))
    rows = tuple(display("tuple", pair, span) for pair in items.values())
    shared = frame.scope.cells[binding.cell].shared
    frame.scope.cells[binding.cell] = replace(
        held, frames=((display("list", rows, span),),), shared=shared
    )
    return True


def _refuse(frame: Frame, node: ast.Call, made: Change) -> bool:
    owner, name = expression(frame, made.owner), made.owner.id
    way_out = f"start with a dict of your own (`{name} = {{}}`): `{made.text()}`"
    accumulators.report_not_own(frame, node, owner, f"a list in `{name}`", way_out)
    return True


def _refuse_parallel(frame: Frame, node: ast.Call, made: Change) -> None:
    pair = f"({ast.unparse(made.key)}, {ast.unparse(made.item)})"
    frame.reports.error(
        "loop-carried",
        frame.span(node),
        f"the iterations of this loop run at the same time: none has what others put into "
        f"`{made.owner.id}`",
        help=f"append pairs in this loop, `pairs.append({pair})`, and group them in a second one: "
        "a loop that calls no step runs in order",
    )


def _refuse_list(frame: Frame, node: ast.Call, made: Change) -> None:
    name = made.owner.id
    frame.reports.error(
        "shared-list",
        frame.span(node),
        "a list within a list cannot be changed in a loop of the run",
        help=f"use a dict of lists: `{name} = {{}}`, and `{name}.setdefault(key, []).append(x)`",
    )


def _refuse_shared(frame: Frame, node: ast.AST, made: Change, place: ast.AST) -> None:
    is_made = isinstance(getattr(place, "ctx", None), ast.Store)
    label = "may hold lists that have other names" if is_made else "is used here"
    frame.reports.error(
        "shared-list",
        frame.span(node),
        "this may change a list that is used elsewhere too",
        labels=(Label(frame.span(place), f"`{made.owner.id}` {label}"),),
        help=f"make a new list: `{made.text()}`",
    )


class _Uses:
    """The uses of a name in a function, each with the syntax that it is in, the outermost first."""

    def __init__(self, function: m.FunctionNode, name: str) -> None:
        self.made: list[tuple[ast.AST, ...]] = []  #: assignments of a value made of new lists
        self.changed: list[tuple[ast.AST, ...]] = []
        self.read: list[tuple[ast.AST, ...]] = []
        self.other: list[tuple[ast.AST, ...]] = []
        for use in _uses(function, name):
            group = self._group(use)
            if group is not None:
                group.append(use)

    def _group(self, use: tuple[ast.AST, ...]) -> list[tuple[ast.AST, ...]] | None:
        match use[-3:]:
            case (*_, ast.Assign([target], value=value), name) if target is name:
                return self.made if _is_made_of_new(value) else self.other
            case (*_, ast.AnnAssign(value=ast.expr() as value), ast.Name(ctx=ast.Store())):
                return self.made if _is_made_of_new(value) else self.other
            case (ast.Assign([_], value=value), ast.Subscript(ctx=ast.Store()), _):
                return self.changed if _is_new(value) else self.other
            case (ast.AugAssign(), ast.Subscript(ctx=ast.Store()), _):
                return self.changed
            case (*_, ast.Name(ctx=ast.Store() | ast.Del())):
                return self.other
            case (*_, ast.Compare(left=left, ops=[ast.In() | ast.NotIn()]), name):
                return self.read if left is name else None
            case (*_, ast.Call(func=ast.Name(id="len")), _):
                return None
        changes = (made for each in use if (made := found(each)) is not None)
        return self.changed if any(made.owner is use[-1] for made in changes) else self.read

    def other_name(self) -> ast.AST | None:
        """Return a use by which a list in the value has another name; None without.

        It was put in under that name, or was given one before the last change.
        """
        if self.other:
            return self.other[0][-1]
        last = max(map(_position, self.changed))
        for use in self.read:
            is_named = isinstance(use[-2], ast.Subscript) and isinstance(use[-3], ast.Assign)
            loops = [each for each in use if isinstance(each, ast.For)]
            is_repeated = any(loop in each for each in self.changed for loop in loops)
            if is_named and (is_repeated or _position(use) < last):
                return use[-1]
        return None

    def problem(self) -> ast.AST | None:
        """Return a use by which a list may have another name when it is changed; None without."""
        if self.other or len(self.made) != 1:
            return [*self.other, *self.made, *self.changed][0][-1]
        parent, made, _ = self.made[0][-3:]
        later = _behind(parent, made)
        last = max(map(_position, self.changed))
        for use in (*self.changed, *self.read):
            if not any(statement in use for statement in later):
                return use[-1]
        depth = len(self.made[0]) - 2
        for use in self.read:
            loops = [each for each in use[depth:] if isinstance(each, ast.For)]
            is_repeated = any(loop in each for each in self.changed for loop in loops)
            if is_repeated or _position(use) < last:
                return use[-1]
        return None


def _uses(function: m.FunctionNode, name: str) -> Iterator[tuple[ast.AST, ...]]:
    """Yield the places where a function has a name, each below the syntax that it is in."""
    stack: list[tuple[ast.AST, ...]] = [(function, each) for each in function.body]
    while stack:
        around = stack.pop()
        node = around[-1]
        if isinstance(node, ast.Name) and node.id == name:
            yield around
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stack += [(*around, each) for each in ast.iter_child_nodes(node)]


def _position(use: tuple[ast.AST, ...]) -> tuple[int, int]:
    node = use[-1]
    assert isinstance(node, ast.Name)  # noqa: S101 - it is a use of a name
    return node.lineno, node.col_offset


def _behind(parent: ast.AST, statement: ast.AST) -> list[ast.stmt]:
    """Return what follows a statement in its block."""
    for _, block in ast.iter_fields(parent):
        if isinstance(block, list) and statement in block:
            return block[block.index(statement) + 1 :]
    return []


def _is_made_of_new(value: ast.expr) -> bool:
    """Return whether a dict or list has only lists that nothing else has."""
    match value:
        case ast.Dict(values=values) | ast.List(elts=values):
            return None not in getattr(value, "keys", ()) and all(map(_is_new, values))
        case ast.DictComp(value=item) | ast.ListComp(elt=item):
            return _is_new(item)
        case ast.Call(ast.Name(id="dict" | "list"), [], []):
            return True
    return False


def _is_new(value: ast.expr) -> bool:
    return isinstance(value, ast.List | ast.ListComp | ast.Constant)
