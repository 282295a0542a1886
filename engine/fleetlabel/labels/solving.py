"""From what people said about an object to its boxes: a pure function of base version, object and solver.

An object whose geometry nobody touched keeps the boxes of the base version, bit for bit. One that has keyframes, or is
put together from several tracks, is solved anew: its detections and keyframes go to the solver, and every word of
people about it is laid over what comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I32, I64, AnyArray, Bool
from fleetlabel.labels.base import BaseLabels, is_evidence
from fleetlabel.labels.objects import Flag, LabelObject
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.store.boxes import B
from fleetlabel.trackers import Detections2D, Detections3D

_HALF_TURN: F64 = np.array([0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """What a solver gives for one track; K frames.

    Attributes:
        box: (K, 4) xyxy_px, or (K, 7) centre, size, yaw in the world frame.
        std: (K, 4) standard deviation of the edges in pixels, or (K, 3) of the centre along the box's axes; NaN
            unknown.
        velocity_mps: (K, 3); zeros in pictures.
    """

    box: F64
    std: F64
    velocity_mps: F64


class Solver(Protocol):
    """Solves one track around keyframes. ``frame`` columns count ``timestamp_ns``, which are those that are wanted."""

    @property
    def version(self) -> str:
        """Names the algorithm and its parameters: the same version gives the same boxes."""

    def cuboids(
        self,
        timestamp_ns: I64,
        detections: Detections3D,
        n_points: AnyArray,
        key_frame: I64,
        key_box: F64,
        *,
        size_lwh_m: tuple[float, float, float] | None,
        stationary: bool | None,
    ) -> Solved:
        """Cuboids (K, 7) at all times; rows ``key_frame`` (M,) are exactly ``key_box`` (M, 4: centre, yaw)."""

    def pictures(
        self,
        timestamp_ns: I64,
        detections: Detections2D,
        key_frame: I64,
        key_box: F64,
        *,
        picture_px: tuple[int, int],
    ) -> Solved:
        """Boxes (K, 4) at all times; rows ``key_frame`` (M,) are exactly ``key_box`` (M, 4)."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectBoxes:
    """Boxes of one object.

    Attributes:
        cuboids: in the world frame.
        pictures: 2D boxes by camera; cameras in which it has none are left out.
        solved: cameras ("" cuboids) that were solved anew; the others are as in the base version.
        std: camera ("" cuboids) -> (N, 4 or 3) standard deviations of the boxes, for those that were solved.
    """

    cuboids: Boxes3D
    pictures: Mapping[str, Boxes2D]
    solved: frozenset[str]
    std: Mapping[str, F64]


def needs_solving(item: LabelObject, camera: str) -> bool:
    """Whether people touched an object's geometry in a camera's pictures, or of its cuboids (camera "")."""
    tracks = {segment.track_id for segment in item.segments if segment.camera == camera}
    if item.keyframes(camera) or len(tracks) > 1:
        return True
    return not camera and bool(tracks) and (item.stationary is not None or item.size_lwh_m is not None)


def solve_cuboids(
    base: BaseLabels, item: LabelObject, solver: Solver, class_name: str
) -> tuple[Boxes3D, F64]:
    """An object's cuboids, and (N, 3) how sure their centres are (NaN where nobody says)."""
    rows = _base_rows(base, item, "", Boxes3D)
    std = np.full((len(rows), 3), np.nan)
    if needs_solving(item, ""):
        rows, std = _solve_cuboids(base, item, solver, class_name, rows)
    elif item.flipped:
        rows = rows.replace(q_wxyz=quaternion.normalize(quaternion.multiply(rows.q_wxyz, _HALF_TURN)))
    there = _is_there(item, "", rows.frame)
    return _described(item, "", rows.take(there)), std[there]


def solve_pictures(
    base: BaseLabels, item: LabelObject, solver: Solver, class_name: str, camera: str
) -> tuple[Boxes2D, F64]:
    """An object's boxes in one camera's pictures, and (N, 4) how sure their edges are (NaN where nobody says)."""
    rows = _base_rows(base, item, camera, Boxes2D)
    std = np.full((len(rows), 4), np.nan)
    if needs_solving(item, camera):
        rows, std = _solve_pictures(base, item, solver, class_name, camera, rows)
    there = _is_there(item, camera, rows.frame)
    return _described(item, camera, rows.take(there)), std[there]


def described(item: LabelObject, camera: str, boxes: B) -> B:
    """Boxes with what people said about them frame by frame, without those that they said are not there."""
    return _described(item, camera, boxes.take(_is_there(item, camera, boxes.frame)))


# --- cuboids --------------------------------------------------------------------------------------------------------


def _solve_cuboids(
    base: BaseLabels, item: LabelObject, solver: Solver, class_name: str, rows: Boxes3D
) -> tuple[Boxes3D, F64]:
    keys = item.keyframes("")
    frames = _frames(base, item, "", rows.frame, keys)
    if not len(frames):
        return rows.take(slice(0)), np.empty((0, 3))
    found = base.detections3d(rows)
    found = found.take(_is_there(item, "", found.frame) & np.isin(found.frame, frames))
    if not len(found) and not keys:  # absent wherever it was seen: what was filled in stays as it was
        return rows, np.full((len(rows), 3), np.nan)
    yaw = quaternion.yaw_of(found.q_wxyz) + (np.pi if item.flipped else 0.0)
    detections = Detections3D(
        frame=np.searchsorted(frames, found.frame).astype(np.int32),
        center_m=found.center_m,
        size_lwh_m=found.size_lwh_m,
        yaw_rad=yaw,
        score=found.score.astype(np.float64),
        class_id=np.full(len(found), base.class_names.index(class_name), dtype=np.int16),
    )
    key_box = np.array([[*item.poses[key].center_m, item.poses[key].yaw_rad] for key in keys]).reshape(-1, 4)
    times = base.times("")[frames]
    solved = solver.cuboids(
        times,
        detections,
        found.n_points,
        np.searchsorted(frames, keys),
        key_box,
        size_lwh_m=item.size_lwh_m,
        stationary=item.stationary,
    )
    box = solved.box.copy()
    box[np.searchsorted(frames, keys)[:, None], [0, 1, 2, 6]] = key_box
    columns = _columns(base, item, rows, frames, keys, times, class_name)
    boxes = Boxes3D(
        class_names=base.class_names,
        **columns,
        center_m=box[:, :3],
        size_lwh_m=box[:, 3:6],
        q_wxyz=quaternion.from_yaw(box[:, 6]),
        velocity_mps=solved.velocity_mps.astype(np.float32),
        n_points=_carried(rows, rows.n_points, frames, -1),
    )
    return boxes, solved.std


# --- pictures -------------------------------------------------------------------------------------------------------


def _solve_pictures(
    base: BaseLabels, item: LabelObject, solver: Solver, class_name: str, camera: str, rows: Boxes2D
) -> tuple[Boxes2D, F64]:
    keys = item.keyframes(camera)
    frames = _frames(base, item, camera, rows.frame, keys)
    if not len(frames):
        return rows.take(slice(0)), np.empty((0, 4))
    found = base.detections2d(camera, rows)
    found = found.take(_is_there(item, camera, found.frame) & np.isin(found.frame, frames))
    if not len(found) and not keys:
        return rows, np.full((len(rows), 4), np.nan)
    detections = Detections2D(
        frame=np.searchsorted(frames, found.frame).astype(np.int32),
        xyxy_px=found.xyxy_px,
        score=found.score.astype(np.float64),
        class_id=np.full(len(found), base.class_names.index(class_name), dtype=np.int16),
    )
    places = np.searchsorted(frames, keys)
    key_box = np.array([item.boxes[camera, key].xyxy_px for key in keys]).reshape(-1, 4)
    times = base.times(camera)[frames]
    model = base.store.info.sensor(camera).camera
    assert model is not None
    size = (model.width_px, model.height_px)
    solved = solver.pictures(times, detections, places, key_box, picture_px=size)
    box = solved.box.copy()
    box[places] = key_box
    amodal = _carried(rows, rows.amodal_xyxy_px, frames, np.nan)
    for place, key in zip(places.tolist(), keys, strict=True):
        said = item.boxes[camera, key].amodal_xyxy_px
        amodal[place] = np.nan if said is None else said
    visible = _carried(rows, rows.visible_fraction, frames, np.nan)
    visible[places] = np.nan
    boxes = Boxes2D(
        class_names=base.class_names,
        **_columns(base, item, rows, frames, keys, times, class_name),
        xyxy_px=box,
        amodal_xyxy_px=amodal,
        visible_fraction=visible,
    )
    return boxes, solved.std


# --- what both share ------------------------------------------------------------------------------------------------


def _base_rows(base: BaseLabels, item: LabelObject, camera: str, kind: type[B]) -> B:
    """Boxes of the base version that the object is made of, one per frame: what was seen before what was filled in."""
    blocks = [base.boxes_of(segment) for segment in item.segments if segment.camera == camera]
    if not blocks:
        return kind.empty(base.class_names)
    rows: B = kind.concatenate(blocks)  # type: ignore[arg-type]
    if len(blocks) > 1:
        order = np.lexsort((~is_evidence(rows), rows.frame))
        first = (
            np.concatenate([[True], np.diff(rows.frame[order]) > 0]) if len(rows) else np.zeros(0, np.bool_)
        )
        rows = rows.take(order[first])
    return rows.replace(track_id=np.full(len(rows), item.object_id, dtype=np.int64))


def _frames(base: BaseLabels, item: LabelObject, camera: str, frames: I32, keys: list[int]) -> I32:
    """Frames from the first to the last that the object is known at, those that the camera took a picture at."""
    ends = [*frames[:1].tolist(), *frames[-1:].tolist(), *keys]
    if not ends:
        return np.zeros(0, dtype=np.int32)
    low, high = min(ends), max(ends)
    if item.start is not None:
        low = max(low, item.start)
    if item.stop is not None:
        high = min(high, item.stop - 1)
    seen = base.seen_frames(camera)
    between = seen[(seen >= low) & (seen <= high)]
    return np.union1d(between, np.array(keys, dtype=np.int32)).astype(np.int32)


def _columns(
    base: BaseLabels,
    item: LabelObject,
    rows: Boxes2D | Boxes3D,
    frames: I32,
    keys: list[int],
    timestamp_ns: I64,
    class_name: str,
) -> dict[str, AnyArray]:
    """Columns that 2D and 3D boxes have in common, of solved frames: what the base version says, where it has a box."""
    detection = _carried(rows, rows.detection, frames, -1)
    source = np.where(detection >= 0, Source.DETECTOR, Source.INTERPOLATED).astype(np.uint8)
    score = _carried(rows, rows.score, frames, float(rows.score.min(initial=1.0)))
    at_keys = np.isin(frames, keys)
    source[at_keys], score[at_keys] = Source.HUMAN, 1.0
    return {
        "frame": frames,
        "timestamp_ns": timestamp_ns,
        "class_id": _carried(rows, rows.class_id, frames, base.class_names.index(class_name)),
        "score": score,
        "track_id": np.full(len(frames), item.object_id, dtype=np.int64),
        "source": source,
        "detection": detection,
        "truncation": _carried(rows, rows.truncation, frames, np.nan),
        "occlusion": _carried(rows, rows.occlusion, frames, -1),
        "ignore": _carried(rows, rows.ignore, frames, False),
    }


def _carried(rows: Boxes2D | Boxes3D, column: AnyArray, frames: I32, default: Any) -> AnyArray:
    """A column of the base version's rows at other frames, ``default`` where it has none."""
    out = np.full((len(frames), *column.shape[1:]), default, dtype=column.dtype)
    mine = np.isin(rows.frame, frames)
    out[np.searchsorted(frames, rows.frame[mine])] = column[mine]
    return out


def _is_there(item: LabelObject, camera: str, frames: I32) -> Bool:
    there: Bool = ~item.flag(Flag.ABSENT, camera).mask(frames)
    if item.start is not None:
        there &= frames >= item.start
    if item.stop is not None:
        there &= frames < item.stop
    return there


def _described(item: LabelObject, camera: str, boxes: B) -> B:
    columns: dict[str, AnyArray] = {}
    for flag in (Flag.OCCLUSION, Flag.TRUNCATION, Flag.IGNORE):
        if spans := item.flag(flag, camera):
            columns[flag.value] = getattr(boxes, flag.value).copy()
            spans.fill(boxes.frame, columns[flag.value])
    if item.classes:
        columns["class_id"] = boxes.class_id.copy()
        for start, stop, name in item.classes:
            rows = (boxes.frame >= start) & (boxes.frame < stop)
            columns["class_id"][rows] = boxes.class_names.index(name)
    return boxes.replace(**columns) if columns else boxes
