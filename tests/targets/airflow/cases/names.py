"""Steps with the names of tasks and of things that the file has of its own."""

from levada import pipeline, step


@step
def end(count: int) -> int:
    return count


@step
def states_of(count: int) -> int:
    return count


@step
def pendulum(count: int) -> int:
    return count


@pipeline
def names(count: int = 1):
    try:
        end(count)
    except Exception:
        states_of(count)
    finally:
        pendulum(count)
