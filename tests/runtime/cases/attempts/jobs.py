"""Steps that do what steps may do, to be run as attempts."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple

import jobs_library
from levada import PermanentError, context, log_artifact, log_metric, log_params, step


class Report(NamedTuple):
    label: str
    auc: float


@dataclass
class Fit:
    depth: int
    weights: list[float]


@step
def count(n: int) -> list[int]:
    return list(range(n))


@step
def double(x):
    return x * 2


@step
def add(xs) -> int:
    return sum(xs)


@step
def report(auc: float) -> Report:
    return Report("best", auc)


@step
def fit(depth: int) -> Fit:
    return Fit(depth, [0.5] * depth)


@step
def pair():
    return 1, "two"


@step
def any_arguments(first, /, second=2, *rest, third=3, **more):
    return [first, second, list(rest), third, more]


@step
def talk():
    print("from Python")
    print("to stderr", file=sys.stderr)
    subprocess.run(["sh", "-c", "echo from a subprocess"], check=True)
    os.write(1, b"without a newline")


@step
def leak():
    print("the token is", os.environ["TOKEN"])
    os.write(1, os.environ["TOKEN"][:5].encode())
    time.sleep(0.05)
    os.write(1, os.environ["TOKEN"][5:].encode() + b"\n")
    log_params(token=os.environ["TOKEN"])
    raise ValueError(f"refused: {os.environ['TOKEN']}")


@step
def track():
    log_metric("loss", 0.5, step=1)
    log_metric("loss", float("nan"), step=2)
    log_params({"depth": 3}, kind="gini")
    log_artifact("weights", [1, 2, 3])
    thread = threading.Thread(target=log_metric, args=("from_thread", 1))
    thread.start()
    thread.join()
    child = os.fork()
    if child == 0:
        log_metric("from_child", 2)
        os._exit(0)
    os.waitpid(child, 0)


@step
def whereabouts():
    here = context()
    return [here.pipeline, here.run_id, here.node, here.map_index, here.attempt, here.parameters]


@step
def configured():
    return os.environ.get("MODE")


@step
def fails(x):
    return jobs_library.divide(x, 0)


@step
def fails_in_a_library():
    import json

    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError("no configuration") from error


@step
def gives_up():
    raise PermanentError("no such table")


@step
def exits():
    sys.exit(3)


@step
def returns_nothing_storable():
    return lambda: 1


@step
def returns_too_few() -> tuple[int, int]:
    return (1,)


@step
def sleeps():
    try:
        print("sleeping", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up")


@step
def prints_at_exit():
    import atexit

    atexit.register(print, "at exit")
    thread = threading.Thread(target=lambda: (time.sleep(0.2), print("from a late thread")))
    thread.start()
    return 1


@step
def allocates(megabytes: int):
    return len(bytearray(megabytes << 20))


@step
def reads_a_file():
    with open("jobs_data.txt", encoding="utf-8") as file:
        return file.read()


@step
def recurses(n: int) -> int:
    return recurses(n + 1) if n % 2 else recurses(n + 1) + 1


@step
def closes_its_output():
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return 1


@step
def dies():
    os._exit(7)


@step
def leaves_a_process():
    subprocess.Popen(["sleep", "5"])
    print("over")
    return 1


@step
def surrogates():
    print("bytes:", os.fsencode("\udcff"))
    log_params(name="\udcff")
    return "\udcff"
