"""The documentation's table of label formats, made of what each declares.

python -m fleetlabel.engine.exchange.table README.md     # renews the table in a file
"""

from __future__ import annotations

import sys
from pathlib import Path

from fleetlabel.engine.exchange.contract import LabelFormat, WritableFormat
from fleetlabel.engine.exchange.formats import FORMATS
from fleetlabel.model.boxes import Boxes2D, Boxes3D

BEGIN = "<!-- table: python -m fleetlabel.engine.exchange.table README.md -->"
END = "<!-- end of table -->"
_KINDS: tuple[type[Boxes2D] | type[Boxes3D], ...] = (Boxes2D, Boxes3D)
_COLUMNS = {
    "identity": "track_id",
    "class": "class_id",
    "score": "score",
    "ignore": "ignore",
    "occlusion": "occlusion",
    "truncation": "truncation",
    "source": "source",
    "time": "timestamp_ns",
}


def format_table() -> str:
    """Markdown: a row per format, then what becomes of what is not carried as it is."""
    head = ["format", "`--format`", "", "2D", "cuboids", *_COLUMNS, "keyframes"]
    rows = [head, ["---"] * len(head), *(_row(format) for format in FORMATS.values())]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *(line for format in FORMATS.values() for line in _changes(format))])


def renewed(text: str) -> str:
    """A document with its table as it should be.

    Raises:
        ValueError: it has no place for it.
    """
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{format_table()}\n{END}{after}"


def _row(format: LabelFormat) -> list[str]:
    carries = format.carries
    flat, solid = ("yes" if carries.columns(kind) else "" for kind in _KINDS)
    turned = carries.cuboids.get("q_wxyz", "")
    solid = "heading" if solid and turned else solid
    cells = [_cell(format, column) for column in _COLUMNS.values()]
    direction = "in, out" if isinstance(format, WritableFormat) else "in"
    return [
        format.title,
        f"`{format.name}`",
        direction,
        flat,
        solid,
        *cells,
        "yes" if carries.keyframes else "",
    ]


def _cell(format: LabelFormat, column: str) -> str:
    """``yes`` if a column comes back as it was, ``changed``, or nothing if it is lost."""
    said = [format.carries.columns(kind).get(column) for kind in _KINDS if format.carries.columns(kind)]
    if all(change is None for change in said):
        return ""
    return "yes" if not any(change is None or change for change in said) else "changed"


def _changes(format: LabelFormat) -> list[str]:
    changes = {
        f"{name}: {change}"
        for kind in _KINDS
        for name, change in format.carries.columns(kind).items()
        if change
    }
    told = [*sorted(changes), *format.carries.notes]
    return [f"- **{format.title}**: {'; '.join(told)}."] if told else []


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(renewed(document.read_text()))
