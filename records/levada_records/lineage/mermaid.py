"""A lineage as a Mermaid flowchart: a box for each step, by run, and an arrow for what it took."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run_links import StepKey
    from .trace import Lineage

#: Items of a loop that have a box each; more of them share one.
MOST_ITEMS = 12


def mermaid(lineage: Lineage) -> str:
    """Return the text of a flowchart.

    >>> print(mermaid(lineage))
    flowchart TD
      subgraph r0["churn 20260101-060000-1f3a9c"]
        s0["load"]
        s1["train"]
      end
      s0 -->|"DataFrame 6c301cda718f"| s1
    """
    keys = sorted(lineage.steps)
    boxes = _boxes(keys, lineage)
    names = {box: f"s{number}" for number, box in enumerate(dict.fromkeys(boxes.values()))}
    lines = ["flowchart TD"]
    runs = dict.fromkeys(key[:2] for key in keys)
    for number, run in enumerate(runs):
        lines.append(f'  subgraph r{number}["{_text(" ".join(run))}"]')
        own = dict.fromkeys(boxes[key] for key in keys if key[:2] == run)
        lines += [f'    {names[box]}["{_text(box[2])}"]' for box in own]
        lines.append("  end")
    arrows = {
        f"  {names[boxes[maker]]} {arrow} {names[boxes[user]]}": None
        for maker, user, arrow in _edges(lineage)
        if boxes[maker] != boxes[user]
    }
    marked = dict.fromkeys(names[boxes[key]] for key in lineage.roots)
    return "\n".join(
        [*lines, *arrows, *(f"  style {name} stroke-width:3px" for name in marked), ""]
    )


def _boxes(keys: list[StepKey], lineage: Lineage) -> dict[StepKey, tuple[str, str, str]]:
    """Return for each step its run and what is written in its box."""
    counts: dict[tuple[str, str, str], int] = {}
    for key in keys:
        counts[key[:3]] = counts.get(key[:3], 0) + bool(key[3])
    boxes = {}
    for key in keys:
        pipeline, run_id, node, _ = key
        count = counts[key[:3]]
        label = lineage.steps[key].label if count <= MOST_ITEMS else f"{node}[…] ({count} items)"
        boxes[key] = (pipeline, run_id, label)
    return boxes


def _edges(lineage: Lineage) -> list[tuple[StepKey, StepKey, str]]:
    """Return what took from what, with the arrow of each; sorted."""
    pairs = {(maker, user) for user, makers in lineage.up.items() for maker in makers}
    pairs |= {(maker, user) for maker, users in lineage.down.items() for user in users}
    return [(maker, user, _arrow(lineage, maker, user)) for maker, user in sorted(pairs)]


def _arrow(lineage: Lineage, maker: StepKey, user: StepKey) -> str:
    """Return an arrow with what it stands for: an artifact, or a result of the cache."""
    origin = lineage.steps[user].origin
    if maker[:2] != user[:2] and origin is not None and origin[1:] == maker[1:]:
        return '-.->|"cached"|'
    given = lineage.steps[maker].outputs.values()
    taken = {digest for link in lineage.steps[user].links for digest in link.digests}
    shown = [each for each in given if each["digest"] in taken]
    if not shown:
        return "-->"
    kind = shown[0]["type"].rpartition(":")[2]
    return f'-->|"{_text(kind)} {shown[0]["digest"][7:19]}"|'


def _text(text: str) -> str:
    """Return a text that cannot end the label that it stands in."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    for character, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        plain = plain.replace(character, entity)
    return plain
