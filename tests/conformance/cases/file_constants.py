"""Constants that are read from files of the project."""

import json
import tomllib
from pathlib import Path
from typing import Any

from levada import pipeline, step

HERE = Path(__file__).parent / "settings"
with open(HERE / "grid.json", encoding="utf-8") as file:
    GRID = json.load(file)


def read(name: str) -> dict[str, Any]:
    with (Path(__file__).parent / "settings" / name).open("rb") as opened:
        return tomllib.load(opened)


SETTINGS = read("train.toml")
TITLE = (HERE / "title.txt").read_text().strip()


@step
def anything(x: Any) -> Any:
    return x


@pipeline
def settings_of_files(depth: int = SETTINGS["depth"]):
    scores = [anything(rate * depth) for rate in GRID["rates"]]
    return anything(f"{TITLE}: {max(scores)}"), SETTINGS["names"]
