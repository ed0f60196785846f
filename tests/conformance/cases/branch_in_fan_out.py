"""Every iteration decides for itself."""

from levada import pipeline, step


@step
def score(value: int) -> int:
    return value * 3


@step
def promote(score: int) -> str:
    return f"up {score}"


@step
def demote(score: int) -> str:
    return f"down {score}"


@step
def report(lines: list[str]) -> str:
    return "\n".join(lines)


@pipeline
def branch_in_fan_out(values: list[int] = [1, 5, 2]):
    lines = []
    for value in values:
        scored = score(value)
        if scored > 5:
            line = promote(scored)
        else:
            line = demote(scored)
        lines.append(line)
    return report(lines)
