"""Steps that are declared within a pipeline: ``flow.clean`` is ``clean`` in the body of ``flow``.

Such a function exists only while its pipeline's function runs, which no task does. It uses no
local variable of the pipeline (the compiler refuses one that does), so its definition means the
same at the top level of the module: there it is run, decorators and defaults included.
"""

from __future__ import annotations

from levada import code, code_units

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable
    from types import ModuleType


def function_of(module: ModuleType, name: str) -> Callable[..., object] | None:
    """Define the function ``pipeline.step`` of an imported module and return it.

    None if the module's source does not have it. Raises what its decorators and defaults raise.
    """
    source = _source(module)
    if source is None:
        return None
    file = module.__file__ or module.__name__
    tree = code.parse(source, file)
    pipeline, _, function = name.partition(".")
    outer = code_units.nested_function(tree, pipeline)
    inner = code_units.nested_function(outer, function) if outer is not None else None
    if inner is None:
        return None
    tree.body = [*filter(_is_future, tree.body), inner]
    defined: dict[str, Callable[..., object]] = {}
    exec(compile(tree, file, "exec", dont_inherit=True), vars(module), defined)  # noqa: S102
    return defined[function]


def _source(module: ModuleType) -> str | None:
    """Return the text of a module, wherever it was imported from."""
    loader: object = getattr(module.__spec__, "loader", None)
    get_source = getattr(loader, "get_source", None)
    text: str | None = get_source(module.__name__) if get_source is not None else None
    return text


def _is_future(statement: ast.stmt) -> bool:
    return getattr(statement, "module", None) == "__future__"
