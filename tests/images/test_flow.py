"""What a step has to be able to load of what the pipeline itself gives it."""

from __future__ import annotations

from pathlib import Path

from levada_backends.images import flow
from levada_compiler.compilation import compile_file

CONFIG = """\
from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    FAST = "fast"


@dataclass
class Layer:
    size: int


@dataclass
class Config:
    layers: list[Layer]
    mode: Mode = Mode.FAST
"""
PIPELINE = """\
from config import Config, Layer
from levada import pipeline, step


@step
def show(value: object) -> None: ...


@step
def plain(value: object) -> None: ...


@step
def made(value: object) -> None: ...


@pipeline
def typed(config: Config, name: str = "x"):
    show(config)
    plain(name)
    made([Layer(1)])
"""


def test_a_step_needs_the_classes_of_parameters_and_constants(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "nightly.py").write_text(PIPELINE)
    program = compile_file(tmp_path / "nightly.py").program
    assert program is not None
    assert flow.producers(program) == {
        "nightly:made": ("class config:Layer",),
        "nightly:plain": (),
        "nightly:show": ("class config:Config", "class config:Layer", "class config:Mode"),
    }
