"""Scores of an evaluation as tables for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The range that a report's first tables show, metres.
NEAR_M = (0.0, 40.0)
# With fewer true boxes than this, a score says little.
FEW = 50
# Section -> what it is called, and its columns: score, heading, whether a share between 0 and 1.
_SHOWN: Mapping[str, tuple[str, tuple[tuple[str, str, bool], ...]]] = {
    "3D": (
        "Cuboids",
        (
            ("truth", "true boxes", False),
            ("ap_2m", "AP@2m", True),
            ("recall", "recall", True),
            ("precision", "precision", True),
            ("hota", "HOTA", True),
            ("idf1", "IDF1", True),
            ("idsw", "switches", False),
            ("center_error_m", "centre error, m", False),
            ("yaw_error_deg", "yaw error, °", False),
        ),
    ),
    "2D": (
        "Boxes in pictures",
        (
            ("truth", "true boxes", False),
            ("ap_50", "AP50", True),
            ("recall", "recall", True),
            ("precision", "precision", True),
            ("hota", "HOTA", True),
            ("idf1", "IDF1", True),
            ("idsw", "switches", False),
        ),
    ),
}
_TITLES = {"lift": "From pictures to cuboids"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One number: its text, empty if there is none, and how much of a bar it fills, if it is a share."""

    text: str
    share: float | None


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A section of an evaluation.

    Attributes:
        title: in words.
        headings: of the cells.
        rows: class, range in words, cells, and whether it counts few objects only.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Cell, ...], bool], ...]


def near_tables(accuracy: Mapping[str, Any]) -> tuple[ScoreTable, ...]:
    """The scores to look at first: every class near the vehicle."""
    tables = []
    for section, (title, columns) in _SHOWN.items():
        rows = [row for row in accuracy["sections"].get(section, ()) if tuple(row["range_m"]) == NEAR_M]
        present = [column for column in columns if any(column[0] in row for row in rows)]
        if rows:
            tables.append(_table(title, rows, present))
    return tuple(tables)


def all_tables(accuracy: Mapping[str, Any]) -> tuple[ScoreTable, ...]:
    """Every score at every range, as ``fleetlabel eval`` gives it."""
    tables = []
    for section, rows in accuracy["sections"].items():
        names = dict.fromkeys(name for row in rows for name in row if name not in ("class", "range_m"))
        title = _SHOWN[section][0] if section in _SHOWN else _TITLES.get(section, section)
        if rows:
            tables.append(_table(title, rows, [(name, name.replace("_", " "), False) for name in names]))
    return tuple(tables)


def headline(accuracy: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Two numbers for the top of the page, of the class that the drive has most of: what, and its value."""
    found = []
    for section, score, name in (("3D", "ap_2m", "AP@2m in 3D"), ("2D", "hota", "HOTA in pictures")):
        rows = [row for row in accuracy["sections"].get(section, ()) if tuple(row["range_m"]) == NEAR_M]
        most: Mapping[str, Any] = max(rows, key=lambda row: row["truth"], default={})
        if most.get(score) is not None:
            found.append((f"{most['class'].replace('_', ' ')}: {name}", f"{most[score]:.2f}"))
    return tuple(found)


def _table(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, bool]]
) -> ScoreTable:
    return ScoreTable(
        title=title,
        headings=tuple(heading for _, heading, _ in columns),
        rows=tuple(
            (
                row["class"].replace("_", " "),
                _span(row["range_m"]),
                tuple(_cell(row.get(name), is_share) for name, _, is_share in columns),
                row.get("truth", row.get("found", FEW)) < FEW,
            )
            for row in rows
        ),
    )


def _cell(value: float | None, is_share: bool) -> Cell:
    if value is None:
        return Cell("", None)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
    return Cell(text, min(max(value, 0.0), 1.0) if is_share else None)


def _span(range_m: Sequence[float | None]) -> str:
    low, high = range_m
    return "all" if high is None else f"{low:g}-{high:g} m"
