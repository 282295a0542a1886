"""Ground truth with what decides whether a sensor could see an object: lidar points, height in pictures,
occlusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.occlusion import visible_share
from fleetlabel.engine.evaluate.projection import project_labels
from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.ontology import canonical
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import LidarReader, SampleStatus, SequenceStore

MIN_POINTS = 5
MIN_HEIGHT_PX = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """True boxes in one camera's pictures.

    Attributes:
        frame, track_id: (M,) int64.
        name: (M,) of str, our class names.
        xyxy_px: (M, 4) within the picture.
        cuboid: (M,) row of :attr:`Truth.boxes`, -1 where there is none.
        unhidden: (M,) share of the object that nearer objects do not hide; 1 where nobody estimated it.
        region_frame, region_xyxy: (D,), (D, 4) ignore regions.
    """

    frame: I64
    track_id: I64
    name: AnyArray
    xyxy_px: F64
    cuboid: I64
    unhidden: F64
    region_frame: I64
    region_xyxy: F64

    @property
    def height_px(self) -> F64:
        """(M,) heights."""
        height: F64 = self.xyxy_px[:, 3] - self.xyxy_px[:, 1]
        return height


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Ground truth of a sequence.

    Attributes:
        boxes: cuboids; ignore regions are none.
        name: (N,) of str, our class names.
        range_m: (N,) horizontal distance from the vehicle.
        n_points: (N,) lidar points inside, -1 where the drive has no lidar.
        height_px: (N,) greatest height in any picture of the frame; infinite where the drive has no camera.
        views: by camera.
        labelled: (F,) frames that somebody labelled; the others say nothing of what is there.
        projected: whether the 2D boxes are projections of the cuboids.
        min_points: so many lidar points make an object one that a lidar could see.
    """

    boxes: Boxes3D
    name: AnyArray
    range_m: F64
    n_points: I64
    height_px: F64
    views: Mapping[str, View]
    labelled: Bool
    projected: bool
    min_points: int = MIN_POINTS

    @property
    def enough_points(self) -> Bool:
        """(N,) whether a lidar could see the object."""
        return (self.n_points >= self.min_points) | (self.n_points < 0)

    @property
    def visible(self) -> Bool:
        """(N,) whether a lidar and a camera could see the object."""
        seen: Bool = self.enough_points & (self.height_px >= MIN_HEIGHT_PX)
        return seen

    @property
    def has_points(self) -> bool:
        """Whether the points rule could be applied."""
        return bool((self.n_points >= 0).any()) or not len(self.n_points)


def load_truth(store: SequenceStore, version: str, min_points: int = MIN_POINTS) -> Truth:
    """Reads ground truth, counts points and looks at the pictures' geometry."""
    boxes = store.labels3d(version)
    boxes = boxes.take(~boxes.ignore)
    name = our_names(boxes)
    n_points, measured_ns = _lidar_evidence(store, boxes)
    measured = boxes.replace(timestamp_ns=measured_ns)
    cameras = store.labels(version).cameras
    projected = not cameras
    if projected:
        usable = {
            sensor.name: _has_picture(store, sensor.name) for sensor in store.info.of_kind(SensorKind.CAMERA)
        }
        views = {
            camera: _projected_view(store, measured, name, camera, ok)
            for camera, ok in usable.items()
            if ok.any()
        }
    else:
        views = {camera: _labelled_view(store.labels2d(version, camera), boxes) for camera in cameras}
    height = np.zeros(len(boxes)) if views else np.full(len(boxes), np.inf)
    for view in views.values():
        joined = view.cuboid >= 0
        np.maximum.at(height, view.cuboid[joined], view.height_px[joined])
    return Truth(
        boxes=boxes,
        name=name,
        range_m=range_from_ego(store, boxes),
        n_points=n_points,
        height_px=height,
        views=views,
        labelled=labelled_frames(store, version),
        projected=projected,
        min_points=min_points,
    )


def labelled_frames(store: SequenceStore, version: str) -> Bool:
    """(F,) the frames that a version speaks of: all, if it does not say which."""
    frames = store.labels(version).provenance.get("labelled_frames")
    return (
        np.ones(store.info.n_frames, dtype=np.bool_)
        if frames is None
        else np.isin(np.arange(store.info.n_frames), frames)
    )


def our_names(boxes: Boxes) -> AnyArray:
    """Our class name (N,) of every box; the source's own where we have none."""
    words = np.array([canonical(name) or name for name in boxes.class_names] or [""], dtype=np.str_)
    return words[boxes.class_id]


def range_from_ego(store: SequenceStore, boxes: Boxes3D) -> F64:
    """Horizontal distance (N,) of cuboids from the vehicle at their own times."""
    ego_from_world = se3.invert(store.info.trajectory.at(boxes.timestamp_ns))
    in_ego = se3.apply(ego_from_world, boxes.center_m)
    return np.asarray(np.hypot(in_ego[:, 0], in_ego[:, 1]))


def _has_picture(store: SequenceStore, camera: str) -> Bool:
    """(F,) whether the camera has a usable picture in each frame."""
    usable: Bool = store.camera(camera).status == SampleStatus.OK
    return usable


def _projected_view(store: SequenceStore, boxes: Boxes3D, name: AnyArray, camera: str, usable: Bool) -> View:
    """Boxes around the cuboids, moved along their tracks to the time of exposure."""
    seen = project_labels(store, boxes, camera)
    rows = np.flatnonzero(seen.visible & usable[boxes.frame])
    return View(
        frame=boxes.frame[rows].astype(np.int64),
        track_id=boxes.track_id[rows],
        name=name[rows],
        xyxy_px=seen.xyxy_px[rows],
        cuboid=rows,
        unhidden=visible_share(store, boxes.take(rows), camera, seen.xyxy_px[rows]),
        region_frame=np.empty(0, dtype=np.int64),
        region_xyxy=np.empty((0, 4)),
    )


def _labelled_view(flat: Boxes2D, boxes: Boxes3D) -> View:
    """The source's own 2D boxes, joined with the cuboids of the same frame and track."""
    region, flat = flat.take(flat.ignore), flat.take(~flat.ignore)
    cuboid = np.full(len(flat), -1, dtype=np.int64)
    if len(boxes) and len(flat):
        n_ids = int(max(boxes.track_id.max(), flat.track_id.max())) + 2
        keys = boxes.frame.astype(np.int64) * n_ids + boxes.track_id + 1
        wanted = flat.frame.astype(np.int64) * n_ids + flat.track_id + 1
        order = np.argsort(keys, kind="stable")
        place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
        hit = (keys[order][place] == wanted) & (flat.track_id >= 0)
        cuboid[hit] = order[place[hit]]
    return View(
        frame=flat.frame.astype(np.int64),
        track_id=flat.track_id,
        name=our_names(flat),
        xyxy_px=flat.xyxy_px,
        cuboid=cuboid,
        unhidden=np.nan_to_num(flat.visible_fraction.astype(np.float64), nan=1.0),
        region_frame=region.frame.astype(np.int64),
        region_xyxy=region.xyxy_px,
    )


def _lidar_evidence(store: SequenceStore, boxes: Boxes3D) -> tuple[I64, I64]:
    """Lidar points (N,) inside each cuboid, -1 if the drive has no lidar, and when they were measured
    (N,), ns.

    A sweep takes a tenth of a second, and people fit cuboids to the points that they see: a moving
        object's cuboid is
    where the object was when the beam met it. A cuboid without points is taken to be as late as the others
    of its track, and one of a track without any points to hold at its own time.
    """
    lidars = [store.lidar(sensor.name) for sensor in store.info.of_kind(SensorKind.LIDAR)]
    counts = np.full(len(boxes), 0 if lidars else -1, dtype=np.int64)
    late_ns = np.full(len(boxes), np.nan)
    ptr = boxes.frame_ptr(store.info.n_frames)
    for frame in np.flatnonzero(np.diff(ptr)).tolist():
        clouds = [_cloud(lidar, frame, store.info.trajectory) for lidar in lidars if lidar.usable(frame)]
        for row in range(int(ptr[frame]), int(ptr[frame + 1])):
            for points, measured_ns in clouds:
                inside = _inside(points, boxes, row)
                counts[row] += len(inside)
                if len(inside) and np.isnan(late_ns[row]):
                    late_ns[row] = np.mean(measured_ns[inside] - boxes.timestamp_ns[row])
    return counts, boxes.timestamp_ns + _of_track(boxes, late_ns).astype(np.int64)


def _cloud(lidar: LidarReader, frame: int, trajectory: Trajectory) -> tuple[F64, I64]:
    """Points (P, 3) of a sweep in the world, ascending in x, and their times (P,)."""
    sweep = lidar.sweep(frame)
    points = sweep.points_world(lidar.sensor, trajectory)
    order = np.argsort(points[:, 0], kind="stable")
    return points[order], sweep.point_timestamp_ns[order]


def _inside(points: F64, boxes: Boxes3D, row: int) -> I64:
    """Numbers of the points (P, 3), ascending in x, in one cuboid."""
    center, size = boxes.center_m[row], boxes.size_lwh_m[row]
    reach = 0.5 * np.linalg.norm(size)
    first, last = np.searchsorted(points[:, 0], (center[0] - reach, center[0] + reach))
    inside = cuboids.points_in_box(points[first:last], center, size, boxes.q_wxyz[row])
    return np.asarray(first + np.flatnonzero(inside), dtype=np.int64)


def _of_track(boxes: Boxes3D, value: F64) -> F64:
    """Values (N,), those missing replaced by the mean of their track, or 0."""
    known = np.isfinite(value)
    _, track = np.unique(boxes.track_id, return_inverse=True)
    count = np.bincount(track[known], minlength=len(track))
    mean = np.bincount(track[known], weights=value[known], minlength=len(track)) / np.maximum(count, 1)
    return np.where(known, value, mean[track])
