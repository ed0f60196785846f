"""The recurring runs that KFP makes of schedules, and what becomes of those of earlier versions.

A recurring run owns the workflows that it has started: when it is deleted, Kubernetes deletes those
that are not over, and KFP goes on calling them running. So one with such runs is only disabled, and
deleted by a deploy after their end.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from levada_compiler.client import OVER, Change

from .schedule import MOST_RUNS
from .step_states import run_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from .connection import Connection

_PAGE = 100
_DISABLED = "DISABLED"


class RecurringRuns:
    """Those of one pipeline. Whatever asks KFP raises ClientError."""

    def __init__(self, connection: Connection, namespace: str | None, pipeline: str) -> None:
        """``pipeline`` is the name of the pipeline, and theirs."""
        self._kfp = connection
        self._namespace = namespace
        self._pipeline = pipeline

    def settle(
        self, version: str | None, schedule: str, make: Callable[[], None], *, dry_run: bool
    ) -> Iterator[Change]:
        """Have one of this version and schedule and no other; gives each with what became of it.

        ``make`` makes it. One that somebody has disabled stays so, unless another one is at work.
        """
        found = self._listed()
        right = [one for one in found if schedule and _is_of(one, version, schedule)]
        kept = min(right, key=_is_disabled, default=None)
        others = [one for one in found if one is not kept]
        if schedule and kept is None:
            if not dry_run:
                make()
            yield Change(f"recurring run {self._pipeline} ({schedule})", "new")
        elif kept is not None:
            yield self._kept(kept, replaces=not all(map(_is_disabled, others)), dry_run=dry_run)
        for one in others:
            yield self._retired(one, dry_run=dry_run)

    def _kept(self, one: Any, *, replaces: bool, dry_run: bool) -> Change:
        if not (replaces and _is_disabled(one)):
            return _change(one, "unchanged")
        if not dry_run:
            identity = str(one.recurring_run_id)
            self._kfp.ask(lambda: self._kfp.client.enable_recurring_run(identity))
        return _change(one, "changed", "enabled again")

    def _retired(self, one: Any, *, dry_run: bool) -> Change:
        identity = str(one.recurring_run_id)
        if not self._has_unfinished(one):
            if not dry_run:
                self._kfp.ask(lambda: self._kfp.client.delete_recurring_run(identity))
            return _change(one, "removed")
        left = "a deploy after the end of its runs removes it"
        if _is_disabled(one):
            return _change(one, "unchanged", f"disabled: {left}")
        if not dry_run:
            self._kfp.ask(lambda: self._kfp.client.disable_recurring_run(identity))
        return _change(one, "changed", f"disabled: {left}")

    def _has_unfinished(self, one: Any) -> bool:
        runs = self._kfp.listed(
            "runs",
            lambda token: self._kfp.client.list_runs(
                page_token=token,
                page_size=_PAGE,
                sort_by="created_at desc",
                experiment_id=one.experiment_id,
            ),
        )
        own = (run for run in runs if run.recurring_run_id == one.recurring_run_id)
        return any(run_status(run) not in OVER for run in own)

    def make(
        self,
        of: tuple[str, str],
        experiment: str,
        schedule: str,
        settings: Mapping[str, Any],
        account: str | None,
    ) -> None:
        """Make that of a pipeline and a version of it, by their ids."""
        pipeline, version = of
        start = settings.get("start_date")
        self._kfp.ask(
            lambda: self._kfp.client.create_recurring_run(
                experiment,
                self._pipeline,
                cron_expression=schedule,
                start_time=_utc(start, settings.get("timezone") or "UTC") if start else None,
                no_catchup=not settings.get("catchup"),
                max_concurrency=min(settings.get("max_active_runs") or 1, MOST_RUNS),
                params={},
                pipeline_id=pipeline,
                version_id=version,
                service_account=account,
            )
        )

    def _listed(self) -> list[Any]:
        listed = self._kfp.listed(
            "recurring_runs",
            lambda token: self._kfp.client.list_recurring_runs(
                page_token=token, page_size=_PAGE, namespace=self._namespace
            ),
        )
        return [one for one in listed if one.display_name == self._pipeline]


def _is_of(one: Any, version: str | None, schedule: str) -> bool:
    return one.pipeline_version_reference.pipeline_version_id == version and _cron(one) == schedule


def _is_disabled(one: Any) -> bool:
    return str(one.status) == _DISABLED


def _cron(one: Any) -> str:
    return str(one.trigger.cron_schedule.cron) if one.trigger.cron_schedule else ""


def _change(one: Any, status: str, note: str = "") -> Change:
    return Change(f"recurring run {one.display_name} ({_cron(one)})", status, note)


def _utc(date: str, zone: str) -> str:
    """A time in UTC; one without a zone is of this one."""
    found = datetime.fromisoformat(date)
    aware = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
