"""A step that opens 10,000 files, and says how long that took."""

import tempfile
from pathlib import Path
from time import perf_counter

from levada import pipeline, step

FILES = 10_000


def seconds_to_read() -> float:
    """The time to open as many files, which are made beforehand, in the working directory."""
    folder = Path("many-files").absolute()
    if not folder.is_dir():
        draft = Path(tempfile.mkdtemp(dir="."))
        for number in range(FILES):
            Path(draft, str(number)).write_text("x")
        draft.rename(folder)
        return seconds_to_read()
    paths = [str(folder / str(number)) for number in range(FILES)]
    started = perf_counter()
    for path in paths:
        with open(path) as file:  # noqa: PTH123  nothing but this is to be timed
            file.read()
    return perf_counter() - started


@step(cache=False)
def read_all() -> float:
    return seconds_to_read()


@pipeline
def many_files():
    return read_all()
