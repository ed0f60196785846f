"""What the pod of an attempt is to do: its request in the store, and where it is run."""

from __future__ import annotations

import json

from levada import cache, handover, records
from levada.engine import earlier
from levada.request import StepRequest
from levada.store import StoreError, digest_of

from . import environments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.engine import Attempt
    from levada.engine.run_context import RunContext


#: The fields of a request that another driver of the run may have filled in differently. A label
#: says less while the store cannot be read.
_LOOKED_UP = ("environment", "looked_up", "label")


class Requests:
    """Makes requests, and hands each over once: all drivers of the run go by what is there.

    Others may write to the store. A driver takes only the cache's answer from a request there: the
    rest must be equal to the request that this driver makes itself.

    ``driver`` is what the target says of the pipeline's Jobs (``levada.driver/1``); of the run
    ``retry_of``, if there is one, what succeeded is not run again.
    """

    def __init__(
        self, context: RunContext, driver: dict[str, Any], retry_of: str | None = None
    ) -> None:
        self._context = context
        self._store = context.store
        self._templates: dict[str, dict[str, Any]] = driver["templates"]
        self._jobs: dict[str, str] = driver["jobs"]
        self._retry_of = retry_of
        #: the digest of each attempt's request, when this driver read or wrote it
        self._digests: dict[Attempt, str] = {}

    def template(self, node: str) -> dict[str, Any]:
        """The Job of a node's attempts, without what differs between them."""
        return self._templates[self._jobs[node]]

    def image(self, node: str) -> str:
        """The image in which a node's attempts run."""
        pod = self.template(node)["spec"]["template"]["spec"]
        return str((pod.get("initContainers") or pod["containers"])[-1]["image"])

    def path(self, attempt: Attempt) -> str:
        """Where in the store the request is, once it is handed over."""
        return f"{self._context.attempt_folder(attempt)}/request.json"

    def of(self, attempt: Attempt) -> StepRequest:
        """What the attempt is to do, as its pod sees it: in the project that the image has."""
        request = self._context.request(attempt)
        request["project"] = "."
        request["step"]["source_roots"] = self._context.search
        return StepRequest.from_json(request)

    def looked_up(self, attempt: Attempt) -> tuple[StepRequest, cache.Lookup | None]:
        """The request, handed over with what is known of the same step with the same inputs."""
        content = self._handed_over(attempt)
        if content is None:
            request = self.of(attempt)
            content = self._hand_over(attempt, request, self._look_up(request))
        return handover.parse(content)

    def hand_over(self, attempt: Attempt) -> str:
        """Hand the request over, unless it was; gives the digest of what is in the store."""
        if attempt not in self._digests:
            self._hand_over(attempt, self.of(attempt), None)
        return self._digests[attempt]

    def _look_up(self, request: StepRequest) -> cache.Lookup | None:
        """What is known of the same step with the same inputs; of the image, if that is known.

        Of a run that this one tries again it is what succeeded there.
        """
        damage: list[str] = []
        if self._retry_of:
            before = earlier.look_up(self._store, request, self._retry_of)
            if before is not None and before.hit:
                return before
            damage = before.warnings if before else []
        if not self._context.use_cache or request.settings.get("cache") is False:
            return None
        request.environment = environments.known(self._store, self.image(request.node), request)
        if request.environment is None:
            return None
        found = cache.lookup(request, self._store, here=False)
        found.warnings = [*damage, *found.warnings]
        return None if found.is_open else found

    def _hand_over(
        self, attempt: Attempt, request: StepRequest, looked_up: cache.Lookup | None
    ) -> dict[str, Any]:
        """Write what the pod is to do, once; gives what is there then."""
        content = handover.content(request.as_json(), looked_up)
        if looked_up is not None and looked_up.hit:
            content["looked_up"]["entry"] = looked_up.entry
        data = json.dumps(content).encode()
        if not self._store.write_once(self.path(attempt), data):
            return self._handed_over(attempt) or content
        self._digests[attempt] = digest_of(data)
        return content

    def _handed_over(self, attempt: Attempt) -> dict[str, Any] | None:
        """What the store has; None if it has nothing. Raises StoreError for another request."""
        try:
            data = self._store.read(self.path(attempt))
        except FileNotFoundError:
            return None
        content = records.parse_document(data) or {}
        if _own(content) != _own(json.loads(json.dumps(self.of(attempt).as_json()))):
            raise StoreError(
                f"{self.path(attempt)} in the store is not the request of this attempt; somebody"
                " changed it: start the run again"
            )
        self._digests[attempt] = digest_of(data)
        return content


def _own(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in _LOOKED_UP}
