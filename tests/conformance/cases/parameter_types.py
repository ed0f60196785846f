"""Parameters of each type, the order of a dict's keys included."""

from typing import Literal, Optional

from levada import pipeline, step


@step
def same(value: object) -> object:
    return value


@pipeline
def parameter_types(
    number: int | None = None,
    letter: Literal["a", "b"] = "a",
    real: float = 1.5,
    table: dict[str, int] = {"z": 1, "a": 2},
    name: Optional[str] = "n",
    mixed: list = [1, None, "x"],
):
    seen = [same(table), same(real), same(mixed)]
    if number is None and letter == "a":
        seen.append(same("defaults"))
    if "k" in table or not name:
        seen.append(same(name))
    return seen, number, letter
