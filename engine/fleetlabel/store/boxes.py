"""Columnar boxes as parts of a table, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from fleetlabel.geometry.arrays import I64, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.store.part import Part

B = TypeVar("B", Boxes2D, Boxes3D)


def part_of(
    boxes: Boxes, start: int, stop: int, frame_timestamp_ns: I64, extra: Mapping[str, AnyArray] | None = None
) -> Part:
    """The part of frames ``start:stop`` that holds these boxes, and further flat columns of a stage's own."""
    counts = np.diff(np.searchsorted(boxes.frame, np.arange(start, stop + 1)))
    flat = boxes.columns() | dict(extra or {})
    del flat["frame"]  # said by counts
    return Part(samples={"timestamp_ns": frame_timestamp_ns}, counts=counts.astype(np.int64), flat=flat)


def boxes_of(part: Part, kind: type[B], class_names: tuple[str, ...], start: int) -> B:
    """The boxes of a part that begins at frame ``start``; a stage's own columns are left out."""
    frame = np.repeat(np.arange(start, start + len(part), dtype=np.int32), part.counts)
    columns = {name: part.flat[name] for name in kind.column_names() if name != "frame"}
    return kind.from_columns(class_names, columns | {"frame": frame})
