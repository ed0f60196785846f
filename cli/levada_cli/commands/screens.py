"""What stdout is shown on."""

from __future__ import annotations

import sys

from levada_records.sparklines import ASCII, BLOCKS

from . import console, shown_values
from .shown_run import Screen


def screen(colour: str) -> Screen:
    """Return what stdout is shown on, with the colours of ``--color``."""
    marks = BLOCKS if shown_values.has_blocks(sys.stdout) else ASCII
    return Screen(console.palette(colour, sys.stdout), shown_values.columns(sys.stdout), marks)
