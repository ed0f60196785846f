"""Watches objects in a thread of its own: a list, then what happens to them."""

from __future__ import annotations

import threading

from .api import ApiError, Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    import queue

    from levada.driver.driver_types import KubernetesObject

    from .api import Api

#: A change: the kind, the name, and the object, None if it is gone.
Change = tuple[str, str, "KubernetesObject | None"]


class Watcher:
    """Puts every change into a queue, those that it missed as well."""

    def __init__(
        self, api: Api, kind: str, selectors: dict[str, str], changes: queue.SimpleQueue[Change]
    ) -> None:
        self._api = api
        self._kind = kind
        self._selectors = selectors
        self._changes = changes
        self._known: set[str] = set()
        self._backoff = Backoff(5.0)
        self._over = threading.Event()

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        threading.Thread(target=self._watch_on, daemon=True).start()

    def stop(self) -> None:
        """Watch no more than what comes next."""
        self._over.set()

    def _watch_on(self) -> None:
        version = ""
        while not self._over.is_set():
            try:
                if not version:
                    version = self._list()
                version = self._watch(version)
                self._backoff.reset()
            except ApiError as error:
                # 410: the version is forgotten. After anything else what is known may be old too.
                if error.status:
                    version = ""
                self._over.wait(0 if error.status == 410 else self._backoff.delay(error))

    def _list(self) -> str:
        names: set[str] = set()
        version = ""
        for page, version in self._api.pages(self._kind, **self._selectors):  # noqa: B007
            for thing in page:
                names.add(thing["metadata"]["name"])
                self._put(thing)
        for name in self._known - names:
            self._changes.put((self._kind, name, None))
        self._known = names
        return version

    def _put(self, thing: KubernetesObject) -> None:
        """Without what nobody reads here and is most of it: a run may have thousands of pods."""
        thing["metadata"].pop("managedFields", None)
        if self._kind == "pods":
            thing.pop("spec", None)
        self._changes.put((self._kind, thing["metadata"]["name"], thing))

    def _watch(self, version: str) -> str:
        for event in self._api.watch(self._kind, version, **self._selectors):
            thing, metadata = event["object"], event["object"]["metadata"]
            version = metadata["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                self._known.discard(metadata["name"])
                self._changes.put((self._kind, metadata["name"], None))
            else:
                self._known.add(metadata["name"])
                self._put(thing)
            if self._over.is_set():
                break
        return version
