"""What the progress of a run looks like, and what it costs."""

from __future__ import annotations

import io

from levada.engine import events
from levada.engine.events import Event
from levada_cli.commands.progress import Progress
from levada_compiler.render.colours import Palette


class Stream(io.StringIO):
    """Text that counts how often it was written to."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_all_that_a_step_printed_meanwhile_is_written_at_once() -> None:
    stream = Stream()
    printed = "one\n 10%\r 90%\r\n\x1b[31mred\x1b[0m\ttab\n\n\u202eunseen"
    Progress(stream, Palette(False)).show(Event(events.LOG, "train", (1,), 1, text=printed))
    assert stream.getvalue().splitlines() == [
        "train[1] | one",
        "train[1] |  90%",
        "train[1] | red    tab",
        "train[1] | ",
        "train[1] | <U+202E>unseen",
    ]
    assert stream.writes == 1


def test_what_a_run_and_its_steps_warn_of_is_shown() -> None:
    stream = Stream()
    progress = Progress(stream, Palette(False))
    progress.show(Event(events.WARNING, text="store/runs was moved"))
    progress.show(Event(events.NODE_FINISHED, "train", attempt=1, warnings=["it is damaged"]))
    progress.show(Event(events.NODE_CACHED, "test", attempt=1, warnings=["an older one is used"]))
    progress.show(Event(events.ATTEMPT_FAILED, "use", attempt=1, warnings=["read x"], error={}))
    assert [line for line in stream.getvalue().splitlines() if "warning" in line] == [
        " warning store/runs was moved",
        " warning train  it is damaged",
        " warning test  an older one is used",
        " warning use  read x",
    ]
