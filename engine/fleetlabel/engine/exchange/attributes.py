"""What is said of a box beside its place, as names and values that any format with attributes can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.labels import is_keyframe
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Source
from fleetlabel.model.errors import SourceError

# Columns that attributes hold, in the order in which they are read.
ATTRIBUTES = ("source", "truncation", "occlusion", "visible_fraction", "detection")
COMMON_ATTRIBUTES = ("source", "truncation", "occlusion", "detection")
_SOURCES = {source.name.lower(): source for source in Source}
_NAMES = tuple(source.name.lower() for source in sorted(Source))


def attribute_rows(boxes: Boxes) -> Iterator[dict[str, Any]]:
    """For each box what is known of it: ``source``, ``keyframe``, and grades that are given; values are plain."""
    columns: dict[str, tuple[list[Any], list[bool]]] = {
        "truncation": (boxes.truncation.tolist(), np.isfinite(boxes.truncation).tolist()),
        "occlusion": (boxes.occlusion.tolist(), (boxes.occlusion >= 0).tolist()),
        "detection": (boxes.detection.tolist(), (boxes.detection >= 0).tolist()),
    }
    if isinstance(boxes, Boxes2D):
        known = np.isfinite(boxes.visible_fraction).tolist()
        columns["visible_fraction"] = (boxes.visible_fraction.tolist(), known)
    grades = [(name, *column) for name, column in columns.items()]
    sources, keyframes = boxes.source.tolist(), is_keyframe(boxes).tolist()
    for row, (source, keyframe) in enumerate(zip(sources, keyframes, strict=True)):
        said: dict[str, Any] = {"source": _NAMES[source], "keyframe": keyframe}
        for name, values, known in grades:
            if known[row]:
                said[name] = values[row]
        yield said


def given(column: AnyArray) -> list[bool]:
    """Rows of a column of several numbers (N, k) that are known: none of the numbers is NaN."""
    known: list[bool] = np.asarray(np.isfinite(column).all(axis=1)).tolist()
    return known


def read_attributes(
    said: Any, at: str, source: Source = Source.UNKNOWN, columns: tuple[str, ...] = ATTRIBUTES
) -> tuple[Any, ...]:
    """Values of ``columns`` from attributes; what they do not say is unknown.

    Args:
        source: where attributes do not name one.

    Raises:
        SourceError: they are no names and values.
    """
    if said is None:
        said = {}
    if not isinstance(said, Mapping):
        raise SourceError(f"{at} has {str(said)[:80]} for attributes, expected names and values")
    values = {
        "source": _SOURCES.get(str(said.get("source", "")).lower(), source),
        "truncation": number(said, "truncation", float("nan"), at),
        "occlusion": _grade(said, at),
        "visible_fraction": number(said, "visible_fraction", float("nan"), at),
        "detection": _whole(said, "detection", at),
    }
    return tuple(values[name] for name in columns)


def number(said: Mapping[str, Any], name: str, default: float, at: str) -> float:
    """A numeric attribute.

    Raises:
        SourceError: it is something else.
    """
    value = said.get(name)
    if value is None or value == "":
        return default
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{at}: {name} is {str(value)[:40]!r}, expected a number") from error


def _whole(said: Mapping[str, Any], name: str, at: str) -> int:
    value = number(said, name, -1, at)
    if value != value or value != int(value) or abs(value) >= 1 << 31:
        raise SourceError(f"{at}: {name} is {str(said[name])[:40]!r}, expected a whole number")
    return int(value)


def _grade(said: Mapping[str, Any], at: str) -> int:
    """KITTI's grade 0..3; other tools' ``occluded`` is partly occluded."""
    if "occlusion" not in said and "occluded" in said:
        return 1 if str(said["occluded"]).lower() in ("true", "1") else 0
    return max(-1, min(127, _whole(said, "occlusion", at)))
