"""What a command means as edits: pure functions of the labels, the object and the frame."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.iou import bev_iou
from fleetlabel.labels import Edit, Flag, LabelObject
from fleetlabel.labels import edits as e
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor.fitting import fitted_place
from fleetlabel.viewers.editor.gizmo2d import Xyxy
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.source import Source

_OCCLUDED = 2  # as KITTI grades it: largely occluded
_SPEED_FRAMES = 4
_SAME_PLACE_IOU = 0.1  # of two boxes that are one object twice


def pose_at(cuboids: Boxes3D, frame: int) -> BoxPose | None:
    """The object's box at a frame."""
    row = int(np.searchsorted(cuboids.frame, frame))
    return BoxPose.of_row(cuboids, row) if row < len(cuboids) and cuboids.frame[row] == frame else None


def picture_box_at(source: Source, object_id: int, camera: str, frame: int) -> Xyxy | None:
    """The object's box in a picture."""
    boxes = source.boxes(object_id).pictures.get(camera)
    if boxes is None:
        return None
    row = int(np.searchsorted(boxes.frame, frame))
    if row >= len(boxes) or boxes.frame[row] != frame:
        return None
    x1, y1, x2, y2 = boxes.xyxy_px[row].tolist()
    return (x1, y1, x2, y2)


def guessed_pose(cuboids: Boxes3D, frame: int, points_m: np.ndarray, ego_xy_m: np.ndarray) -> BoxPose | None:
    """Where an object without a box at a frame should be: led there by its motion, moved onto points."""
    if not len(cuboids):
        return None
    nearest = int(np.argmin(np.abs(cuboids.frame.astype(np.int64) - frame)))
    box = BoxPose.of_row(cuboids, nearest)
    low, high = max(nearest - _SPEED_FRAMES, 0), min(nearest + _SPEED_FRAMES, len(cuboids) - 1)
    if high > low:
        frames, centers = cuboids.frame[[low, high]].astype(np.float64), cuboids.center_m[[low, high]]
        step = (centers[1] - centers[0]) / (frames[1] - frames[0]) * (frame - float(cuboids.frame[nearest]))
        x, y, z = (np.array(box.center_m) + step).tolist()
        box = BoxPose((x, y, z), box.size_lwh_m, box.yaw_rad)
    inside = np.all(np.abs(box.local(points_m)) <= 0.5 * np.array(box.size_lwh_m) + 0.5, axis=1)
    return fitted_place(box, points_m, ego_xy_m) if int(inside.sum()) >= 15 else box


def keyframe_edit(object_id: int, frame: int, box: BoxPose, resized: bool = False) -> e.SetKeyframe3D:
    """The box is here at this frame; ``resized`` gives the whole track its size."""
    return e.SetKeyframe3D(
        object_id=object_id,
        frame=frame,
        center_m=box.center_m,
        yaw_rad=box.yaw_rad,
        size_lwh_m=box.size_lwh_m if resized else None,
    )


def absence_edits(item: LabelObject, frame: int) -> tuple[Edit, ...]:
    """The object is not there at this frame, or is, if it was said not to be."""
    if item.flag(Flag.ABSENT).at(frame) is not None:
        return (e.ClearAbsent(object_id=item.object_id, start=frame, stop=frame + 1),)
    return (
        *without_keyframes(item, range(frame, frame + 1)),
        e.SetAbsent(object_id=item.object_id, start=frame, stop=frame + 1),
    )


def occlusion_edits(item: LabelObject, cuboids: Boxes3D, frame: int) -> tuple[Edit, ...]:
    """The object is occluded at this frame, or is not, if it was."""
    said = item.flag(Flag.OCCLUSION).at(frame)
    row = np.flatnonzero(cuboids.frame == frame)
    level = int(said) if said is not None else int(cuboids.occlusion[row[0]]) if len(row) else 0
    occlusion = 0 if level > 0 else _OCCLUDED
    return (e.SetFlags(object_id=item.object_id, start=frame, stop=frame + 1, occlusion=occlusion),)


def begin_edits(item: LabelObject, frame: int) -> tuple[Edit, ...]:
    """The object begins at this frame: earlier keyframes go."""
    return (
        *without_keyframes(item, range(frame)),
        e.TrimStart(object_id=item.object_id, frame=frame),
    )


def end_edits(item: LabelObject, frame: int, n_frames: int) -> tuple[Edit, ...]:
    """The object ends at this frame: later keyframes go."""
    return (
        *without_keyframes(item, range(frame + 1, n_frames)),
        e.TrimEnd(object_id=item.object_id, frame=frame),
    )


def reaching_edits(item: LabelObject, frame: int) -> tuple[Edit, ...]:
    """What keeps the object from having a box at this frame is taken back: trims, and its absence."""
    edits: list[Edit] = []
    if item.start is not None and frame < item.start:
        edits.append(e.TrimStart(object_id=item.object_id, frame=frame))
    if item.stop is not None and frame >= item.stop:
        edits.append(e.TrimEnd(object_id=item.object_id, frame=frame))
    if item.flag(Flag.ABSENT).at(frame) is not None:
        edits.append(e.ClearAbsent(object_id=item.object_id, start=frame, stop=frame + 1))
    return tuple(edits)


def without_keyframes(item: LabelObject, frames: range) -> tuple[Edit, ...]:
    """Edits that take keyframes in a range of frames back."""
    solid = [
        e.UnsetKeyframe3D(object_id=item.object_id, frame=frame)
        for frame in item.keyframes("")
        if frame in frames
    ]
    flat = [
        e.UnsetKeyframe2D(object_id=item.object_id, camera=camera, frame=frame)
        for camera, frame in sorted(item.boxes)
        if frame in frames
    ]
    return (*solid, *flat)


def joining_edits(source: Source, object_id: int, other_id: int, frame: int) -> tuple[tuple[Edit, ...], str]:
    """What "the same as" another object means: one object in two pieces, or twice, or two that were exchanged.

    Returns:
        The edits, and what they do in words.
    """
    if object_id == other_id:
        raise EditError("that is the same object; click the other one")
    one, two = source.boxes(object_id).cuboids, source.boxes(other_id).cuboids
    both, left, right = np.intersect1d(one.frame, two.frame, assume_unique=True, return_indices=True)
    if frame in both:
        overlap = [_overlap(one, i, two, j) for i, j in zip(left.tolist(), right.tolist(), strict=True)]
        if float(np.median(overlap)) < _SAME_PLACE_IOU:
            edit = e.SwapIdentities(object_id=object_id, other_id=other_id, frame=frame)
            return (edit,), f"identities exchanged from frame {frame} on"
    return merging_edits(source, object_id, other_id), "joined into one object"


def merging_edits(source: Source, object_id: int, other_id: int) -> tuple[Edit, ...]:
    """Two objects become one; where both have boxes, the other's go, and all of it if nothing else is left."""
    one, two = source.boxes(object_id), source.boxes(other_id)
    views = {"": (one.cuboids.frame, two.cuboids.frame)}
    for camera in one.pictures.keys() & two.pictures.keys():
        views[camera] = (one.pictures[camera].frame, two.pictures[camera].frame)
    shared = np.unique(np.concatenate([np.intersect1d(*frames) for frames in views.values()]))
    merge = e.Merge(object_id=object_id, other_id=other_id)
    if not len(shared):
        return (merge,)
    frames = np.unique(np.concatenate([two.cuboids.frame, *(b.frame for b in two.pictures.values())]))
    before, after = frames[frames < shared[0]], frames[frames > shared[-1]]
    other = source.now[other_id]
    if len(after) > len(before):
        return (*begin_edits(other, int(after[0])), merge)
    if len(before):
        return (*end_edits(other, int(before[-1]), source.info.n_frames), merge)
    return (e.DeleteObject(object_id=other_id),)


def _overlap(one: Boxes3D, row: int, two: Boxes3D, other: int) -> float:
    left, right = (
        np.array([[*b.center_m[k], *b.size_lwh_m[k], quaternion.yaw_of(b.q_wxyz[k : k + 1])[0]]])
        for b, k in ((one, row), (two, other))
    )
    return float(bev_iou(left, right)[0, 0])
