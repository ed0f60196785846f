"""Where the store is that all pods share."""

from __future__ import annotations

from levada.store import url_problem

from . import container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def variables(
    url: str, environment: Mapping[str, str], secrets: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The environment variables of a container that uses the store."""
    plain = container.variables({"LEVADA_STORE": url, **environment})
    return [*plain, *container.secret_variables(secrets)]


def problem(store: str, claim: str | None) -> str:
    """What is wrong with a place and the claim that is mounted there; nothing if nothing is."""
    is_url = "://" in store
    if store.startswith("file://"):
        return f"`store` is {store}, a folder that each pod has its own of: give a path and a claim"
    if is_url and (unknown := url_problem(store)):
        return f"`store` is {store}: {unknown}"
    if is_url and claim:
        return f"`store_claim` is mounted at a path, but `store` is the URL {store}"
    if not is_url and not store.startswith("/"):
        return f"`store` is an absolute path in the pods or a URL, not `{store}`"
    if not is_url and not claim:
        return f"`store` is the path {store}: name the `store_claim` that is mounted there"
    return ""
