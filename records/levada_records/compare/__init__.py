"""What differs between runs: parameters, metrics, code, packages, inputs, outputs, steps.

:func:`compare` finds the runs by their references, :func:`compare_runs` takes them as they are.
"""

from __future__ import annotations

from .comparison import SECTIONS, Comparison, compare, compare_runs

__all__ = ["SECTIONS", "Comparison", "compare", "compare_runs"]
