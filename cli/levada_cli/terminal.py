"""Where text goes out to people: a terminal, or the log of a CI job.

`main` puts these streams before stdout and stderr, so that whatever a command writes goes through
here. Imports little: so does every compile that the cache answers.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

#: Set by GitHub's runner, by Azure's, and by most of the others.
_CI = ("GITHUB_ACTIONS", "TF_BUILD", "CI")


class PeoplesStream:
    """A stream of text that nothing in the text can command.

    On a terminal control characters are written visibly, but for colours. In the log of a CI job
    no line is a workflow command. Everything else is as in the stream behind it.
    """

    def __init__(self, stream: TextIO, *, is_log: bool) -> None:
        """``is_log`` says that what is no terminal is read by people, and not by programs."""
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._is_ci_log = is_log and in_ci()
        self._is_line_start = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text as it may be shown."""
        if self._is_terminal or self._is_ci_log:
            from levada_compiler.render import cells

            shown = cells.coloured(text) if self._is_terminal else text
            if self._is_ci_log:
                shown = cells.without_commands(shown, is_line_start=self._is_line_start)
                _, newline, rest = text.rpartition("\n")
                self._is_line_start = not rest.strip() and bool(newline or self._is_line_start)
            self._stream.write(shown)
        else:
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def control(self, text: str) -> None:
        """Write what moves the cursor: Levada's own."""
        self._stream.write(text)


def control(stream: TextIO, text: str) -> None:
    """Move the cursor of a terminal."""
    getattr(stream, "control", stream.write)(text)


def in_ci() -> bool:
    """Return whether this runs in a CI job, whose log is read for workflow commands."""
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in _CI)


def json_text(document: object) -> str:
    r"""Return JSON for stdout, whose strings have no character that a terminal would act on.

    >>> print(json_text({"é": "\x9b31m"}), end="")
    {
      "é": "\\u009b31m"
    }
    """
    import json

    from levada_compiler.render import cells

    text = json.dumps(document, indent=2, ensure_ascii=False)
    return cells.escaped_in_json(text) + "\n"
