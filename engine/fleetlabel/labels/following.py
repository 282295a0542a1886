"""Cuboids and pictures of one object: where the cuboid goes, its projected boxes go, and a 2D edit moves the cuboid."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.edits import SetKeyframe3D
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.solving import ObjectBoxes, Solver, described, solve_cuboids, solve_pictures
from fleetlabel.labels.solving import needs_solving as solves
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import EditError
from fleetlabel.model.projection import Projected, project_at

_ROUNDS = 6
_SMALLEST_PX = 2.0  # a projection that is thinner is no box


def object_boxes(base: BaseLabels, item: LabelObject, solver: Solver, class_name: str) -> ObjectBoxes:
    """All boxes of an object: cuboids, and in every camera what was seen there or what follows from the cuboids."""
    cuboids, std3d = solve_cuboids(base, item, solver, class_name)
    moved = solves(item, "")
    solved = {""} if moved else set()
    std = {"": std3d} if moved else {}
    pictures: dict[str, Boxes2D] = {}
    for camera in base.cameras:
        boxes, std2d = solve_pictures(base, item, solver, class_name, camera)
        if solves(item, camera):
            solved.add(camera)
            std[camera] = std2d
        if moved and len(cuboids):
            boxes = _following(base, item, camera, cuboids, boxes)
        if len(boxes):
            pictures[camera] = boxes
    return ObjectBoxes(cuboids, pictures, frozenset(solved), std)


def cuboid_through_box(
    base: BaseLabels, cuboids: Boxes3D, camera: str, frame: int, xyxy_px: tuple[float, float, float, float]
) -> SetKeyframe3D:
    """The edit that moves an object's cuboid along a camera's rays until it fills a box in the picture.

    The cuboid keeps size and heading; its centre goes to where its projection is centred in the box and as high.

    Args:
        cuboids: of the object.

    Raises:
        EditError: there is no cuboid at the frame, or the camera does not see it.
    """
    row = np.flatnonzero(cuboids.frame == frame)
    if not len(row):
        raise EditError(f"there is no cuboid at frame {frame} that a box in {camera} could move")
    cuboid = cuboids.take(row)
    exposed = base.times(camera)[[frame]]
    sensor, trajectory = base.store.info.sensor(camera), base.store.info.trajectory
    assert sensor.camera is not None
    world_from_camera = trajectory.at(exposed)[0] @ sensor.ego_from_sensor
    wanted = np.array(xyxy_px)
    for _ in range(_ROUNDS):
        seen = project_at(sensor, trajectory, cuboid, exposed)
        if not seen.visible[0]:
            raise EditError(f"{camera} does not see the cuboid at frame {frame}; move the cuboid itself")
        found = seen.xyxy_px[0]
        rays = (
            sensor.camera.unproject(np.stack([_middle(found), _middle(wanted)])) @ world_from_camera[:3, :3].T
        )
        away = cuboid.center_m[0] - world_from_camera[:3, 3]
        distance = np.linalg.norm(away) * (found[3] - found[1]) / (wanted[3] - wanted[1])
        direction = away / np.linalg.norm(away) + rays[1] - rays[0]
        center = world_from_camera[:3, 3] + distance * direction / np.linalg.norm(direction)
        cuboid = cuboid.replace(center_m=center[None])
    x, y, z = cuboid.center_m[0].tolist()
    heading = float(quaternion.yaw_of(cuboid.q_wxyz)[0])
    return SetKeyframe3D(object_id=int(cuboid.track_id[0]), frame=frame, center_m=(x, y, z), yaw_rad=heading)


def _following(base: BaseLabels, item: LabelObject, camera: str, cuboids: Boxes3D, boxes: Boxes2D) -> Boxes2D:
    """An object's boxes in one camera after its cuboids moved.

    The whole object's box is the cuboid's projection. What a detector saw of it, or a person set, stays; a box that
    was only filled in moves with the projection. An object that people made is in every picture that it projects to.
    """
    if not item.segments:
        return _with_projections(base, item, camera, cuboids, boxes)
    now = _projected(base, camera, cuboids)
    before = _projected(base, camera, _base_cuboids(base, item))
    box, amodal = boxes.xyxy_px.copy(), boxes.amodal_xyxy_px.copy()
    visible = boxes.visible_fraction.copy()
    sensor = base.store.info.sensor(camera).camera
    assert sensor is not None
    size = np.array([sensor.width_px, sensor.height_px] * 2, dtype=np.float64)
    for row, frame in enumerate(boxes.frame.tolist()):
        said = item.boxes.get((camera, frame))
        if frame not in now or (said is not None and said.amodal_xyxy_px is not None):
            continue
        amodal[row], visible[row] = now[frame], np.nan
        if boxes.detection[row] < 0 and said is None and frame in before:
            shifted = np.clip(box[row] + now[frame] - before[frame], 0.0, size)
            if (shifted[2:] - shifted[:2] >= _SMALLEST_PX).all():
                box[row] = shifted
    return boxes.replace(xyxy_px=box, amodal_xyxy_px=amodal, visible_fraction=visible)


def _with_projections(
    base: BaseLabels, item: LabelObject, camera: str, cuboids: Boxes3D, boxes: Boxes2D
) -> Boxes2D:
    shown = np.isin(cuboids.frame, base.seen_frames(camera)) & ~np.isin(cuboids.frame, boxes.frame)
    cuboids = cuboids.take(shown)
    if not len(cuboids):
        return boxes
    seen = _project(base, camera, cuboids)
    large = seen.visible & (seen.height_px >= _SMALLEST_PX)
    rows = cuboids.take(large)
    projected = Boxes2D(
        class_names=base.class_names,
        frame=rows.frame,
        timestamp_ns=base.times(camera)[rows.frame],
        class_id=rows.class_id,
        track_id=rows.track_id,
        source=np.full(len(rows), Source.INTERPOLATED),
        truncation=seen.outside[large].astype(np.float32),
        xyxy_px=seen.xyxy_px[large],
        amodal_xyxy_px=seen.xyxy_px[large],
    )
    return Boxes2D.concatenate([boxes, described(item, camera, projected)])


def _base_cuboids(base: BaseLabels, item: LabelObject) -> Boxes3D:
    blocks = [base.boxes_of(segment) for segment in item.segments if not segment.camera]
    return Boxes3D.concatenate(
        [b for b in blocks if isinstance(b, Boxes3D)] or [Boxes3D.empty(base.class_names)]
    )


def _projected(base: BaseLabels, camera: str, cuboids: Boxes3D) -> dict[int, F64]:
    """Boxes of the cuboids that a camera sees, by frame."""
    if not len(cuboids):
        return {}
    seen = _project(base, camera, cuboids)
    frames = cuboids.frame.tolist()
    return {frames[row]: seen.xyxy_px[row] for row in np.flatnonzero(seen.visible).tolist()}


def _project(base: BaseLabels, camera: str, cuboids: Boxes3D) -> Projected:
    info = base.store.info
    return project_at(info.sensor(camera), info.trajectory, cuboids, base.times(camera)[cuboids.frame])


def _middle(xyxy_px: F64) -> F64:
    middle: F64 = 0.5 * (xyxy_px[:2] + xyxy_px[2:])
    return middle
