"""New objects: a box from a cluster of points or from a 2D box, followed both ways in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Edit
from fleetlabel.labels.edits import CreateObject, SetKeyframe3D
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.viewers.editor.fitting import Sight, fitted_standing, followed_box, points_in, without_others
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.sensors import Picture

USUAL_SIZES_M: Mapping[str, tuple[float, float, float]] = {
    "car": (4.6, 1.9, 1.6),
    "truck": (7.0, 2.5, 2.9),
    "bus": (11.5, 2.9, 3.4),
    "trailer": (12.0, 2.6, 3.8),
    "construction_vehicle": (6.5, 2.8, 3.1),
    "train": (20.0, 3.0, 4.0),
    "motorcycle": (2.1, 0.8, 1.5),
    "bicycle": (1.8, 0.6, 1.4),
    "pedestrian": (0.7, 0.7, 1.75),
    "animal": (0.9, 0.4, 0.6),
    "traffic_light": (0.4, 0.4, 1.1),
    "traffic_sign": (0.2, 0.7, 0.8),
    "traffic_cone": (0.4, 0.4, 0.8),
    "barrier": (0.5, 2.3, 1.0),
    "movable_object": (1.0, 1.0, 1.2),
}
_FARTHEST = 60  # frames that an object is followed each way
_FEWEST_POINTS = 6
_AROUND_M = 0.3  # around a box in which its points are counted
_SIGHTS = 7  # frames that a standing one is fitted to, besides that at which it was drawn
_LOST = 2  # frames without points after which it is lost
_SLACK_M, _STANDS = (
    0.15,
    0.85,
)  # around boxes whose points are compared, and share that makes one a standing one
_MOVING_M = 0.8  # over which way a heading can be told from motion
_STRAIGHT_M, _STRAIGHT_RAD = 0.15, math.radians(4)  # what keyframes may leave out
_NEAREST_POINTS = 8  # percent of a frustum's points that stand for the object's distance

CloudOf = Callable[[int], F64]


@dataclass(frozen=True, slots=True)
class Ghost:
    """An object that is not kept yet.

    Attributes:
        class_name: of it.
        frame: at which it was drawn.
        poses: frame -> where it is; all of one size.
    """

    class_name: str
    frame: int
    poses: Mapping[int, BoxPose]

    def edits(self, object_id: int) -> tuple[Edit, ...]:
        """What makes it an object: as few keyframes as lead to the same course."""
        size = self.poses[self.frame].size_lwh_m
        keys = [
            SetKeyframe3D(
                object_id=object_id,
                frame=frame,
                center_m=self.poses[frame].center_m,
                yaw_rad=self.poses[frame].yaw_rad,
                size_lwh_m=size if frame == self.frame else None,
            )
            for frame in telling_frames(self.poses, self.frame)
        ]
        # The one that was drawn first: it brings the size.
        keys.sort(key=lambda edit: edit.frame != self.frame)
        return (CreateObject(object_id=object_id, class_name=self.class_name), *keys)


def usual_size(class_name: str, known: Boxes3D) -> tuple[float, float, float]:
    """Median size of a class's cuboids, or what is usual where there are few."""
    name_rows = known.class_labels() == class_name
    if int(name_rows.sum()) >= 20:
        length, width, height = np.median(known.size_lwh_m[name_rows], axis=0).tolist()
        return (length, width, height)
    return USUAL_SIZES_M.get(class_name, (1.0, 1.0, 1.0))


def seed_in_picture(
    points_m: F64, picture: Picture, xyxy_px: tuple[float, float, float, float]
) -> F64 | None:
    """The place (3,) in the world of what a 2D box shows: the nearest of the points in it, off the ground."""
    camera_from_world = se3.invert(picture.world_from_camera)
    camera_m = se3.apply(camera_from_world, points_m)
    uv, valid = picture.camera.project(camera_m)
    x1, y1, x2, y2 = xyxy_px
    shrink_x, shrink_y = 0.15 * (x2 - x1), 0.1 * (y2 - y1)
    inside = valid & (uv[:, 0] > x1 + shrink_x) & (uv[:, 0] < x2 - shrink_x)
    inside &= (uv[:, 1] > y1 + shrink_y) & (uv[:, 1] < y2 - shrink_y)
    rows = np.flatnonzero(inside)
    if len(rows) < 3:
        return None
    depth = camera_m[rows, 2]
    near = rows[depth <= np.percentile(depth, _NEAREST_POINTS) + 1.0]
    seed: F64 = np.median(points_m[near], axis=0)
    return seed


def follow(ghost: Ghost, cloud_of: CloudOf, ego_xy_of: CloudOf, n_frames: int) -> Ghost:
    """The ghost followed both ways in time as long as there are points.

    It stands if its box of the first frame explains nearly as many points of all frames as moving boxes do; else its
    heading is that of its motion.
    """
    drawn = ghost.poses[ghost.frame]
    poses = {ghost.frame: drawn}
    for direction in (1, -1):
        poses.update(_followed(drawn, ghost.frame, direction, cloud_of, ego_xy_of, n_frames))
    moving = sum(points_in(box, cloud_of(frame), _SLACK_M) for frame, box in poses.items())
    standing = sum(points_in(drawn, cloud_of(frame), _SLACK_M) for frame in poses)
    if standing >= _STANDS * moving:
        # From elsewhere other sides of it are seen.
        frames = np.unique(np.linspace(min(poses), max(poses), _SIGHTS).round().astype(int)).tolist()
        middle = np.array(drawn.center_m)
        ground, reach = float(middle[2]) - drawn.size_lwh_m[2] / 2, drawn.size_lwh_m[0] + 0.5
        sights = [
            Sight(without_others(cloud_of(frame), middle, ground, reach), ego_xy_of(frame))
            for frame in (ghost.frame, *frames)
        ]
        poses = dict.fromkeys(poses, fitted_standing(drawn, sights))
    else:
        poses = _headed(poses)
    return Ghost(ghost.class_name, ghost.frame, dict(sorted(poses.items())))


def _followed(
    box: BoxPose, frame: int, direction: int, cloud_of: CloudOf, ego_xy_of: CloudOf, n_frames: int
) -> dict[int, BoxPose]:
    found: dict[int, BoxPose] = {}
    step, lost = np.zeros(3), 0
    for at in range(frame + direction, frame + direction * (_FARTHEST + 1), direction):
        if not 0 <= at < n_frames:
            break
        x, y, z = (np.array(box.center_m) + step).tolist()
        expected = replace(box, center_m=(x, y, z))
        points = cloud_of(at)
        if points_in(expected, points, _AROUND_M) < _FEWEST_POINTS:
            lost += 1
            if lost > _LOST:
                break
            box = expected
            continue
        lost = 0
        moved = followed_box(expected, points, ego_xy_of(at))
        # A box is not thrown about by what is seen of it: half of the news is believed at once.
        step = 0.5 * step + 0.5 * (np.array(moved.center_m) - np.array(box.center_m))
        box = moved
        found[at] = box
    return found


def _headed(poses: Mapping[int, BoxPose]) -> dict[int, BoxPose]:
    """Poses smoothed, with their heading along the way they go where they go far enough."""
    frames = sorted(poses)
    centers = np.array([poses[frame].center_m for frame in frames])
    window = 4
    smooth = np.stack([centers[max(k - window, 0) : k + window + 1].mean(axis=0) for k in range(len(frames))])
    out = {}
    for k, frame in enumerate(frames):
        way = smooth[min(k + window, len(frames) - 1)] - smooth[max(k - window, 0)]
        yaw = math.atan2(way[1], way[0]) if np.linalg.norm(way[:2]) > _MOVING_M else poses[frame].yaw_rad
        x, y, z = smooth[k].tolist() if 0 < k < len(frames) - 1 else centers[k].tolist()
        out[frame] = replace(poses[frame], center_m=(x, y, z), yaw_rad=yaw)
    return out


def telling_frames(poses: Mapping[int, BoxPose], drawn: int) -> list[int]:
    """Frames whose poses give all others by interpolation within a hand's breadth (Douglas & Peucker, 1973)."""
    frames = sorted(poses)
    kept = {frames[0], drawn, frames[-1]}
    pending = list(pairwise(sorted(kept)))
    while pending:
        low, high = pending.pop()
        inner = [frame for frame in frames if low < frame < high]
        if not inner:
            continue
        errors = [_off(poses, low, high, frame) for frame in inner]
        worst = int(np.argmax(errors))
        if errors[worst] > 1.0:
            kept.add(inner[worst])
            pending += [(low, inner[worst]), (inner[worst], high)]
    return sorted(kept)


def _off(poses: Mapping[int, BoxPose], low: int, high: int, frame: int) -> float:
    share = (frame - low) / (high - low)
    start, stop, here = poses[low], poses[high], poses[frame]
    center = np.array(start.center_m) * (1 - share) + np.array(stop.center_m) * share
    turn = math.remainder(stop.yaw_rad - start.yaw_rad, math.tau)
    yaw = start.yaw_rad + share * turn
    off_m = float(np.linalg.norm(center - np.array(here.center_m)))
    off_rad = abs(math.remainder(here.yaw_rad - yaw, math.tau))
    return max(off_m / _STRAIGHT_M, off_rad / _STRAIGHT_RAD)
