"""The logs of pods, from KFP's API or from the server of its UI.

The API wants a pod's name, and once the pod is gone the id of its node. A KFP for one user asks for
a pod in no namespace, and answers that there is none (``getNamespaceFromRunId`` in
``backend/src/apiserver/resource/resource_manager.go``); there its UI, which most have as ``host``,
has the logs.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from levada.command import FAILED, PERMANENT
from levada_compiler.client import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .connection import Connection

_ERROR = "error_message"
#: A line of KFP's launcher, which runs the step: its level, its process, where it is written.
_LAUNCHER = re.compile(r"([IWEF])\d{4} [\d:.]+ +(\d+) \w+\.go:\d+\] ?(.*)")
_FIRST = "input ComponentSpec:"
#: It is written for each artifact whose value is in Levada's store, and not in a file of KFP's.
_NO_FILE = re.compile(r'Local filepath ".*" does not exist$')
#: A step that failed has written why; what was killed, or ended with another status, has not.
_STEP_FAILED = re.compile(rf"failed to execute component: exit status ({FAILED}|{PERMANENT})$")
#: Argo's, around the launcher.
_EXITED = re.compile(r'time="[^"]*" level=info msg="sub-process exited"')


class PodLogs:
    """Those of one KFP, with what is known of how it can be asked."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        """``namespace`` is where the pods are."""
        self._kfp = connection
        self._namespace = namespace
        #: The servers that may know logs; the first that does is the only one from then on.
        self._servers: tuple[Callable[[str, str], str], ...] = (self._of_api, self._of_ui)

    def lines(self, run_id: str, names: Sequence[str]) -> list[str]:
        """What the step wrote, in the pod that has one of these names. Raises ClientError.

        What KFP and Argo write around it is left out, unless it is about something that went wrong.
        """
        refused = None
        for server in self._servers:
            for name in names:
                try:
                    found = self._ask(server(run_id, name))
                except ClientError as error:
                    refused = refused or error
                else:
                    self._servers = (server,)
                    return list(_own(found.splitlines()))
        raise refused or ClientError("its pod is not known")

    def _of_api(self, run_id: str, name: str) -> str:
        return f"/apis/v1alpha1/runs/{run_id}/nodes/{name}/log"

    def _of_ui(self, run_id: str, name: str) -> str:
        of = {"podname": name, "runid": run_id, "podnamespace": self._namespace}
        return f"/k8s/pod/logs?{urlencode(of)}"

    def _ask(self, path: str) -> str:
        """The text, which the client would take apart if it were one line of JSON."""
        client = self._kfp.client._run_api.api_client
        answer: Any = self._kfp.ask(
            lambda: client.call_api(
                path,
                "GET",
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _preload_content=False,
            )
        )
        text = bytes(answer.data).decode(errors="replace")
        if text.lstrip()[:14].lower() == "<!doctype html":
            raise ClientError("the answer is a page, and no log")
        if error := _error(text):
            raise ClientError(error)
        return text


def _own(lines: Iterable[str]) -> Iterator[str]:
    """The lines without what the launcher says of its work, and the JSON that it says it with."""
    launcher = failed = ""
    is_inside = False
    for line in lines:
        if is_inside or (failed and line == f"Error: exit status {failed}"):
            is_inside = is_inside and line != "}"
            continue
        found = _LAUNCHER.match(line)
        if found and not launcher and found[3].startswith(_FIRST):
            launcher = found[2]
        if not (found and found[2] == launcher):
            if not (launcher and _EXITED.match(line)):
                yield line
        elif found[1] == "I":
            is_inside = line.endswith("{")
        elif step := _STEP_FAILED.match(found[3]):
            failed = step[1]
        elif not _NO_FILE.match(found[3]):
            yield line


def _error(text: str) -> str:
    """What is wrong: the API says that in the text, as if all went well."""
    if not text.startswith("{"):
        return ""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return str(found[_ERROR]) if set(found) == {_ERROR, "error_details"} else ""
