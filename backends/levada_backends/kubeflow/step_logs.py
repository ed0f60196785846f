"""What steps wrote, and what only that says: why one failed, and that one had no item."""

from __future__ import annotations

import json
from contextlib import suppress

from levada.kubeflow import NO_ITEMS, RETURNED
from levada_compiler.client import STEP_OVER, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from levada_compiler.client import StepState

    from .pod_log import PodLogs

#: Of how many attempts the reason is asked for: each takes a request, and many fail alike.
_MOST_REASONS = 20
#: Stands for the pod of an attempt that KFP forgot.
UNKNOWN = "-"
_TRACEBACK = "Traceback (most recent call last):"


class StepLogs:
    """The logs of the steps of runs; what one said when it was over is remembered."""

    def __init__(self, pods: PodLogs) -> None:
        self._pods = pods
        self._for_nothing: dict[str, bool] = {}
        self._reasons: dict[str, str] = {}

    def lines(self, run_id: str, step: StepState, attempt: int) -> Sequence[str]:
        """The log of the attempt's pod, as far as KFP still has it."""
        names = pod_names(step, attempt)
        if not names:
            return []
        try:
            return self._pods.lines(run_id, names)
        except ClientError:
            if step.status in STEP_OVER:
                raise
            return []  # a pod that is about to start has none

    def is_for_nothing(self, run_id: str, step: StepState) -> bool:
        """Whether it says that its loop has no items: KFP does not tell which item it is."""
        if step.key not in self._for_nothing:
            found = NO_ITEMS in self._known_lines(run_id, step, step.attempt)
            if not found and step.status not in STEP_OVER:
                return False
            self._for_nothing[step.key] = found
        return self._for_nothing[step.key]

    def why(self, run_id: str, step: StepState, attempt: int) -> str:
        """The exception that ended an attempt, in a line; nothing if that is not known."""
        key = f"{step.key} {attempt}"
        if key not in self._reasons and len(self._reasons) < _MOST_REASONS:
            self._reasons[key] = exception(self._known_lines(run_id, step, attempt))
        return self._reasons.get(key, "")

    def returned(self, run_id: str, step: StepState) -> Any:
        """What the pipeline returned, as the task says that records it; None if it does not."""
        for line in self._known_lines(run_id, step, step.attempt):
            if line.startswith(RETURNED):
                with suppress(ValueError):  # a line that was cut off
                    return json.loads(line.removeprefix(RETURNED))
        return None

    def _known_lines(self, run_id: str, step: StepState, attempt: int) -> Sequence[str]:
        try:
            return self.lines(run_id, step, attempt)
        except ClientError:
            return []


def pod_names(step: StepState, attempt: int) -> list[str]:
    """What an attempt may be asked for by, its node first; [] if there is no such attempt."""
    pods = step.key.split()
    pod = pods[attempt - 1] if 0 < attempt <= len(pods) else UNKNOWN
    return [] if pod == UNKNOWN else pod.split(",")


def exception(lines: Sequence[str]) -> str:
    """What the last traceback ends with: its first line that is not indented."""
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    rest = lines[starts[-1] + 1 :] if starts else ()
    return next((line for line in rest if line and not line[0].isspace()), "")
