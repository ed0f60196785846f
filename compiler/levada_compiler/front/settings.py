"""Settings of steps, pipelines and calls, evaluated from constants as the runtime would."""

from __future__ import annotations

import json

from levada import declarations

from ..lowering.advice import did_you_mean, report_not_constant
from ..program.ir import Setting
from ..slotted import dataclass
from . import cron
from .constants import Folder, NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports
    from . import modules as m


@dataclass(frozen=True, slots=True)
class Holder:
    """What may have settings: its table in ``levada.declarations``, and how to call it."""

    kind: str
    title: str


STEP: Final = Holder("step", "a step")
PIPELINE: Final = Holder("pipeline", "a pipeline")
CALL: Final = Holder("step", "`options`")


def folder(modules: m.Modules, module: m.Module) -> Folder:
    """What evaluates the settings written in ``module``."""
    return Folder(modules, module, CONSTRUCTORS)


def read(call: ast.Call, folder: Folder, holder: Holder, reports: Reports) -> tuple[Setting, ...]:
    """The settings of ``@step(…)``, ``@pipeline(…)`` or ``.options(…)``, sorted by name."""
    for argument in call.args:
        reports.error(
            "unknown-setting",
            folder.module.span(argument),
            f"{holder.title} takes its settings by name",
            help="write `name=value`",
        )
    found = [
        setting
        for keyword in call.keywords
        for setting in _keyword(keyword, folder, holder, reports)
    ]
    _check_variables(found, reports)
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


def _keyword(
    keyword: ast.keyword, folder: Folder, holder: Holder, reports: Reports
) -> list[Setting]:
    span = folder.module.span(keyword)
    try:
        value = folder.fold(keyword.value)
    except NotConstantError as error:
        place = (error.module or folder.module).span(error.node)
        report_not_constant(reports, error, place)
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


def _setting(
    name: str, value: object, span: Span, holder: Holder, reports: Reports
) -> list[Setting]:
    known = declarations.SETTINGS[holder.kind]
    if name not in known:
        _report_unknown(name, span, holder, reports)
        return []
    try:
        meaning = declarations.setting_as_json(holder.kind, name, value)  # type: ignore[arg-type]
        _check(name, meaning)
        text = json.dumps(
            meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
    except (TypeError, ValueError) as error:
        reports.error(
            "invalid-setting",
            span,
            str(error),
            help=EXPECTED.get(name, f"see the settings of {holder.title} in docs/contracts.md"),
        )
        return []
    return [Setting(name, text, span)]


def _report_unknown(name: str, span: Span, holder: Holder, reports: Reports) -> None:
    known = declarations.SETTINGS[holder.kind]
    other = "pipeline" if holder.kind == "step" else "step"
    listed = f"it has {', '.join(f'`{item}`' for item in sorted(known))}"
    if name in declarations.SETTINGS[other]:
        listed = f"`{name}` is a setting of a {other}"
    reports.error(
        "unknown-setting",
        span,
        f"{holder.title} has no setting `{name}`",
        help=did_you_mean(name, known, listed)
        if name not in declarations.SETTINGS[other]
        else listed,
    )


#: What a setting should look like, for the help of a diagnostic.
EXPECTED: Final = {
    "resources": 'write `Resources(cpu=2, memory="4Gi")`',
    "retry": "write `retry=3` or `Retry(3, delay=10)`",
    "timeout": 'write seconds, `"90s"`, `"15m"`, `"2h"` or `"1d"`',
    "environment": 'write `environment={"NAME": "value"}`',
    "secrets": 'write `secrets={"TOKEN": "name/key"}` or `secrets=["TOKEN"]`',
    "volumes": 'write `volumes=[Volume("claim", "/path")]`',
    "requirements": 'write `requirements=["pandas>=2"]`',
    "files": 'write `files=["data/*.csv"]`, relative to the project',
    "node_selector": 'write `node_selector={"label": "value"}`',
    "schedule": 'write five fields: minute, hour, day of month, month, day of week (`"0 6 * * *"`)',
    "timezone": 'write an IANA name such as `"Europe/Lisbon"`',
    "start_date": 'write an ISO date such as `"2026-01-31"`, or `date(2026, 1, 31)`',
    "tags": 'write `tags=["name"]`',
    "cache": "write `cache=True` or `cache=False`",
    "on_failure": 'write `on_failure="module:function"`',
    "on_sla_miss": 'write `on_sla_miss="module:function"`',
    "sla": 'write seconds, `"90s"`, `"15m"`, `"2h"` or `"1d"`',
    "produces": 'write `produces=["s3://bucket/model"]`',
    "consumes": 'write `consumes=["s3://bucket/model"]`',
    "triggered_by": 'write `triggered_by=["s3://bucket/model"]`',
}


# ---------------------------------------------------------------------------- values


def _check(name: str, meaning: object) -> None:
    """What an engine would refuse later, beyond the types. Raises ValueError."""
    check = CHECKS.get(name)
    if check is not None and meaning is not None:
        check(meaning)


def _check_timezone(value: object) -> None:
    import zoneinfo

    known = zoneinfo.available_timezones()
    text = str(value)
    # Without a time zone database on this machine nothing can be said about the name.
    if known and text not in known:
        raise ValueError(f"`{text}` is not a time zone. {did_you_mean(text, known)}".rstrip(". "))


def _check_date(value: object) -> None:
    import datetime

    try:
        datetime.datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"`{value}` is not an ISO date") from error


def _check_environment(value: object) -> None:
    for name, text in value.items() if isinstance(value, dict) else ():
        if "=" in name or "\0" in name or "\0" in str(text):
            raise ValueError(f"`{name!r}` cannot be a variable of the environment")


def _check_schedule(value: object) -> None:
    cron.check(str(value))


CHECKS: Final[dict[str, Callable[[object], None]]] = {
    "environment": _check_environment,
    "schedule": _check_schedule,
    "secrets": _check_environment,
    "start_date": _check_date,
    "timezone": _check_timezone,
}


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
            why = str(error).replace(".__init__()", "")
            raise NotConstantError(node, why, "invalid-setting", folder.module) from error

    return construct


CONSTRUCTORS: Final = {
    f"{module}.{make.__name__}": _constructor(make)
    for module in ("levada", "levada.declarations")
    for make in (
        declarations.Resources,
        declarations.Retry,
        declarations.Secret,
        declarations.Volume,
    )
}
