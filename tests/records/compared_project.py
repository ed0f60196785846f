"""A project whose code and parameters change between its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from levada import engine, project
from levada.store import Store, open_store
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan
from levada_records.runs import Run, read_run

PIPELINE = """
from levada import Retry, log_metric, log_params, pipeline, step

from cleaning import SCALE, Cleaner, clean


@step
def load(rows: int) -> list[float]:
    return [row * SCALE for row in range(rows)]


@step
def fit(points: list[float], rate: float) -> float:
    log_params(solver="exact")
    for epoch in range(1, 6):
        log_metric("loss", rate / epoch, step=epoch)
    log_metric("auc", 1 - rate)
    return sum(clean(points)) * rate


@step
def best(scores: list[float]) -> float:
    return max(scores)


@pipeline
def churn(rows: int = 4, rates: list[float] = [0.1, 0.2]) -> float:
    points = load(rows)
    return best([fit(points, rate) for rate in rates])
"""

CLEANING = '''
SCALE = 2.0


class Cleaner:
    """Cleans."""

    def keeps(self, point: float) -> bool:
        return point >= 0


def clean(points):
    # what is negative is wrong
    cleaner = Cleaner()
    return [point for point in points if cleaner.keeps(point)]


def unused():
    return 1
'''


class ComparedProject:
    """The project in a folder, and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").touch()
        self.write("pipeline.py", PIPELINE)
        self.write("cleaning.py", CLEANING)
        self.url = str(folder / "store")

    @property
    def store(self) -> Store:
        return open_store(self.url)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, run_id: str, *, pipeline: str | None = None, **parameters: Any) -> Run:
        """Run a pipeline, and read what the store has of it."""
        path = str(self.folder / "pipeline.py")
        compilation = compile_file(path, pipeline)
        assert compilation.program is not None, compilation.diagnostics
        found = project.find(path)
        engine.run(
            plan(compilation.program),
            parameters,
            store=self.url,
            project=str(self.folder),
            run_id=run_id,
            files=[found.relative(file) for file in compilation.files],
        )
        return self.read(run_id, compilation.program.name)

    def read(self, run_id: str, pipeline: str = "churn") -> Run:
        return read_run(self.store, pipeline, run_id)

    def change(self, path: str, **fields: Any) -> None:
        """Change fields of a document of the store."""
        file = Path(self.url, path)
        document = json.loads(file.read_text())
        file.write_text(json.dumps(document | fields))
