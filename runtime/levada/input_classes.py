"""The classes of a step's input values, and digests of their code.

A step may call any method of an input without naming its class: what it does depends on the
class's code, which the producer's module has and the step's own code need not reach.
"""

from __future__ import annotations

import sys

from levada import environment
from levada.artifact import CorruptArtifact
from levada.store import StoreError
from levada.trees.canonical import artifact_of, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from levada.artifact import Artifact
    from levada.code import Code
    from levada.request import StepRequest
    from levada.store import Store
    from levada.trees.tree_types import Content, Tree

#: The tags of trees that name a class.
_TAGS = ("$dataclass", "$enum", "$flag", "$made", "$namedtuple", "$pydantic")
#: The code of the run that was asked about last: all its steps have the same modules.
_codes: dict[str, Code] = {}


def names(trees: Iterable[Tree], store: Store) -> list[str]:
    """Return ``module:qualname`` of the classes in some trees, sorted, Python's own left out.

    Of a value that is not in the store, or damaged there, no class is known.

    Of a pickle it is the class of the whole; what is in it is not known before it is loaded.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    pending = list(trees)
    while pending:
        tree = pending.pop()
        leaf = artifact_of(tree)
        if leaf is not None and leaf.is_tree:
            if leaf.digest in seen:
                continue
            seen.add(leaf.digest)
            pending.append(_tagged(leaf, store))
        elif leaf is not None:
            found[leaf.type] = None
        elif isinstance(tree, list):
            pending += tree
        elif isinstance(tree, dict):
            tag = next(iter(tree), "")
            content = tree.get(tag)
            if tag in _TAGS and isinstance(content, list) and content:
                found[str(content[0])] = None
            pending += tree.values()
    return sorted(name for name in found if _is_outside(name))


def _tagged(leaf: Artifact, store: Store) -> Content:
    """Return the tree of a leaf if classes may be named in it."""
    try:
        data = store.read_blob(leaf.digest)
        has_tags = any(f'"{tag}"'.encode() in data for tag in (*_TAGS, "$artifact"))
        return parse(data) if has_tags else None
    except (CorruptArtifact, StoreError):  # the attempt says so when it loads the value
        return None


def digest(name: str, request: StepRequest) -> str:
    """Return the digest of the code of a class.

    It is that of all of the project that the class reaches, or of the distributions that it is of.
    """
    module, _, qualname = name.partition(":")
    code = _code(request)
    path = code.project.locate(module)
    if path is None or not path.endswith(".py"):
        return str(environment.describe([module], [])["digest"])
    try:
        return code.step(path, qualname.partition(".")[0]).digest
    except (LookupError, OSError, SyntaxError):  # loading the value says what is wrong
        return "unknown"


def _code(request: StepRequest) -> Code:
    key = f"{request.run_id}\0{request.project}\0{request.roots}"
    if key not in _codes:
        from levada.code import Code
        from levada.project import Project

        _codes.clear()
        _codes[key] = Code(Project(request.project, request.roots))
    return _codes[key]


def _is_outside(name: str) -> bool:
    top = name.partition(":")[0].partition(".")[0]
    return bool(top) and top not in sys.stdlib_module_names and top != "builtins"
