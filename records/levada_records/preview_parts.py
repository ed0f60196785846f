"""The preview of an artifact as the parts that a terminal or a page shows: words, rows, a text.

A preview comes from the store, so each of its fields may be missing or of another form.
"""

from __future__ import annotations

import json
from itertools import islice

from levada_records.sparklines import BLOCKS, sparkline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Preview = Mapping[str, Any]


class PreviewParts:
    """What is shown of a preview; a part that it does not have is empty.

    ``words`` say in a line what it is, ``head`` and ``rows`` are a table, ``text`` is lines, and
    ``png`` a picture in base64.
    """

    __slots__ = ("head", "png", "rows", "text", "words")

    def __init__(
        self,
        words: str,
        head: list[str] | None = None,
        rows: list[list[str]] | None = None,
        text: str = "",
        png: str = "",
    ) -> None:
        self.words = words
        self.head = head or []
        self.rows = rows or []
        self.text = text
        self.png = png


def preview_parts(preview: Preview, marks: str = BLOCKS) -> PreviewParts:
    """Return the parts of a preview; ``marks`` are those of sparklines.

    >>> preview_parts({"kind": "folder", "files": 2, "size": 13, "names": [["a.txt", 5]]}).words
    'a folder of 2 files, 13 bytes'
    """
    kind = str(preview.get("kind"))
    make = _KINDS.get(kind)
    if make is None:
        held = {name: value for name, value in preview.items() if name not in ("kind", "schema")}
        return PreviewParts(kind, text=_json(held))
    return make(preview, marks)


def _table(preview: Preview, _: str) -> PreviewParts:
    columns = [each for each in _list(preview, "columns") if isinstance(each, dict)]
    count = preview.get("columns_total", len(columns))
    head = [str(column.get("name")) for column in columns]
    rows = [[_cell(cell) for cell in row] for row in _list(preview, "head") if _is_list(row)]
    labels = _list(preview, "index")
    if len(labels) == len(rows) and labels:
        head = ["", *head]
        rows = [[_cell(label), *row] for label, row in zip(labels, rows, strict=True)]
    return PreviewParts(
        f"{_count(preview.get('rows'))} rows of {_count(count)} columns", head, rows
    )


def _array(preview: Preview, marks: str) -> PreviewParts:
    shape = " x ".join(map(_count, _list(preview, "shape"))) or "one number"
    words = f"{preview.get('dtype')} of {shape}"
    if "min" in preview and "max" in preview:
        words += f", from {_cell(preview['min'])} to {_cell(preview['max'])}"
    if preview.get("nan"):
        words += f", {_count(preview['nan'])} are NaN"
    histogram = preview.get("histogram")
    counts = _list(histogram, "counts") if isinstance(histogram, dict) else []
    numbers = [each for each in counts if isinstance(each, (int, float))]
    lines = [f"histogram {sparkline(numbers, 32, marks)}"] if numbers else []
    if "values" in preview:
        lines.append(_json(preview["values"], indent=None))
    return PreviewParts(words, text="\n".join(lines))


def _image(preview: Preview, _: str) -> PreviewParts:
    size = f"{_count(preview.get('width'))} x {_count(preview.get('height'))} pixels"
    png = preview.get("png")
    return PreviewParts(f"an image of {size}", png=png if isinstance(png, str) else "")


def _text(preview: Preview, _: str) -> PreviewParts:
    words = f"a text of {_count(preview.get('size'))} bytes"
    return PreviewParts(words, text=str(preview.get("text", "")))


def _bytes(preview: Preview, _: str) -> PreviewParts:
    words = f"{_count(preview.get('size'))} bytes"
    return PreviewParts(words, text=str(preview.get("start", "")))


def _value(preview: Preview, _: str) -> PreviewParts:
    return PreviewParts("", text=_json(preview.get("value")))


def _model(preview: Preview, _: str) -> PreviewParts:
    words = [str(preview.get("class", "a model"))]
    counted = [name for name in ("tensors", "weights") if name in preview]
    words += [f"{_count(preview[name])} {name}" for name in counted]
    rows = []
    for part in ("parameters", "fitted"):
        held = preview.get(part)
        if isinstance(held, dict):
            rows += [[str(name), _cell(value)] for name, value in held.items()]
    return PreviewParts(", ".join(words), rows=rows)


def _folder(preview: Preview, _: str) -> PreviewParts:
    words = f"a folder of {_count(preview.get('files'))} files, {_count(preview.get('size'))} bytes"
    rows = [[_cell(cell) for cell in row] for row in _list(preview, "names") if _is_list(row)]
    return PreviewParts(words, rows=rows)


def _chart(preview: Preview, _: str) -> PreviewParts:
    return PreviewParts(f"a chart of {preview.get('kind')}")


_KINDS: dict[str, Callable[[Preview, str], PreviewParts]] = {
    "table": _table,
    "array": _array,
    "image": _image,
    "text": _text,
    "bytes": _bytes,
    "json": _value,
    "model": _model,
    "folder": _folder,
    "plotly": _chart,
    "vega": _chart,
}


def _list(preview: Preview, name: str) -> list[Any]:
    found = preview.get(name)
    return list(islice(found, 1000)) if isinstance(found, list) else []


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else _json(value, indent=None)


def _json(value: object, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, default=str)
