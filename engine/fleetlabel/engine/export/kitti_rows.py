"""A label version as KITTI tracking rows: what the files say, as columns.

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

from fleetlabel.engine.export.projection import exposure_ns, project_labels
from fleetlabel.engine.ingest.kitti_calib import KittiCalib
from fleetlabel.engine.ingest.kitti_labels import DONT_CARE, rect_boxes
from fleetlabel.geometry import se3, yaw
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.motion import moved_to
from fleetlabel.model.ontology import KITTI, canonical
from fleetlabel.store import SequenceStore

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
_MACHINE = (Source.DETECTOR, Source.TRACKER, Source.INTERPOLATED, Source.SMOOTHED)
# Share of a box outside of the picture from which on KITTI's grade is 1 (partly), 2 (largely truncated).
_TRUNCATION_GRADES = (0.1, 0.5)
# What label files say where there is nothing to say: h w l, x y z, rotation_y.
_NO_CUBOID = (-1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0)
_DONT_CARE_CUBOID = (-1000.0, -1000.0, -1000.0, -10.0, -1.0, -1.0, -1.0)
_NO_ALPHA = -10.0


@dataclass(frozen=True, slots=True, eq=False)
class KittiRows:
    """Rows of a KITTI tracking file, by frame.

    Attributes:
        frame, track_id: (N,) int64; -1 for DontCare.
        name: (N,) of str, KITTI's class names.
        truncation, occlusion: (N,) int64, -1 unknown.
        xyxy_px: (N, 4).
        hwl_m, location_m, rotation_y: (N, 3), (N, 3), (N,) cuboids in the rectified frame, bottom-centred.
        solid: (N,) whether the row has a cuboid.
        score: (N,) float64.
        scored: whether scores mean something: a machine made the labels.
        left_out: names that KITTI has no word for, with counts.
    """

    frame: I64
    track_id: I64
    name: AnyArray
    truncation: I64
    occlusion: I64
    xyxy_px: F64
    hwl_m: F64
    location_m: F64
    rotation_y: F64
    solid: Bool
    score: F64
    scored: bool
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def alpha(self) -> F64:
        """(N,) observation angle: rotation_y less the bearing; -10 without a cuboid."""
        bearing = np.arctan2(self.location_m[:, 0], self.location_m[:, 2])
        return np.where(self.solid, yaw.wrap(self.rotation_y - bearing), _NO_ALPHA)

    def take(self, rows: AnyArray) -> Self:
        """The rows at some row numbers or of a mask."""
        columns: dict[str, Any] = {
            f.name: getattr(self, f.name)[rows]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **columns)


def kitti_rows(store: SequenceStore, version: str, camera: str) -> KittiRows:
    """Rows of a label version in one camera's pictures."""
    flat, solid = store.labels2d(version, camera), store.labels3d(version)
    names2d, names3d = kitti_names(flat), kitti_names(solid)
    left_out = _count([*_lost(flat, names2d), *_lost(solid, names3d)])
    flat, names2d = flat.take(names2d != ""), names2d[names2d != ""]
    solid, names3d = solid.take(names3d != ""), names3d[names3d != ""]
    partner = _partner(flat, solid)
    lonely = np.ones(len(solid), dtype=np.bool_)
    lonely[partner[partner >= 0]] = False
    seen = project_labels(store, solid, camera)
    extra = np.flatnonzero(lonely & seen.visible)
    cuboid = np.concatenate([partner, extra])
    in_rect = _cuboid_columns(store, solid, camera)
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
        truncation=np.concatenate([_grade(flat.truncation), _grade_outside(seen.outside[extra])]),
        occlusion=np.concatenate([flat.occlusion, solid.occlusion[extra]]).astype(np.int64),
        xyxy_px=np.concatenate([flat.xyxy_px, seen.xyxy_px[extra]]),
        hwl_m=columns[:, :3],
        location_m=columns[:, 3:6],
        rotation_y=columns[:, 6],
        solid=cuboid >= 0,
        score=score,
        scored=bool(np.isin(flat.source, _MACHINE).any() or np.isin(solid.source, _MACHINE).any()),
        left_out=left_out,
    )
    return rows.take(np.argsort(rows.frame, kind="stable"))


def rect_from_world(store: SequenceStore, camera: str) -> F64:
    """(F, 4, 4) the frame that KITTI's 3D columns are in, from the world, at every frame."""
    sensor = store.info.sensor(camera)
    if "calib" in store.info.source:
        ego_from_rect = KittiCalib.from_dict(store.info.source["calib"]).ego_from_rect
    else:
        ego_from_rect = sensor.ego_from_sensor
    return se3.invert(store.info.trajectory.at(exposure_ns(store, camera)) @ ego_from_rect)


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


def _cuboid_columns(store: SequenceStore, solid: Boxes3D, camera: str) -> F64:
    """(M, 7) h w l x y z rotation_y of cuboids, at the time of exposure."""
    exposed_ns = exposure_ns(store, camera)[solid.frame]
    center, q_wxyz = moved_to(solid, exposed_ns)
    frames = rect_from_world(store, camera)[solid.frame]
    hwl, location, rotation_y = rect_boxes(frames, center, solid.size_lwh_m, q_wxyz)
    return np.concatenate([hwl, location, rotation_y[:, None]], axis=1)


def _nothing(n: int) -> F64:
    return np.tile(np.array(_NO_CUBOID), (n, 1))


def _grade(truncation: AnyArray) -> I64:
    """KITTI's grade (N,) of a truncation: grades stay, fractions are graded, unknown is -1."""
    known = np.isfinite(truncation)
    value = np.where(known, truncation, -1.0).astype(np.float64)
    return np.where(value == np.round(value), np.round(value), _grade_outside(value)).astype(np.int64)


def _grade_outside(share: F64) -> I64:
    return np.searchsorted(np.array(_TRUNCATION_GRADES), share, side="right").astype(np.int64)
