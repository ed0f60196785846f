"""Levada beside what one would pick instead, and beside the floor: `python -m benchmarks`."""
