"""Every target's client is one by its class, so that what the protocol gives is there."""

from __future__ import annotations

from importlib import import_module

import pytest
from levada_compiler import targets
from levada_compiler.client import Client

ABLE = [
    name for name in targets.available() if getattr(targets.load(name), "client", None) is not None
]


@pytest.mark.parametrize("name", ABLE)
def test_clients(name: str) -> None:
    module, _, attribute = targets.load(name).client.partition(":")  # type: ignore[attr-defined]
    found = getattr(import_module(module), attribute)
    assert Client in found.__mro__
    given = {key for key in vars(Client) if not key.startswith("_")}
    abstract = {key for key in given if getattr(found, key) is getattr(Client, key)}
    assert abstract <= {"failure", "next_step"}
