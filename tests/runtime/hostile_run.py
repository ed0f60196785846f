"""Evaluates lines of a page in a process each, and says what each took, as JSON."""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from pathlib import Path
from time import process_time

from levada import expressions
from levada.expressions import Scope

from tests.compiler.folding import Constants
from tests.runtime import random_expressions
from tests.runtime.test_expressions import fenced_lines


class NoNodes:
    def __contains__(self, node: object) -> bool:
        return False


def measured(evaluate, text: str) -> dict[str, object]:
    """Evaluate in a child, so that its memory is its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = process_time()
        try:
            evaluate(text)
            answer = "value"
        except Exception as error:  # noqa: BLE001  it is what is asked
            answer = type(error).__name__
        seconds = process_time() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, json.dumps([answer, seconds, grown / 1024]).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    found = os.read(reading, 10_000)
    os.close(reading)
    answer, seconds, megabytes = json.loads(found) if found else (f"status {status}", 0, 0)
    return {"text": text, "answer": answer, "seconds": seconds, "megabytes": megabytes}


def main(page: str, kind: str, every: str = "1") -> None:
    scope = Scope({}, NoNodes(), None)
    constants = Constants(random_expressions.IMPORTS)
    evaluate = {
        "run": lambda text: expressions.evaluate(text, scope),
        "constant": constants.value,
    }[kind]
    for warm in ("json.dumps(1)", "Path('a').name", "statistics.mean([1])", "Decimal(1)"):
        evaluate(warm)
    gc.freeze()
    for text in fenced_lines(Path(page))[:: int(every)]:
        print(json.dumps(measured(evaluate, text)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
