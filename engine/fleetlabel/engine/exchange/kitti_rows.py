"""Labels as rows of KITTI's label files: what the files say, as columns.

Rows are in the rectified frame of the source's calibration if it has one, else in the camera's own frame
at the time of exposure. A 2D box and a cuboid of the same frame and track are one row; a cuboid alone gets
the box around its projection. Names outside of KITTI's vocabulary are translated through ours; what KITTI
has no name for is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from fleetlabel.engine.exchange.labels import Drive, Labels
from fleetlabel.engine.ingest.kitti_calib import KittiCalib
from fleetlabel.engine.ingest.kitti_labels import DONT_CARE, rect_boxes
from fleetlabel.geometry import se3, yaw
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.ontology import KITTI, canonical

# KITTI's word for ours; KITTI counts trailers, buses and the like as Misc.
_KITTI_NAME: Mapping[str, str] = MappingProxyType(
    {
        "car": "Car",
        "truck": "Truck",
        "bus": "Misc",
        "trailer": "Misc",
        "construction_vehicle": "Misc",
        "train": "Tram",
        "motorcycle": "Misc",
        "bicycle": "Cyclist",
        "pedestrian": "Pedestrian",
    }
)
# Share of a box outside of the picture from which on KITTI's grade is 1 (partly), 2 (largely truncated).
_TRUNCATION_GRADES: F64 = np.array([0.1, 0.5])
# What label files say where there is nothing to say: h w l, x y z, rotation_y.
_NO_CUBOID = (-1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0)
_DONT_CARE_CUBOID = (-1000.0, -1000.0, -1000.0, -10.0, -1.0, -1.0, -1.0)
_NO_ALPHA = -10.0


@dataclass(frozen=True, slots=True, eq=False)
class KittiRows:
    """Rows of KITTI label files, by frame.

    Attributes:
        frame, track_id: (N,) int64; -1 for DontCare.
        name: (N,) of str, KITTI's class names.
        truncation: (N,) float64 as the label grades it, NaN unknown.
        occlusion: (N,) int64, -1 unknown.
        xyxy_px: (N, 4).
        hwl_m, location_m, rotation_y: (N, 3), (N, 3), (N,) cuboids in the rectified frame, bottom-centred.
        solid: (N,) whether the row has a cuboid.
        score: (N,) float64.
        left_out: names that KITTI has no word for, with counts.
    """

    frame: I64
    track_id: I64
    name: AnyArray
    truncation: F64
    occlusion: I64
    xyxy_px: F64
    hwl_m: F64
    location_m: F64
    rotation_y: F64
    solid: Bool
    score: F64
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def alpha(self) -> F64:
        """(N,) observation angle: rotation_y less the bearing; -10 without a cuboid."""
        bearing = np.arctan2(self.location_m[:, 0], self.location_m[:, 2])
        return np.where(self.solid, yaw.wrap(self.rotation_y - bearing), _NO_ALPHA)

    @property
    def truncation_grade(self) -> I64:
        """(N,) as the tracking benchmark grades it, -1 unknown: grades stay, fractions are graded."""
        value = np.where(np.isfinite(self.truncation), self.truncation, -1.0)
        graded = np.searchsorted(_TRUNCATION_GRADES, value, side="right")
        return np.where(value == np.round(value), value, graded).astype(np.int64)

    def take(self, rows: AnyArray | slice) -> Self:
        """The rows at some row numbers, of a mask or of a slice."""
        columns: dict[str, Any] = {
            f.name: getattr(self, f.name)[rows]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **columns)


def kitti_rows(labels: Labels, camera: str, start: int = 0, stop: int | None = None) -> KittiRows:
    """Rows of labels in one camera's pictures, of the frames ``start:stop`` (all by default)."""
    stop = labels.n_frames if stop is None else stop
    flat = labels.pictures(camera, start, stop)
    solid = labels.cuboids_at(labels.drive.exposure_ns[camera], start, stop)
    solid = solid.take(~solid.ignore)
    names2d, names3d = kitti_names(flat), kitti_names(solid)
    left_out = _count([*_lost(flat, names2d), *_lost(solid, names3d)])
    flat, names2d = flat.take(names2d != ""), names2d[names2d != ""]
    solid, names3d = solid.take(names3d != ""), names3d[names3d != ""]
    partner = _partner(flat, solid)
    lonely = np.ones(len(solid), dtype=np.bool_)
    lonely[partner[partner >= 0]] = False
    alone = np.flatnonzero(lonely)
    seen = labels.seen(camera, solid.take(alone))
    extra = alone[seen.visible]
    cuboid = np.concatenate([partner, extra])
    in_rect = _cuboid_columns(labels.drive, solid, camera)
    columns = (
        np.where((cuboid >= 0)[:, None], in_rect[cuboid], _NO_CUBOID) if len(solid) else _nothing(len(cuboid))
    )
    columns[: len(flat)][flat.ignore] = _DONT_CARE_CUBOID
    score = np.concatenate([flat.score, solid.score[extra]]).astype(np.float64)
    if len(solid):
        score = np.where(cuboid >= 0, solid.score[cuboid], score)
    rows = KittiRows(
        frame=np.concatenate([flat.frame, solid.frame[extra]]).astype(np.int64),
        track_id=np.concatenate([np.where(flat.ignore, -1, flat.track_id), solid.track_id[extra]]),
        name=np.concatenate([names2d, names3d[extra]]),
        truncation=np.concatenate([flat.truncation, seen.outside[seen.visible]]).astype(np.float64),
        occlusion=np.concatenate([flat.occlusion, solid.occlusion[extra]]).astype(np.int64),
        xyxy_px=np.concatenate([flat.xyxy_px, seen.xyxy_px[seen.visible]]),
        hwl_m=columns[:, :3],
        location_m=columns[:, 3:6],
        rotation_y=columns[:, 6],
        solid=cuboid >= 0,
        score=score,
        left_out=left_out,
    )
    return rows.take(np.argsort(rows.frame, kind="stable"))


def ego_from_rect(drive: Drive, camera: str) -> F64:
    """(4, 4) ego from the frame that KITTI's 3D columns are in."""
    if "calib" in drive.info.source:
        return KittiCalib.from_dict(drive.info.source["calib"]).ego_from_rect
    return drive.info.sensor(camera).ego_from_sensor


def kitti_names(boxes: Boxes) -> AnyArray:
    """KITTI's name (N,) for every box, empty where it has none; ignore regions are DontCare."""
    words = [_word(name) for name in boxes.class_names]
    names = np.array([*words, DONT_CARE], dtype="<U16")[boxes.class_id]
    names[boxes.ignore] = DONT_CARE
    return names


def _word(name: str) -> str:
    if name in (*KITTI, DONT_CARE):
        return name
    known = canonical(name)
    return _KITTI_NAME.get(known, "") if known is not None else ""


def _lost(boxes: Boxes, names: AnyArray) -> list[str]:
    labels: list[str] = boxes.class_labels()[names == ""].tolist()
    return labels


def _count(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _partner(flat: Boxes2D, solid: Boxes3D) -> I64:
    """Row of the cuboid (N,) with the frame and track of each 2D box, -1 where there is none."""
    partner = np.full(len(flat), -1, dtype=np.int64)
    if not len(solid):
        return partner
    order = np.lexsort((solid.track_id, solid.frame))
    keys, wanted = _key(solid)[order], _key(flat)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = (keys[place] == wanted) & (flat.track_id >= 0) & ~flat.ignore
    partner[hit] = order[place[hit]]
    return partner


def _key(boxes: Boxes) -> AnyArray:
    """Frame and track as one number that sorts by frame, then track."""
    key = np.empty(len(boxes), dtype=[("frame", np.int64), ("track", np.int64)])
    key["frame"], key["track"] = boxes.frame, boxes.track_id
    return key


def _cuboid_columns(drive: Drive, solid: Boxes3D, camera: str) -> F64:
    """(M, 7) h w l x y z rotation_y of cuboids."""
    world_from_rect = drive.info.trajectory.at(solid.timestamp_ns) @ ego_from_rect(drive, camera)
    hwl, location, rotation_y = rect_boxes(
        se3.invert(world_from_rect), solid.center_m, solid.size_lwh_m, solid.q_wxyz
    )
    return np.concatenate([hwl, location, rotation_y[:, None]], axis=1)


def _nothing(n: int) -> F64:
    return np.tile(np.array(_NO_CUBOID), (n, 1))
