"""Settings of steps, pipelines and calls, evaluated from constants as the runtime would.

What each setting is stands in :mod:`levada.settings`.
"""

from __future__ import annotations

import json

from levada.settings import (
    CALL,
    HOLDERS,
    PIPELINE,
    SETTINGS,
    STEP,
    Resources,
    Retry,
    Secret,
    Volume,
    setting_as_json,
    settings_of,
)

from ..diagnostics.reports import did_you_mean
from ..program.ir import Setting
from . import callbacks, other_tools
from .constants import Folder, report
from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from . import modules as m

__all__ = ["CALL", "PIPELINE", "STEP", "folder", "read"]


def folder(modules: m.Modules, module: m.Module) -> Folder:
    """What evaluates the settings written in ``module``."""
    return Folder(modules, module, CONSTRUCTORS)


def read(call: ast.Call, folder: Folder, holder: str, reports: Reports) -> tuple[Setting, ...]:
    """The settings of ``@step(…)``, ``@pipeline(…)`` or ``.options(…)``, sorted by name."""
    for argument in call.args:
        reports.error(
            "unknown-setting",
            folder.module.span(argument),
            f"{HOLDERS[holder]} takes its settings by name",
            help="write `name=value`",
        )
    found = [
        setting
        for keyword in call.keywords
        for setting in _keyword(keyword, folder, holder, reports)
    ]
    _check_variables(found, reports)
    callbacks.check(found, folder.modules, reports)
    return tuple(sorted(found, key=lambda setting: setting.name))


def _check_variables(found: Sequence[Setting], reports: Reports) -> None:
    """A variable has one value: that of a secret would be hidden without a word."""
    named = {setting.name: setting for setting in found}
    if "environment" not in named or "secrets" not in named:
        return
    plain = json.loads(named["environment"].value)
    for variable in json.loads(named["secrets"].value):
        if variable in plain:
            reports.error(
                "invalid-setting",
                named["secrets"].span,
                f"`{variable}` is in `environment` too, and can have one value only",
                help="remove it from one of them",
            )


def _keyword(keyword: ast.keyword, folder: Folder, holder: str, reports: Reports) -> list[Setting]:
    span = folder.module.span(keyword)
    try:
        value = folder.fold(keyword.value)
    except NotConstantError as error:
        place = (error.module or folder.module).span(error.node)
        report(reports, error, place, _constructor_advice(error.node))
        return []
    if keyword.arg is not None:
        return _setting(keyword.arg, value, span, holder, reports)
    if not isinstance(value, dict):
        reports.error(
            "invalid-setting", span, "`**` needs a dict here", help="write the settings by name"
        )
        return []
    return [
        setting
        for name, item in value.items()
        for setting in _setting(str(name), item, span, holder, reports)
    ]


def _setting(name: str, value: object, span: Span, holder: str, reports: Reports) -> list[Setting]:
    if name not in settings_of(holder):
        _report_unknown(name, value, span, holder, reports)
        return []
    definition = SETTINGS[name]
    try:
        meaning = setting_as_json(holder, name, value)
        if definition.check is not None and meaning is not None:
            definition.check(meaning)
        text = json.dumps(
            meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
    except (TypeError, ValueError) as error:
        way_out = f"write `{name}={definition.example}`"
        reports.error("invalid-setting", span, str(error), help=way_out)
        return []
    return [Setting(name, text, span)]


def _owners(name: str) -> str:
    on = SETTINGS[name].on
    owners = [holder for holder in on if holder != CALL or STEP not in on]
    return " or ".join(HOLDERS[holder] for holder in owners)


def _report_unknown(name: str, value: object, span: Span, holder: str, reports: Reports) -> None:
    message = f"{HOLDERS[holder]} has no setting `{name}`"
    reports.error("unknown-setting", span, message, help=_advice(name, value, holder))


def _advice(name: str, value: object, holder: str) -> str:
    """What to write in place of a setting that does not exist: as other tools call it, or near."""
    known = settings_of(holder)
    if name in SETTINGS:
        return f"`{name}` is a setting of {_owners(name)}"
    written = other_tools.way_to_write(name, value)
    if written is not None:
        ours = written.partition("=")[0]
        place = "" if ours in known else f", on {_owners(ours)}"
        return f"write `{written}`{place}"
    listed = f"it has {', '.join(f'`{item}`' for item in sorted(known))}"
    return other_tools.other_way(name) or did_you_mean(name, known, listed)


# ---------------------------------------------------------------------------- constructors


def _constructor(make: Callable[..., object]) -> Callable[[ast.Call, Folder], object]:
    def construct(node: ast.Call, folder: Folder) -> object:
        arguments = [folder.fold(argument) for argument in node.args]
        keywords = {kw.arg: folder.fold(kw.value) for kw in node.keywords if kw.arg is not None}
        if any(kw.arg is None for kw in node.keywords):
            raise NotConstantError(node, "write the arguments by name", "invalid-setting")
        try:
            return make(*arguments, **keywords)
        except (TypeError, ValueError, OverflowError) as error:
            # Which keyword was meant is said by later versions of Python only.
            why = str(error).replace(".__init__()", "").partition(". Did you mean")[0]
            raise NotConstantError(node, why, "invalid-setting", folder.module) from error

    return construct


def _constructor_advice(node: ast.AST) -> str:
    """How a constructor is called that was called otherwise; empty for anything else."""
    called = getattr(node, "func", None)
    written = CALLS.get(getattr(called, "attr", getattr(called, "id", "")))
    return f"write `{written}`" if written else ""


CALLS: Final = {
    "Resources": SETTINGS["resources"].example,
    "Retry": SETTINGS["retry"].example,
    "Secret": 'Secret("name", "key")',
    "Volume": 'Volume("claim", "/path")',
}


CONSTRUCTORS: Final = {
    f"{module}.{make.__name__}": _constructor(make)
    for module in ("levada", "levada.settings")
    for make in (Resources, Retry, Secret, Volume)
}
