"""The names of classes in trees, and the only way from such a name back to the class.

Loading never imports a module because a tree names it, unless the module is one of the program:
otherwise it must have been imported already, which is the step's own doing.
"""

from __future__ import annotations

import sys

from levada.artifact import CorruptArtifact, MaterializerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_modules: Container[str] = ()


def set_program(modules: Container[str]) -> None:
    """Say which modules may be imported to load a value: see `levada.program_modules`."""
    global _modules
    _modules = modules


def type_name(cls: type) -> str:
    """Give ``module:qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def builtin_base(cls: type) -> type:
    """Give the builtin (or other C) class that a class is made from."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def importable_name(cls: type) -> str:
    """Give ``module:qualname`` of a class that this name finds again.

    Raises MaterializerError for a class of ``__main__`` or one that is made inside a function.
    """
    name = type_name(cls)
    if cls.__module__ == "__main__":
        raise MaterializerError(
            f"the class {cls.__qualname__} is defined in __main__, so no other process can find"
            " it; define it in a module that the step imports"
        )
    if _find(sys.modules.get(cls.__module__), cls.__qualname__) is not cls:
        raise MaterializerError(
            f"the class {name} is not found under its own name, so its values cannot be loaded;"
            " define it at the top of a module (or inside a class there), not inside a function"
        )
    return name


def find_class(name: object) -> type:
    """Give the class of ``module:qualname``, without executing anything but a program's module."""
    if not isinstance(name, str) or name.count(":") != 1:
        raise CorruptArtifact(f"{str(name)[:200]!r} is not the name of a class")
    module, _, qualname = name.partition(":")
    if module not in sys.modules and module in _modules:
        __import__(module)
    if module not in sys.modules or module == "__main__":
        raise MaterializerError(
            f"a value of {name} cannot be loaded here: {module} is neither imported nor a module"
            " that the pipeline's file imports, directly or through others; import it in the module"
            " of the step that takes the value"
        )
    found = _find(sys.modules[module], qualname)
    if not isinstance(found, type):
        raise MaterializerError(
            f"there is no class {qualname} in {module} any more, but a stored value names it; run"
            " the step that made the value again"
        )
    return found


def _find(module: object, qualname: str) -> object:
    """Follow a dotted name through ``__dict__``s: a ``__getattr__`` or a property is never run."""
    found = module
    for part in qualname.split("."):
        namespace = getattr(found, "__dict__", {})
        if found is not module and not isinstance(found, type):
            return None
        found = namespace.get(part)
    return found
