"""`levada.stores.health`: what `levada store check` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada.store import open_store
from levada.stores import health


@pytest.mark.parametrize(
    ("skew", "said"), [(-0.04, "it differs by 0.0 s"), (0.26, "it differs by 0.3 s")]
)
def test_a_clock_that_differs_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float, said: str
) -> None:
    """Seconds that are as good as none are not said to be fewer than none."""
    store = open_store(str(tmp_path / "store"))
    monkeypatch.setattr(type(store), "clock_skew", lambda *_: skew)
    assert health._clock(store, "check") == said
