"""One step of a run in text: all that its record says, and the end of its log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from levada import values
from levada.artifact import ArtifactError
from levada.trees.references import references
from levada_compiler.render.cells import escape, one_line, width
from levada_records.cache_reasons import cache_reasons
from levada_records.preview_parts import preview_parts
from levada_records.previews import read_preview
from levada_records.sparklines import sparkline

from .progress import duration, headline, log_line, short
from .shown_run import ROLES, facts, git_text, named_values
from .shown_values import artifact, compact, cut, local_time, short_digest, size, type_name
from .summary import place_in_store, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada.record_types import ErrorPart, InputEntry, MetricEntry, Record
    from levada_records.runs import Run
    from levada_records.steps import Attempt, Step

    from .shown_run import Fact, Screen

#: Lines of a log that are shown.
LOG_LINES = 20
#: Bytes of the end of a log in which these are looked for.
_LOG_BYTES = 64 * 1024
#: Lines of a preview, and columns of a cell in it.
_PREVIEW_LINES, _WIDEST_CELL = 12, 24
#: Packages of an environment that are named.
_MOST_PACKAGES = 8


def step_text(run: Run, step: Step, screen: Screen) -> str:
    """Return all that people want to see of a step. Raises StoreError."""
    paint = screen.colours.paint
    lines = [
        f"{paint('bold', one_line(step.name))} of {one_line(run.pipeline)} {one_line(run.run_id)}"
    ]
    lines += facts(_facts(run, step), screen)
    record = step.record
    if record is not None:
        lines += _section("inputs", _inputs(record), screen)
        lines += _section("outputs", _outputs(record), screen)
        lines += _preview(run, record, screen)
    metrics = {name: _metric(step, entry, screen) for name, entry in step.metrics.items()}
    lines += _section("metrics", metrics, screen)
    if record is not None:
        lines += _section("system", _system(step, record, screen), screen)
        lines += _section("params", {n: compact(v) for n, v in record["params"].items()}, screen)
        lines += [f"{paint('warning', 'warning')}: {escape(text)}" for text in record["warnings"]]
        lines += _error(record["error"], screen)
    lines += _log(step, screen)
    return "\n".join(lines) + "\n"


def _facts(run: Run, step: Step) -> Iterator[tuple[str, Fact]]:
    state = state_of(step.status, 1, cached=step.is_cached)
    rest = ""
    if step.seconds is not None and not step.is_cached:
        rest = f" in {duration(step.seconds)}"
    rest += f": {one_line(step.problem)}" if step.problem else ""
    yield "status", (ROLES.get(step.status, "bold"), state, rest)
    yield "started", local_time(step.started)
    if step.map_index:
        yield "iteration", ".".join(map(str, step.map_index))
    if len(step.attempts) > 1:
        yield "attempts", [_attempt(each) for each in step.attempts]
    yield "cache", _cache(run, step)
    record = step.record
    if record is not None:
        code = record["code"]
        place = f" {code['file']}:{code['line']}" if code["file"] and code["line"] else ""
        digest = f", code {short_digest(code['digest'])}" if code["digest"] else ""
        yield "step", one_line(f"{record['step']}{place}{digest}")
        yield "environment", _environment(record)
        yield "used", _resources(record)
        if run.document is None or record["git"] != run.document["git"]:
            yield "git", git_text(record["git"])
        yield "run params", named_values(record["parameters"])
        yield "observed", _observed(record)
        yield "pickles", ", ".join(map(one_line, record["allow_pickle"]))
    if step.last is not None:
        yield "record", one_line(place_in_store(run.store, step.last.folder))


def _attempt(attempt: Attempt) -> str:
    """One of several attempts: how it ended, and with what."""
    record = attempt.record
    if record is None:
        return f"{attempt.number}: {one_line(attempt.problem) or 'no record'}"
    why = f" ({headline(record['error'])})" if record["error"] is not None else ""
    return f"{attempt.number}: {record['status']} in {duration(record['seconds'])}{why}"


def _cache(run: Run, step: Step) -> str:
    record = step.record
    if record is None:
        return ""
    if record["cache"] is None:
        return "off"
    word = "hit" if step.is_cached else "missed"
    reasons = "; ".join(each["text"] for each in cache_reasons(run, [step])[0])
    return one_line(f"{word}: {reasons}" if reasons else word)


def _environment(record: Record) -> list[str]:
    environment = record["environment"]
    packages = environment["packages"]
    words = [f"Python {environment['python']}" if environment["python"] else ""]
    words += [
        environment["platform"],
        f"image {environment['image']}" if environment["image"] else "",
    ]
    named = [f"{name} {version or 'missing'}" for name, version in sorted(packages.items())]
    words += named[:_MOST_PACKAGES]
    if len(named) > _MOST_PACKAGES:
        words.append(f"and {len(named) - _MOST_PACKAGES} more packages")
    return [one_line(word) for word in words if word]


def _resources(record: Record) -> list[str]:
    used = record["resources"]
    cpu = used.get("cpu_user_seconds", 0.0) + used.get("cpu_system_seconds", 0.0)
    words = [f"memory {size(used['peak_memory_bytes'])}" if "peak_memory_bytes" in used else ""]
    words.append(f"CPU {duration(cpu)}" if cpu else "")
    words.append(f"read {size(used['read_bytes'])}" if used.get("read_bytes") else "")
    words.append(f"wrote {size(used['written_bytes'])}" if used.get("written_bytes") else "")
    kills = used.get("container_oom_kills")
    words.append(f"{kills} processes killed for memory" if kills else "")
    return [word for word in words if word]


def _observed(record: Record) -> list[str]:
    """What the step read besides its inputs, as far as there is anything."""
    seen: Mapping[str, Any] = record.get("observed") or {}
    found = []
    for name in ("files", "folders", "patterns", "modules", "variables", "connections"):
        held = seen.get(name) or ()
        count = (
            held.get("count", len(held))
            if isinstance(held, dict) and "$blob" in held
            else len(held)
        )
        if count:
            shown = ", ".join(list(held)[:3]) if count <= 3 and "$blob" not in held else ""
            found.append(one_line(f"{count} {name}" + (f" ({shown})" if shown else "")))
    return found


def _section(title: str, entries: Mapping[str, str], screen: Screen) -> list[str]:
    if not entries:
        return []
    pairs = [(f"  {one_line(name)}", text) for name, text in entries.items()]
    return ["", screen.colours.paint("bold", title), *facts(pairs, screen)]


def _inputs(record: Record) -> dict[str, str]:
    """What it was given, and the expression that this came from."""
    found = {}
    for name, entry in record["inputs"].items():
        held = entry.get("artifact")
        if held is not None:
            text = f"{artifact(held)}, {short_digest(held['digest'])}"
        else:
            text = _tree(entry) or f"{type_name(entry['type'])}, {short_digest(entry['digest'])}"
        source = f"  from {entry['source']}" if entry["source"] else ""
        found[name] = one_line(cut(text, 60) + source)
    return found


def _tree(entry: InputEntry) -> str:
    """A small value itself; nothing if it has parts that are stored elsewhere, or is damaged."""
    try:
        if any(True for _ in references(entry["tree"])):
            return ""
        return compact(values.display(entry["tree"]))
    except ArtifactError:
        return ""


def _outputs(record: Record) -> dict[str, str]:
    found = {}
    if record["returns"] is not None:
        held = record["returns"]
        found["returned"] = one_line(f"{artifact(held)}, {short_digest(held['digest'])}")
    for name, entry in record["outputs"].items():
        own = entry.get("artifact")
        text = compact(entry["display"]) if own is None else one_line(artifact(own))
        found[f".{name}"] = text if own is None else f"{text}, {short_digest(own['digest'])}"
    for name, own in record["artifacts"].items():
        found[f".{name}"] = one_line(f"{artifact(own)}, {short_digest(own['digest'])}, logged")
    return found


def _preview(run: Run, record: Record, screen: Screen) -> list[str]:
    """Return what the materializer of the returned value wrote for people to see of it."""
    preview = read_preview(run.store, record["returns"])
    if preview is None:
        return []
    parts = preview_parts(preview, screen.marks)
    title = screen.colours.paint("bold", "preview")
    lines = ["", f"{title}  {one_line(parts.words)}".rstrip()]
    rows = [*([parts.head] if parts.head else []), *parts.rows]
    cells = [[cut(one_line(cell), _WIDEST_CELL) for cell in row] for row in rows[:_PREVIEW_LINES]]
    count = max((len(row) for row in cells), default=0)
    widths = [
        max((width(row[at]) for row in cells if at < len(row)), default=0) for at in range(count)
    ]
    for row in cells:
        padded = [
            cell + " " * (most - width(cell)) for cell, most in zip(row, widths, strict=False)
        ]
        lines.append("  " + cut("  ".join(padded).rstrip(), screen.columns - 2))
    text = parts.text.split("\n") if parts.text else []
    lines += [f"  {cut(one_line(line), screen.columns - 2)}" for line in text[:_PREVIEW_LINES]]
    if len(rows) > _PREVIEW_LINES or len(text) > _PREVIEW_LINES:
        lines.append("  …")
    return lines


def _system(step: Step, record: Record, screen: Screen) -> dict[str, str]:
    """What was sampled of the machine while the step ran."""
    found = {}
    for name, entry in (record.get("system") or {}).items():
        shown = size if "_bytes" in name else short
        each = "/s" if name.endswith("_per_second") else ""
        series = step.series(name)
        line = sparkline(series["value"], width=32, marks=screen.marks) if series else ""
        spread = f"from {shown(entry['min'])} to {shown(entry['max'])}"
        words = (f"{shown(entry['last'])}{each}", line, spread)
        found[name.removeprefix("system.")] = "  ".join(word for word in words if word)
    return found


def _metric(step: Step, entry: MetricEntry, screen: Screen) -> str:
    text = short(entry["value"])
    count = entry.get("count", 1)
    if count > 1:
        series = step.series(entry["name"])
        if series is not None:
            text += f"  {sparkline(series['value'], width=32, marks=screen.marks)}"
        if "min" in entry and "max" in entry:
            text += f"  from {short(entry['min'])} to {short(entry['max'])}"
        text += f" in {count} values"
    return one_line(text)


def _error(error: ErrorPart | None, screen: Screen) -> list[str]:
    if error is None:
        return []
    lines = "\n".join(error["traceback"]).splitlines()
    head = screen.colours.paint("error", "error")
    return ["", f"{head}: {headline(error)}", *(f"  {escape(line)}" for line in lines)]


def _log(step: Step, screen: Screen) -> list[str]:
    """Return the last lines of the log of the last attempt."""
    end, has_more = step.log_end(_LOG_BYTES)
    lines = end.decode("utf-8", "replace").split("\n")
    lines = lines[:-1] if not lines[-1] else lines
    if not lines:
        return []
    is_cut = has_more or len(lines) > LOG_LINES
    title = f"log, the last {LOG_LINES} lines" if is_cut else "log"
    colours = screen.colours.enabled and sys.stdout.isatty()
    shown = [f"  {log_line(line, colours=colours)}" for line in lines[-LOG_LINES:]]
    return ["", screen.colours.paint("bold", title), *shown]
