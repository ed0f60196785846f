"""The API server by HTTP, with nothing but the standard library.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.driver.driver_types import KubernetesObject

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TIMEOUT = 20.0  # seconds without an answer
_WATCH = 240  # seconds after which the server ends a watch
#: It sends a bookmark about every minute: a watch that is silent for longer has no other end.
_SILENCE = 100.0
_PAGE = 250  # objects of a list at a time


class ApiError(Exception):
    """What the API server said against a request; ``status`` is 0 where it did not answer."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be taken later."""
        may_be_allowed = self.is_quota or self.is_not_authorized
        return self.status in (0, 429) or self.status >= 500 or may_be_allowed

    @property
    def is_quota(self) -> bool:
        """Whether there is no room for now: ``exceeded quota`` is all that tells it apart."""
        return self.status == 403 and "exceeded quota" in self.message

    @property
    def is_not_authorized(self) -> bool:
        """Whether the driver's account has no right to: a server that starts knows no roles yet.

        The words are those of ``forbiddenMessage`` in k8s.io/apiserver
        (``pkg/endpoints/handlers/responsewriters/errors.go``); a policy that refuses has others.
        """
        return self.status == 403 and 'User "' in self.message and " cannot " in self.message


class Api:
    """The API server as a pod's account sees it.

    The token is read for every request: it is renewed while the pod runs.
    """

    def __init__(
        self,
        host: str,
        port: int,
        namespace: str,
        account: str = _ACCOUNT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.namespace = namespace
        self._address = host, port
        self._account = account
        self._tls = tls or ssl.create_default_context(cafile=f"{account}/ca.crt")
        self._kept: http.client.HTTPSConnection | None = None

    @classmethod
    def of_pod(cls, namespace: str) -> Api:
        """That of the cluster that this pod is in."""
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        account = os.environ.get("LEVADA_SERVICE_ACCOUNT") or _ACCOUNT
        return cls(host, int(port), namespace, account)

    def sibling(self) -> Api:
        """The same for another thread: a connection belongs to one."""
        return Api(*self._address, self.namespace, self._account, self._tls)

    def path(self, kind: str, name: str = "", **query: str) -> str:
        """Of ``jobs``, ``pods`` or ``events``, or of one of them."""
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        place = f"{group}/namespaces/{self.namespace}/{kind}{'/' if name else ''}{name}"
        return f"{place}?{urllib.parse.urlencode(query)}" if query else place

    # ---------------------------------------------------------------- requests

    def get(self, kind: str, name: str) -> KubernetesObject:
        """One object. Raises ApiError."""
        return self._request("GET", self.path(kind, name))

    def create(self, kind: str, content: KubernetesObject) -> KubernetesObject:
        """Create an object. Raises ApiError."""
        return self._request("POST", self.path(kind), content)

    def patch(self, kind: str, name: str, change: KubernetesObject) -> KubernetesObject:
        """Merge a change into an object. Raises ApiError."""
        return self._request("PATCH", self.path(kind, name), change, "application/merge-patch+json")

    def pages(self, kind: str, **selectors: str) -> Iterator[tuple[list[KubernetesObject], str]]:
        """The objects, some at a time, and the version to watch from. Raises ApiError."""
        more = {"limit": str(_PAGE)}
        while True:
            page = self._request("GET", self.path(kind, **selectors, **more))
            yield page["items"], page["metadata"]["resourceVersion"]
            if not page["metadata"].get("continue"):
                return
            more = {"limit": str(_PAGE), "continue": page["metadata"]["continue"]}

    def _request(
        self,
        method: str,
        path: str,
        content: KubernetesObject | None = None,
        form: str = "application/json",
    ) -> KubernetesObject:
        """One request. A connection that was closed meanwhile is opened anew, once."""
        body = None if content is None else json.dumps(content).encode()
        is_old = self._kept is not None
        try:
            return self._ask(method, path, body, form)
        except (http.client.HTTPException, OSError) as error:
            self._drop()
            if is_old and not isinstance(error, TimeoutError):
                return self._request(method, path, content, form)
            raise ApiError(0, "Unreachable", f"the API server does not answer: {error}") from error

    def _ask(self, method: str, path: str, body: bytes | None, form: str) -> KubernetesObject:
        if self._kept is None:
            self._kept = self._connection(_TIMEOUT)
        self._kept.request(method, path, body, {**self._headers(), "Content-Type": form})
        response = self._kept.getresponse()
        text = response.read()
        if response.status >= 300:
            raise _refusal(response, text)
        answer: KubernetesObject = json.loads(text)
        return answer

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        host, port = self._address
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)

    def _headers(self) -> dict[str, str]:
        with open(f"{self._account}/token", encoding="ascii") as file:
            token = file.read().strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    # ---------------------------------------------------------------- watching

    def watch(self, kind: str, version: str, **selectors: str) -> Iterator[KubernetesObject]:
        """What happens to the objects from a version on, until the server ends it.

        On a connection of its own, and so in a thread of its own. Raises ApiError; 410 means that
        the version is too old, and a list has to come first.
        """
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(_WATCH)
        connection = self._connection(_SILENCE)
        try:
            path = self.path(kind, **selectors, **query)
            connection.request("GET", path, headers=self._headers())
            response = connection.getresponse()
            if response.status >= 300:
                raise _refusal(response, response.read())
            while line := response.readline():
                yield _event(line)
        except (http.client.HTTPException, OSError) as error:
            raise ApiError(0, "Unreachable", f"the watch broke off: {error}") from error
        finally:
            connection.close()


def _event(line: bytes) -> KubernetesObject:
    event: KubernetesObject = json.loads(line)
    if event["type"] == "ERROR":
        status = event["object"]
        reason = status.get("reason") or ""
        raise ApiError(int(status.get("code") or 0), reason, str(status.get("message")))
    return event


def _refusal(response: http.client.HTTPResponse, text: bytes) -> ApiError:
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason")), str(status.get("message"))
    except ValueError:
        reason, message = "", text.decode("utf-8", "replace")[:500]
    after = response.getheader("Retry-After") or ""
    return ApiError(response.status, reason, message, float(after) if after.isdecimal() else 0.0)


class Backoff:
    """Growing delays between tries."""

    def __init__(self, longest: float = 30.0) -> None:
        self._longest = longest
        self._next = 0.2

    def delay(self, error: ApiError | None = None) -> float:
        """Seconds to the next try."""
        delay, self._next = self._next, min(self._next * 2, self._longest)
        return max(delay, error.retry_after if error is not None else 0.0)

    def reset(self) -> None:
        """Something went well."""
        self._next = 0.2
