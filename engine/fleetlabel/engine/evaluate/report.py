"""What an evaluation says: rows of scores, and the rules in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one class, at one distance from the vehicle.

    Attributes:
        cls: class name.
        range_m: from, to; infinite where there is no limit.
        values: score by name; NaN where there is nothing to measure.
    """

    cls: str
    range_m: tuple[float, float]
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation.

    Attributes:
        sequence, labels, ground_truth: what was compared with what.
        rules: name of the rules.
        statement: the rules in words, a sentence each.
        headline: the few numbers to look at first.
        sections: title -> rows.
    """

    sequence: str
    labels: str
    ground_truth: str
    rules: str
    statement: tuple[str, ...]
    headline: Mapping[str, float]
    sections: Mapping[str, tuple[Scores, ...]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers that are not finite become null."""
        return {
            "sequence": self.sequence,
            "labels": self.labels,
            "ground_truth": self.ground_truth,
            "rules": self.rules,
            "statement": list(self.statement),
            "headline": _plain(self.headline),
            "sections": {
                title: [
                    {"class": row.cls, "range_m": [_finite(m) for m in row.range_m], **_plain(row.values)}
                    for row in rows
                ]
                for title, rows in self.sections.items()
            },
        }

    def print(self, console: Console) -> None:
        """Tables for people."""
        console.print(f"{self.sequence}: {self.labels} against {self.ground_truth}", markup=False)
        for sentence in self.statement:
            console.print(f"  {sentence}", markup=False)
        for title, rows in self.sections.items():
            if rows:
                console.print(_table(title, rows))
        for name, value in self.headline.items():
            console.print(f"{name}: {_number(value)}", markup=False)


def _table(title: str, rows: tuple[Scores, ...]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    table.add_column("range m", justify="right")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        low, high = row.range_m
        span = "all" if math.isinf(high) else f"{low:g}-{high:g}"
        table.add_row(row.cls, span, *(_number(row.values.get(name, math.nan)) for name in names))
    return table


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:.0f}" if isinstance(value, int) else f"{value:.3f}"


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(value)
