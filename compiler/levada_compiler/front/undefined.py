"""Names that nothing defines."""

from __future__ import annotations

from ..diagnostics.reports import closest, did_you_mean
from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports


def report(
    reports: Reports,
    modules: m.Modules,
    module: m.Module,
    node: ast.Name,
    span: Span,
    known: Iterable[str],
) -> None:
    """Report a name that nothing defines, or that its module does not have.

    ``known`` are names that are known at the place beside those of the module.
    """
    name = node.id
    binding = module.bindings.get(name)
    if isinstance(binding, m.Import) and binding.member is not None:
        owner = modules.load(binding.target)
        listed = owner.bindings if owner else ()
        message = f"`{binding.target}` has no `{binding.member}`"
        way_out = did_you_mean(binding.member, listed, f"define it in `{binding.target}`")
    else:
        own = [each for each in known if not each.startswith("$")]
        found = closest(name, (*module.bindings, *own))
        message = f"`{name}` is not defined"
        way_out = f"did you mean `{found}`?" if found else "import or define it before it is used"
    reports.error("undefined-name", span, message, help=way_out)
