"""What is there to be labelled: boxes of what pictures show, and cuboids of what the sensors can see.

2D: every object with at least :data:`MIN_VISIBLE_PX` pixels in a picture; fewer are left out. ``xyxy_px`` is the edge
of the pixels that show it, ``amodal_xyxy_px`` of those that would if nothing hid it (both within the picture),
``visible_fraction`` the share of the one in the other, ``occlusion`` its grade as KITTI's: 0 from 0.8 up, 1 from 0.5,
2 from 0.2, 3 below. ``truncation`` is the share of the whole object's box that lies outside the picture.

3D: objects whose centre is within :data:`RANGE_M` of the vehicle, level, at the frame's time. ``n_points`` counts the
returns of the frame's sweeps that came from the object, of all lidars together; 0 where there are none. An object that
no sensor sees at a frame (no return, no picture with enough pixels) is in the truth only where it is seen again within
:data:`BRIDGED_FRAMES`: what is behind a house all along is nobody's to find, what passes behind a truck is.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.scene import OBJECT_CLASSES, Actors
from fleetlabel.engine.synth.sight import Sight, visible
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I8, I64, Bool
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import CameraModel

MIN_VISIBLE_PX = 20
RANGE_M = 80.0
BRIDGED_FRAMES = 20
# Columns of what is kept of a picture: an array of numbers a picture stays small for hours of driving.
_ID, _CLASS, _BOX, _AMODAL, _FRACTION, _TRUNCATION = 0, 1, slice(2, 6), slice(6, 10), 10, 11
_COLUMNS = 12
_GRADES = (0.8, 0.5, 0.2)
_WIDEST = 0.2  # cosine beyond which a point counts as this far to the side: a box must end somewhere


def picture_truth(sight: Sight, camera: CameraModel) -> F64:
    """Objects in a picture, (N, 12) float64; :func:`boxes_2d` reads it."""
    count, box = visible(sight)
    rows = np.flatnonzero(count >= MIN_VISIBLE_PX)
    found = np.empty((len(rows), _COLUMNS))
    found[:, _ID], found[:, _CLASS] = sight.actors.object_id[rows], sight.actors.class_id[rows]
    found[:, _BOX], found[:, _AMODAL] = box[rows], sight.outline_xyxy_px[rows]
    found[:, _FRACTION] = count[rows] / sight.outline_px[rows]
    found[:, _TRUNCATION] = [_outside(sight, int(row), camera) for row in rows]
    return found


def boxes_2d(found: F64, frame: int, timestamp_ns: int) -> Boxes2D:
    """Boxes of one picture."""
    n = len(found)
    return Boxes2D(
        class_names=OBJECT_CLASSES,
        frame=np.full(n, frame, dtype=np.int32),
        timestamp_ns=np.full(n, timestamp_ns, dtype=np.int64),
        class_id=found[:, _CLASS].astype(np.int16),
        track_id=found[:, _ID].astype(np.int64),
        source=np.full(n, Source.GROUND_TRUTH, dtype=np.uint8),
        truncation=found[:, _TRUNCATION].astype(np.float32),
        occlusion=_grade(found[:, _FRACTION]),
        xyxy_px=found[:, _BOX],
        amodal_xyxy_px=found[:, _AMODAL],
        visible_fraction=found[:, _FRACTION].astype(np.float32),
    )


def objects_in(found: F64) -> I64:
    """Ids (N,) of the objects in a picture."""
    return found[:, _ID].astype(np.int64)


def boxes_3d(actors: Actors, ego_m: F64, frame: int, timestamp_ns: int, n_points: dict[int, int]) -> Boxes3D:
    """Cuboids within range of the vehicle (3,) at a frame.

    Args:
        n_points: returns by object.
    """
    near = np.linalg.norm(actors.center_m[:, :2] - ego_m[:2], axis=1) <= RANGE_M
    rows = np.flatnonzero(near)
    n = len(rows)
    ids = actors.object_id[rows]
    return Boxes3D(
        class_names=OBJECT_CLASSES,
        frame=np.full(n, frame, dtype=np.int32),
        timestamp_ns=np.full(n, timestamp_ns, dtype=np.int64),
        class_id=actors.class_id[rows],
        track_id=ids,
        source=np.full(n, Source.GROUND_TRUTH, dtype=np.uint8),
        center_m=actors.center_m[rows],
        size_lwh_m=actors.size_lwh_m[rows],
        q_wxyz=quaternion.normalize(actors.q_wxyz[rows]),
        velocity_mps=actors.velocity_mps[rows].astype(np.float32),
        n_points=np.array([n_points.get(int(number), 0) for number in ids], dtype=np.int32),
    )


def within_sight(boxes: Boxes3D, seen: Bool) -> Boxes3D:
    """The cuboids that are seen (N,), and those of gaps that are short enough to bridge."""
    frames = 1 << 32
    key = boxes.track_id * frames + boxes.frame
    known = np.sort(key[seen])
    if not len(known):
        return boxes.take(seen)
    at = np.searchsorted(known, key)
    before, after = known[np.maximum(at - 1, 0)], known[np.minimum(at, len(known) - 1)]
    bridged = (before // frames == boxes.track_id) & (after // frames == boxes.track_id)
    bridged &= (before < key) & (after > key) & (after - before <= BRIDGED_FRAMES)
    return boxes.take(seen | bridged)


def _grade(fraction: F64) -> I8:
    grade: I8 = np.sum([fraction < limit for limit in _GRADES], axis=0, dtype=np.int8)
    return grade


def _outside(sight: Sight, row: int, camera: CameraModel) -> float:
    """Share of an object's whole box that is outside of the picture.

    Where the lens cannot image a vertex (beside or behind the camera) the box goes as far as a pinhole would see it,
    up to nearly sideways.
    """
    actors = sight.actors
    world_from_object = se3.transform(quaternion.to_matrix(actors.q_wxyz[row]), actors.center_m[row])
    vertices = actors.mesh[row].vertices_m.astype(np.float64)
    points = se3.apply(se3.invert(sight.world_from_camera) @ world_from_object, vertices)
    uv, valid = camera.project(points)
    if not bool(valid.all()):
        beyond = points[~valid]
        depth = np.maximum(beyond[:, 2], _WIDEST * np.linalg.norm(beyond, axis=1))
        plane = beyond[:, :2] / np.maximum(depth, 1e-6)[:, None]
        uv[~valid] = plane * (camera.fx_px, camera.fy_px) + (camera.cx_px, camera.cy_px)
    low, high = uv.min(axis=0), uv.max(axis=0)
    size = (camera.width_px, camera.height_px)
    inside = np.maximum(np.minimum(high, size) - np.maximum(low, 0.0), 0.0)
    return float(1.0 - np.prod(inside) / np.prod(np.maximum(high - low, 1e-9)))
