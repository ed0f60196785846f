"""``python -m levada`` and ``levada-step``: what an engine runs in a step's process.

Its one argument is a request (see ``levada.task_request``).

Exit codes: 0 done or cached, 1 failed, 2 wrong usage, 65 failed and would fail again, 66 cached
where that ends a pod, 130 on an interrupt, 143 on SIGTERM. The last line of stdout is the result as
JSON.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from levada.command import Command
    from levada.task_request import TaskRequest


def main(words: Sequence[str] | None = None) -> None:
    """Run a command and end the process."""
    given = list(sys.argv[1:] if words is None else words)
    end(lambda: _main(given))


def end(run: Callable[[], int]) -> NoReturn:
    """Run something and end the process with the exit code that it gives."""
    code = checked(run)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody listens any more
            continue
    # The step's threads and exit functions are done; what is left must not print after the result.
    os._exit(code)


def _main(words: list[str]) -> int:
    from levada import task_request
    from levada.errors import UsageError

    if words[:1] in (["--help"], ["-h"]):
        sys.stdout.write(task_request.USAGE)
        return 0
    if len(words) != 1:
        raise UsageError(f"give one argument, a request, not {len(words)}; see --help")
    return _run(task_request.read(words[0], os.environ))


def checked(run: Callable[[], int]) -> int:
    """Run it; what is wrong with the request, the project or the store is a sentence."""
    from levada.errors import UsageError
    from levada.project import ProjectError
    from levada.store import StoreError

    try:
        return run()
    except (UsageError, ProjectError) as error:
        sys.stderr.write(f"levada-step: {error}\n")
        return 2
    except StoreError as error:
        sys.stderr.write(f"levada-step: {error}\n")
        return 1


def _run(request: TaskRequest) -> int:
    from levada.command import Command

    command = Command(request, dict(os.environ))
    code = command.run()
    if command.answer is not None:
        _answer(command, request.result)
    return code


def _answer(command: Command, result: str | None) -> None:
    import json

    line = json.dumps(command.answer) + "\n"
    if result:
        with open(result, "w", encoding="utf-8") as file:
            file.write(line)
    data = (b"\n" if command.unfinished_line else b"") + line.encode()
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
