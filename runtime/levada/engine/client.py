"""The engine's end of a server process (see :mod:`.server`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from . import processes

TYPE_CHECKING = False


class ServerClient:
    """A server process, started when this is made.

    ``is_ready`` is False while it is busy with an import and starts nothing.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._received = b""
        self.is_ready = True
        root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        code = (
            f"import sys; sys.path.append({root!r}); from levada.engine.server import main; main()"
        )
        # -P: the folder that the engine runs in must not hide modules of Python.
        arguments = [sys.executable, "-P", "-c", code]
        # The server has its own process group: Ctrl-C is for the engine to deal with.
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
        self._pid = os.posix_spawn(
            sys.executable,
            arguments,
            os.environ,
            file_actions=actions,
            setpgroup=0,
            setsigmask=[signal.SIGINT],  # until it has a handler
        )
        theirs.close()

    def fileno(self) -> int:
        """The descriptor to poll before :meth:`receive`."""
        return self._socket.fileno()

    def order(self, word: str, number: str, content: object) -> None:
        """Send a command with some JSON."""
        payload = json.dumps(content).encode()
        self.tell(f"{word} {number} {len(payload)}\n".encode() + payload)

    def tell(self, message: bytes) -> None:
        """Send a command. A server that is gone is noticed by the next :meth:`receive`."""
        try:
            self._socket.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> list[list[str]] | None:
        """What it said, each as words; None if it is gone."""
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:  # it ended before it had read all that it was told
            data = b""
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        return [line.decode().split() for line in lines]

    def preload(self, content: object) -> None:
        """Have it import modules, which may take any time."""
        self.is_ready = False
        self.order("preload", "0", content)

    def kill(self) -> None:
        """End it at once, whatever it does; :meth:`receive` then says that it is gone."""
        processes.kill_tree(self._pid)

    def close(self) -> int:
        """Have it end, with all that it started; gives its exit status as of waitpid."""
        if not self.is_ready:  # it may be busy with an import
            self.kill()
        self._socket.close()
        return os.waitpid(self._pid, 0)[1]
