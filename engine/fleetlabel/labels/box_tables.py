"""All boxes of one view of a base version, by track and frame, with the detections that they were made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.labels.base import BaseLabels
from fleetlabel.model.boxes import Boxes2D, Boxes3D


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """All boxes of one view of the base version, by track and frame; N rows.

    Attributes:
        track_id, frame: (N,).
        box: (N, 7) x y z length width height yaw in the world, or (N, 4) xyxy_px.
        found: the detections that they were made from, likewise; NaN where there is none.
        score: (N,) of the detections, NaN where there is none.
        vote: (N,) class of the detections, by the base's class names; -1 where there is none.
        class_id: (N,) of the boxes.
        n_points: (N,) lidar points, -1 unknown.
        velocity_mps: (N, 3) of cuboids, 0 unknown; none in pictures.
    """

    track_id: I64
    frame: I64
    box: F64
    found: F64
    score: F64
    vote: I64
    class_id: I64
    n_points: I64
    velocity_mps: F64

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def seen(self) -> Bool:
        """(N,) which rows have a detection."""
        seen: Bool = np.isfinite(self.score)
        return seen

    @property
    def key(self) -> I64:
        """(N,) track and frame as one ascending number."""
        return self.track_id << 32 | self.frame


def tables_of(base: BaseLabels) -> dict[str, Table]:
    """Every view's boxes of the base version with their detections; camera "" for cuboids."""
    names = base.class_names
    tables = {}
    if base.version.has_boxes3d:
        solid = base.frames3d(0, base.n_frames)
        tables[""] = _table(solid, base.detections3d(solid), base.detected("", solid), names)
    for camera in base.version.cameras:
        flat = base.frames2d(camera, 0, base.n_frames)
        tables[camera] = _table(flat, base.detections2d(camera, flat), base.detected(camera, flat), names)
    return tables


def _table(
    boxes: Boxes2D | Boxes3D, detections: Boxes2D | Boxes3D, detected: Bool, names: tuple[str, ...]
) -> Table:
    """Boxes by track and frame; those of no track are left out."""
    n = len(boxes)
    whole = _numbers(boxes)
    found, score, vote = np.full(whole.shape, np.nan), np.full(n, np.nan), np.full(n, -1)
    class_of = np.array(
        [names.index(name) if name in names else -1 for name in detections.class_names] or [-1]
    )
    found[detected], score[detected] = _numbers(detections), detections.score
    vote[detected] = class_of[detections.class_id]
    kept = np.flatnonzero(boxes.track_id >= 0)
    order = kept[np.lexsort((boxes.frame[kept], boxes.track_id[kept]))]
    solid = boxes if isinstance(boxes, Boxes3D) else None
    return Table(
        track_id=boxes.track_id[order],
        frame=boxes.frame[order].astype(np.int64),
        box=whole[order],
        found=found[order],
        score=score[order],
        vote=vote[order],
        class_id=boxes.class_id[order].astype(np.int64),
        n_points=solid.n_points[order].astype(np.int64) if solid else np.full(len(order), -1),
        velocity_mps=np.nan_to_num(solid.velocity_mps[order].astype(np.float64))
        if solid
        else np.zeros((0, 3)),
    )


def _numbers(boxes: Boxes2D | Boxes3D) -> F64:
    if isinstance(boxes, Boxes2D):
        return boxes.xyxy_px
    heading = quaternion.yaw_of(boxes.q_wxyz)[:, None]
    return np.concatenate([boxes.center_m, boxes.size_lwh_m, heading], axis=1)
