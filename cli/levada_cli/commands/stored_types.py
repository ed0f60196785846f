"""What the declared results of steps are stored with, told from the source of a project.

Nothing is imported, so what is not certain is left out: a false alarm would keep a run from
starting.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, TypedDict

from levada.regular_files import regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TypeAlias

    from levada_compiler.program.ir import Program, Step

    from .front import Checked

    class Kept(TypedDict):
        """Of a step: classes and the packages that they are stored with, and classes that nothing
        stores without a pickle.
        """  # noqa: D205

        packages: list[tuple[str, str]]
        plain: list[str]

    StoredTypes: TypeAlias = Mapping[str, Kept]

#: A project that speaks of materializers may have its own for any class.
_MAKES_FORMATS = "materializers"


def stored_types(program: Program, checked: Checked) -> dict[str, Kept]:
    """Return it for the steps of a program of which there is something to say."""
    from levada_backends.images.flow import FORMATS

    classes = {step.key: sorted(_classes(step)) for step in program.steps if not step.container}
    if not any(classes.values()):
        return {}
    texts = list(_texts(checked))
    if _has_installed_formats() or any(_MAKES_FORMATS in text for text in texts):
        return {}
    plain = _plain_classes(checked, {name for names in classes.values() for name in names}, texts)
    found: dict[str, Kept] = {}
    for key, names in classes.items():
        packages = [(n, p) for n in names for p in FORMATS.get(n.partition(".")[0], ())]
        own = [name.partition(":")[2] for name in names if name in plain]
        if packages or own:
            found[key] = {"packages": packages, "plain": own}
    return found


def _classes(step: Step) -> set[str]:
    """The classes in what a step returns: ``module:Class`` of the project, else dotted."""
    from levada_backends.images.flow import classes

    types = (step.returns, *(output.type for output in step.outputs))
    return {name for each in types for name in classes(each)}


def _texts(checked: Checked) -> Iterator[str]:
    """The modules that the compiler has read."""
    for path in checked.files:
        if path.endswith(".py"):
            try:
                with open(path, encoding="utf-8", errors="replace", opener=regular) as file:
                    yield file.read()
            except OSError:
                continue


def _plain_classes(checked: Checked, names: set[str], texts: list[str]) -> set[str]:
    """Those of the names that are classes of the project without bases and decorators.

    An instance of such a class is no dataclass, named tuple, enumeration or model. One that another
    class derives from may stand for that.
    """
    return {
        name
        for name in names
        if ":" in name and _is_plain(checked, *name.split(":", 1)) and not _has_heirs(name, texts)
    }


def _is_plain(checked: Checked, module: str, name: str) -> bool:
    path = checked.project.locate(module)
    if path is None or not path.endswith(".py"):
        return False
    try:
        with open(path, "rb", opener=regular) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    is_bound_again = any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(tree)
    )
    return len(found) == 1 and not is_bound_again and not _has_more(found[0])


def _has_more(node: ast.ClassDef) -> bool:
    """Whether a class may be more than it looks: by bases, decorators or hooks."""
    return bool(node.bases or node.keywords or node.decorator_list)


def _has_heirs(name: str, texts: list[str]) -> bool:
    own = re.escape(name.rpartition(":")[2])
    derived = re.compile(rf"class\s+\w+\s*\([^)]*\b{own}\b")
    return any(derived.search(text) for text in texts)


def _has_installed_formats() -> bool:
    """Whether an installed distribution stores values of its own, of whatever classes."""
    from importlib.metadata import entry_points

    return bool(entry_points(group="levada.materializers"))
