"""``python -m levada.contained``: an attempt in a container of its own, as its first process.

    python -m levada.contained run FILE        the attempt of a file (see ``levada.handover``)
    python -m levada.contained stored DIGEST   the attempt that a pod is for, from the store
    python -m levada.contained stage DIGEST    only hand the inputs of a container step over
    python -m levada.contained describe        what the image has, as a line of JSON

The kernel treats the first process of a container differently: signals without a handler are
ignored, and it inherits all orphans. So the attempt is its child, and ends as on any machine; the
exit code is the child's, or 128 and the number of the signal that ended it, as in a shell.
"""

from __future__ import annotations

import os
import signal
import sys

from levada.__main__ import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: What ``describe`` is to describe: JSON, a list of [imports, requirements].
PACKAGES = "LEVADA_PACKAGES"


def main(words: list[str]) -> int:
    """Do what the words say; gives the exit code."""
    if words[:1] == ["describe"]:
        return _describe()
    if words[:1] == ["stored"]:
        return checked(lambda: _run_stored(words[1]))
    if words[:1] == ["stage"]:
        return checked(lambda: _stage(words[1]))
    return _supervised(lambda: checked(lambda: _run(words[1])))


def _describe() -> int:
    import json

    from levada import environment

    wanted = json.loads(os.environ[PACKAGES])
    print(json.dumps([environment.describe(*packages) for packages in wanted]))  # noqa: T201
    return 0


def _run(path: str) -> int:
    from levada import handover

    with open(path, "rb") as file:
        text = file.read()
    return handover.run(*handover.read(text))


def _stage(orders: str) -> int:
    from levada import stored_attempt

    return stored_attempt.stage(stored_attempt.read(orders)[0])


def _run_stored(orders: str) -> int:
    from levada import stored_attempt
    from levada.store import temporary_path

    spool = temporary_path()
    # Only the child opens the store: one that was used before a fork would hang after it.
    told = _Told()
    status = _wait_for(lambda: checked(lambda: stored_attempt.run(orders, spool, told.send)), told)
    lost = stored_attempt.tell_lost(status, timed_out=told.is_overdue)
    if lost and told.folder:
        stored_attempt.store_log(told.folder, spool)
    return _exit_code(status)


class _Told:
    """What the child says of the attempt, as soon as it has read what it is to do."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.folder = ""  #: the attempt's, in the store
        self.is_overdue = False

    def send(self, seconds: int, folder: str) -> None:
        """Say, in the child, after how many seconds it is to be killed; 0 for never."""
        os.write(self._write, f"{seconds} {folder}\n".encode())
        os.close(self._write)

    def receive(self) -> int:
        """Wait, in the parent, until the child has said so or is gone; gives the seconds."""
        os.close(self._write)
        with open(self._read, encoding="utf-8") as file:
            seconds, _, self.folder = file.readline().rstrip("\n").partition(" ")
        return int(seconds or 0)


def _supervised(action: Callable[[], int]) -> int:
    """Do something in a child process, with SIGTERM passed on; gives its exit code."""
    return _exit_code(_wait_for(action))


def _exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _wait_for(action: Callable[[], int], told: _Told | None = None) -> int:
    """Do something in a child process, with SIGTERM passed on; gives its status as of waitpid.

    After the seconds that it has ``told`` it is killed.
    """
    child = os.fork()
    if child == 0:
        _end_with(action)

    def kill(*_: object) -> None:
        if told is not None:
            told.is_overdue = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.signal(signal.SIGALRM, kill)
    if told is not None:
        signal.alarm(told.receive())
    while True:
        pid, status = os.wait()
        if pid == child:
            signal.alarm(0)
            return status


def _end_with(action: Callable[[], int]) -> None:
    code = 1
    try:
        os.setsid()
        code = action()
    except BaseException:  # noqa: BLE001  this must not go on as the first process
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
