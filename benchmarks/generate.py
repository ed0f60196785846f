"""Write the same pipeline of N trivial steps for each tool: `add_one`, N times in a chain."""

from collections.abc import Iterator

Lines = Iterator[str]


def names(steps: int) -> list[str]:
    """The names of N distinct steps."""
    return [f"step_{number:04}" for number in range(1, steps + 1)]


def levada_module(steps: int) -> Lines:
    """A module of N distinct steps, for the compiler."""
    yield from ("from levada import pipeline, step", "", "")
    for name in names(steps):
        yield from ("@step", f"def {name}(x: int) -> int:", f'    """Do {name}."""')
        yield from ("    return x + 1", "", "")
    yield from ("@pipeline", "def chain(x: int = 0):")
    for name in names(steps):
        yield f"    x = {name}(x)"
    yield "    return x"


def kfp_module(steps: int) -> Lines:
    """The same for Kubeflow Pipelines."""
    yield from ("from kfp import dsl", "", "")
    for name in names(steps):
        yield '@dsl.component(base_image="python:3.11")'
        yield from (f"def {name}(x: int) -> int:", f'    """Do {name}."""')
        yield from ("    return x + 1", "", "")
    yield from ('@dsl.pipeline(name="chain")', "def chain(x: int = 0) -> int:")
    for name in names(steps):
        yield f"    x = {name}(x=x).output"
    yield "    return x"


def levada_calls(steps: int) -> Lines:
    """One step called N times, to be run."""
    yield from ("from levada import pipeline, step", "", "")
    yield from ("@step", "def add_one(x: int) -> int:", "    return x + 1", "", "")
    yield from ("@pipeline", "def chain(x: int = 0):")
    yield from ["    x = add_one(x)"] * steps
    yield "    return x"


def kfp_calls(steps: int) -> Lines:
    """The same for Kubeflow Pipelines."""
    yield from ("from kfp import dsl", "", "")
    yield '@dsl.component(base_image="python:3.11")'
    yield from ("def add_one(x: int) -> int:", "    return x + 1", "", "")
    yield from ('@dsl.pipeline(name="chain")', "def chain(x: int = 0) -> int:")
    yield from ["    x = add_one(x=x).output"] * steps
    yield "    return x"


def zenml_calls(steps: int) -> Lines:
    """The same for ZenML; `CACHE=on` in the environment lets it cache."""
    yield from ("import os", "", "from zenml import pipeline, step", "", "")
    yield from ("@step", "def add_one(x: int) -> int:", "    return x + 1", "", "")
    yield '@pipeline(enable_cache=os.environ["CACHE"] == "on")'
    yield from ("def chain(x: int = 0):", f"    for _ in range({steps}):", "        x = add_one(x)")
    yield from ("", "", 'if __name__ == "__main__":', "    chain()")


def metaflow_calls(steps: int) -> Lines:
    """The same for Metaflow, where a step is a method and the value is an attribute."""
    tasks = ["start", *names(steps)[1:-1], "end"]
    yield from ("from metaflow import FlowSpec, step", "", "")
    yield from ("def add_one(x: int) -> int:", "    return x + 1", "", "")
    yield "class Chain(FlowSpec):"
    for task, following in zip(tasks, [*tasks[1:], ""], strict=True):
        value = "0" if task == "start" else "self.x"  # a step cannot change what the class has
        yield from ("", "    @step", f"    def {task}(self):", f"        self.x = add_one({value})")
        last = "print('x is', self.x)"
        yield f"        self.next(self.{following})" if following else f"        {last}"
    yield from ("", "", 'if __name__ == "__main__":', "    Chain()")
