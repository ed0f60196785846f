"""What happens in a run, as it happens: lines, and on a terminal a view that is redrawn."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TextIO

from levada_compiler.render.cells import cells, one_line, without_sequences

from levada_cli.terminal import control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from levada.engine.event_types import EventDetails
    from levada.engine.events import Event
    from levada_compiler.render.colours import Palette

#: Seconds between two drawings of the live view.
BEAT = 0.2
#: Running steps that are shown by name.
MOST_RUNNING = 8


class Progress:
    """Shows events on a stream. A context manager: the live view is gone at the end.

    Finished steps and log lines are written once and stay; below them, on a terminal only, are the
    steps that run now and for how long they have. When nobody can read the stream any more (the
    terminal is closed), nothing is written: the run goes on.
    """

    def __init__(
        self, stream: TextIO, colours: Palette, explain: Callable[[Event], str] | None = None
    ) -> None:
        """``explain`` gives a sentence on why a step was or was not cached."""
        self.metrics: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._stream = stream
        self._paint = colours.paint
        self._has_colours = colours.enabled
        self._explain = explain
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._running: dict[str, float] = {}
        self._counts = {"done": 0, "cached": 0, "failed": 0}
        self._drawn = 0
        self._is_gone = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._writing():
            self._erase()

    def show(self, event: Event) -> None:
        """Take in one event of the engine."""
        handler = getattr(self, "_on_" + event.kind.replace("-", "_"), None)
        if handler is None:
            return
        with self._writing():
            self._erase()
            handler(event)
            if self._live:
                self._draw()

    # ------------------------------------------------------------------------ events

    def _name(self, event: Event) -> str:
        """What people call its step: an item of a loop by its variables, ``fit[depth=4]``."""
        label: str = event.label
        if event.details.get("item"):
            self._names[label] = event.name
        return self._names.get(label, label)  # not every event says the item

    def _on_run_started(self, event: Event) -> None:
        details = event.details
        name = self._paint("bold", one_line(details["pipeline"]))
        self._write(f"{name} run {one_line(details['run_id'])}")

    def _on_node_started(self, event: Event) -> None:
        name = self._name(event)
        self._running[event.label] = event.time
        if not self._live:
            again = f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else ""
            self._line("dim", "start", name, again)

    def _on_node_finished(self, event: Event) -> None:
        self._counts["done"] += 1
        self._running.pop(event.label, None)
        self._note_metrics(event)
        shown = " ".join(f"{name}={short(v)}" for name, v in self._metrics(event).items())
        name = self._name(event)
        self._line("good", "done", name, f"  {seconds(event.details)}  {shown}")
        self._warn(event)
        self._why(event)

    def _on_node_cached(self, event: Event) -> None:
        self._counts["cached"] += 1
        self._note_metrics(event)
        self._line("good", "cached", self._name(event), "")
        self._warn(event)
        self._why(event)

    def _on_attempt_failed(self, event: Event) -> None:
        self._running.pop(event.label, None)
        error: Mapping[str, object] = event.details.get("error") or {}
        self._line(
            "error", "failed", self._name(event), f"  {seconds(event.details)}  {headline(error)}"
        )
        self._warn(event)
        self._why(event)

    def _on_retry(self, event: Event) -> None:
        delay = event.details.get("delay", 0)
        self._line(
            "warning", "retry", self._name(event), f"  attempt {event.attempt} in {delay:g} s"
        )

    def _on_node_failed(self, event: Event) -> None:
        self._counts["failed"] += 1
        self._running.pop(event.label, None)
        if event.attempt is None:  # a condition or the items of a loop: no attempt said so
            self._line(
                "error", "failed", self._name(event), f"  {headline(event.details['error'] or {})}"
            )

    def _on_waiting(self, event: Event) -> None:
        label = self._name(event) or "the run"
        self._line("warning", "waiting", label, f"  {event.details['reason']}")

    def _on_warning(self, event: Event) -> None:
        self._line("warning", "warning", "", event.details["text"])

    def _on_log(self, event: Event) -> None:
        head = self._paint("dim", f"{one_line(self._name(event))} |")
        lines = str(event.details.get("text", "")).removesuffix("\n").split("\n")
        # One write: the stream writes through, and a step may print a million lines.
        shown = (log_line(line, colours=self._has_colours) for line in lines)
        self._put("".join(f"{head} {line}\n" for line in shown))

    def _on_cancelling(self, event: Event) -> None:
        word = "killing" if event.details.get("force") else "stopping; again to kill"
        self._write(self._paint("warning", f"interrupted: {word}"))

    def _warn(self, event: Event) -> None:
        for text in event.details.get("warnings") or ():
            self._line("warning", "warning", self._name(event), f"  {text}")

    def _why(self, event: Event) -> None:
        if self._explain is not None:
            self._write(self._paint("dim", f"{'':>8} {one_line(self._explain(event))}"))

    def _note_metrics(self, event: Event) -> None:
        found = self._metrics(event)
        if found:
            self.metrics[self._name(event)] = found

    def _metrics(self, event: Event) -> dict[str, Any]:
        """The last value of each metric of a node."""
        listed = event.details.get("metrics") or ()
        return {metric["name"]: metric["value"] for metric in listed}

    # ------------------------------------------------------------------------ drawing

    def _line(self, role: str, word: str, label: str, rest: str) -> None:
        self._write(f"{self._paint(role, word.rjust(8))} {one_line(label + rest)}".rstrip())

    def _write(self, line: str) -> None:
        self._put(f"{line}\n")

    def _put(self, text: str) -> None:
        if not self._is_gone:
            self._stream.write(text)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with self._writing():
                self._erase()
                self._draw()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write one after the other, as long as there is anybody who reads it."""
        with self._lock:
            try:
                yield
                if not self._is_gone:
                    self._stream.flush()
            except OSError:
                self._is_gone = True

    def _erase(self) -> None:
        if self._drawn:
            control(self._stream, f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if not self._running or self._is_gone:
            return
        now = time.time()
        lines = [f"{'running':>8} {name}  {now - since:.0f} s" for name, since in self._first()]
        hidden = len(self._running) - len(lines)
        if hidden > 0:
            lines.append(f"{'':>8} and {hidden} more")
        counts = ", ".join(f"{count} {word}" for word, count in self._counts.items() if count)
        lines.append(f"{'':>8} {counts or 'none done yet'}")
        columns = os.get_terminal_size(self._stream.fileno()).columns - 1
        for line in lines:
            self._write(self._paint("dim", _cut(one_line(line), columns)))
        self._drawn = len(lines)

    def _first(self) -> list[tuple[str, float]]:
        first = list(self._running.items())[:MOST_RUNNING]
        return [(self._names.get(label, label), since) for label, since in first]


def log_line(line: str, *, colours: bool = False) -> str:
    """A line of a log as it may be shown: what a terminal would have after a progress bar."""
    text = line.rstrip("\r").rsplit("\r", 1)[-1].replace("\t", "    ")
    return without_sequences(text, colours=colours)


def headline(error: Mapping[str, object]) -> str:
    """``ValueError: the first line of the message``; only that if it is all that is known."""
    lines = str(error.get("message") or "").strip().splitlines()
    kind = str(error.get("type") or error.get("kind") or "")
    return one_line(": ".join([word for word in (kind, *lines[:1]) if word]))


def seconds(details: EventDetails) -> str:
    """``1.2 s``, or nothing where it is not known."""
    value = details.get("seconds")
    return "" if value is None else duration(float(value))


def duration(value: float) -> str:
    """A time as people say it: ``35 ms``, ``1.2 s``, ``2 min 5 s``, ``1 h 10 min``."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes = round(value) // 60
    if minutes < 60:
        return f"{minutes} min {round(value) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min"


def short(value: Any) -> str:
    """A number as it is read: four digits of a float."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(line: str, columns: int) -> str:
    """As much of a line as the terminal has room for: one that wraps cannot be erased."""
    total = 0
    for index, cell in enumerate(cells(line)):
        total += cell.width
        if total > columns:
            return line[:index]
    return line
