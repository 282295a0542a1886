"""What a format cannot say of a label version: counted column by column, from what the format declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.contract import Carries
from fleetlabel.engine.exchange.labels import Labels, is_keyframe
from fleetlabel.geometry.arrays import I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D

CUBOIDS = "cuboids"
_KEYFRAME = "keyframe"


@dataclass(slots=True, eq=False)
class Survey:
    """What there is to say in a label version.

    Attributes:
        rows: camera, or :data:`CUBOIDS` -> boxes (F,) by frame.
        said: camera, or :data:`CUBOIDS` -> column -> boxes that have more to say in it than its default.
    """

    rows: dict[str, I64] = field(default_factory=dict)
    said: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, of: str) -> int:
        """Boxes of a camera, or cuboids."""
        return int(self.rows[of].sum()) if of in self.rows else 0


def survey(labels: Labels, carries: Carries) -> Survey:
    """Reads all labels once, in blocks; projections of cuboids only for formats that cannot have the cuboids."""
    found = Survey()
    cameras = labels.labelled_cameras if carries.cuboids else labels.cameras
    for boxes in labels.cuboid_blocks():
        _count(found, CUBOIDS, boxes, labels.drive.info.frame_timestamp_ns, labels.n_frames)
    for camera in cameras:
        for shown in labels.picture_blocks(camera):
            _count(found, camera, shown, labels.drive.exposure_ns[camera], labels.n_frames)
    return found


def losses(found: Survey, carries: Carries) -> list[dict[str, Any]]:
    """What is lost or changed: of which boxes, in which column, how many of them, and how."""
    told = []
    for of, said in found.said.items():
        kind = Boxes3D if of == CUBOIDS else Boxes2D
        columns: Mapping[str, str] = carries.columns(kind)
        if not columns and found.count(of):
            told.append({"of": of, "column": "all", "boxes": found.count(of), "how": "lost"})
        if not columns:
            continue
        columns = {**columns, **({_KEYFRAME: ""} if carries.keyframes else {})}
        for name, count in said.items():
            how = columns.get(name, "lost")
            if count and how:
                told.append({"of": of, "column": name, "boxes": count, "how": how})
    return told


def _count(found: Survey, of: str, boxes: Boxes, times_ns: I64, n_frames: int) -> None:
    found.rows[of] = found.rows.get(of, np.zeros(n_frames, dtype=np.int64))
    found.rows[of] += np.bincount(boxes.frame, minlength=n_frames)
    said = found.said.setdefault(of, {})
    for name, column in boxes.columns().items():
        if name != "frame":
            said[name] = said.get(name, 0) + int(_says(boxes, name, column, times_ns).sum())
    said[_KEYFRAME] = said.get(_KEYFRAME, 0) + int(is_keyframe(boxes).sum())


def _says(boxes: Boxes, name: str, column: AnyArray, times_ns: I64) -> Bool:
    """Boxes (N,) that have something in a column that a reader would not put there by itself."""
    if name == "timestamp_ns":
        return np.asarray(column != times_ns[boxes.frame])
    default = type(boxes).__dataclass_fields__[name].metadata["default"]
    if default is None:
        return np.ones(len(boxes), dtype=np.bool_)
    if default != default:  # NaN: not given
        given = ~np.isnan(column)
        return np.asarray(given.any(axis=1) if given.ndim > 1 else given)
    return np.asarray(column != default)
