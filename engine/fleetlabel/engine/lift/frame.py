"""Lifts one frame: detections of all cameras and the points of all lidars to cuboids in the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.lift import columns, objects
from fleetlabel.engine.lift.cloud import GRID_M, ObstacleCloud, level_from_world, obstacle_cloud
from fleetlabel.engine.lift.frustum import (
    Frusta,
    build_frusta,
    range_from_contact,
    range_from_height,
    silhouettes,
    vertical_edges,
)
from fleetlabel.engine.lift.inputs import CameraView, LidarPoints
from fleetlabel.engine.lift.merge import Merged, merge
from fleetlabel.engine.lift.priors import PRIORS, PriorTable, SizePrior, prior_table
from fleetlabel.engine.lift.result import LiftedBoxes
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.yaw import wrap, wrap_half

MIN_HEIGHT_M = 0.22
MAX_HEIGHT_M = 4.5
FRUSTUM_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class LiftConfig:
    """Options of the lift.

    Attributes:
        max_range_m: how far from the ego vehicle objects are looked for.
        min_range_m: nearer returns are the ego vehicle's own.
        min_score: detections below are not lifted.
        min_points: cuboids with fewer lidar points are dropped.
    """

    max_range_m: float = 80.0
    min_range_m: float = 1.5
    min_score: float = 0.05
    min_points: int = 3


DEFAULT_CONFIG = LiftConfig()


def lift_frame(
    points: LidarPoints,
    views: Sequence[CameraView],
    world_from_ego: F64,
    timestamp_ns: int,
    class_names: Sequence[str],
    config: LiftConfig = DEFAULT_CONFIG,
    priors: Mapping[str, SizePrior] = PRIORS,
) -> LiftedBoxes:
    """Cuboids of the objects that the detectors saw and the lidars measured.

    Args:
        points: of all lidars, in the world.
        views: the cameras with their detections.
        world_from_ego: (4, 4) ego pose at the frame's time.
        timestamp_ns: the frame's time.
        class_names: what the views' ``class_id`` counts; classes without a prior are not lifted.
    """
    level = level_from_world(world_from_ego)
    table = prior_table(class_names, priors)
    cloud = obstacle_cloud(
        points, level, timestamp_ns, max_range_m=config.max_range_m, min_range_m=config.min_range_m,
        min_height_m=MIN_HEIGHT_M, max_height_m=MAX_HEIGHT_M,
    )  # fmt: skip
    frusta = build_frusta(
        cloud, list(views), [_usable(view, table, config) for view in views], level, FRUSTUM_MARGIN
    )
    fitted, against = _objects(cloud, frusta, table)
    merged = merge(fitted, against, frusta, table, config.min_points)
    return _boxes(cloud, frusta, fitted, merged, table, level, timestamp_ns)


def _usable(view: CameraView, table: PriorTable, config: LiftConfig) -> Bool:
    """Detections (N,) of a lifted class, sure enough, and with an area."""
    lifted = table.row[np.asarray(view.class_id, dtype=np.int64)] >= 0
    box = view.xyxy_px
    area = np.all(np.isfinite(box), axis=1) & np.all(box[:, 2:] - box[:, :2] >= 1.0, axis=1)
    usable: Bool = lifted & area & (view.score >= config.min_score)
    return usable


def _objects(cloud: ObstacleCloud, frusta: Frusta, table: PriorTable) -> tuple[F64, F64]:
    """The object (D, N_COLUMNS) of each detection, and what speaks against it, (D,)."""
    prior = table.row[frusta.class_id]
    voxels = objects.Voxels(
        xyz=cloud.xyz_m,
        height=cloud.height_m,
        n_points=cloud.n_points,
        time_ns=cloud.time_ns,
        lidar_xy=cloud.lidar_xy_m,
        cell_ptr=cloud.cell_ptr,
        n_cells=cloud.n_cells,
        half_width=cloud.half_width_m,
        cell_m=GRID_M,
    )
    sight = objects.Sight(
        ptr=frusta.ptr,
        rows=frusta.rows,
        uv=frusta.uv,
        eye=frusta.camera_xyz_m,
        edges=vertical_edges(frusta),
        silhouettes=silhouettes(frusta),
        range_expected=range_from_height(frusta, table.mean_m[prior, 2]),
        contact_range=range_from_contact(frusta, cloud.ground),
        camera=frusta.view,
        group=table.group[prior],
        xyxy_px=frusta.xyxy_px,
    )
    sizes = objects.Sizes(table.mean_m, table.sigma_m, table.min_m, table.max_m, table.axial)
    surest_first = np.argsort(-frusta.score, kind="stable")
    taken, against = objects.lift_detections(voxels, sight, sizes, prior, surest_first)
    return taken, against


def _boxes(
    cloud: ObstacleCloud,
    frusta: Frusta,
    fitted: F64,
    merged: Merged,
    table: PriorTable,
    level: F64,
    timestamp_ns: int,
) -> LiftedBoxes:
    """Cuboids in the world of the merged objects."""
    rows = fitted[merged.row]
    prior = table.row[merged.class_id]
    height = object_heights(rows[:, columns.TOP], table, prior)
    road = cloud.ground.at(rows[:, [columns.X, columns.Y]])
    center = np.column_stack([rows[:, [columns.X, columns.Y]], road + 0.5 * height])
    world_from_level = se3.invert(level)
    # Either end may be the front: the half turn that looks along the ego vehicle's direction is the better guess.
    yaw = wrap(wrap_half(rows[:, columns.YAW]) + np.arctan2(world_from_level[1, 0], world_from_level[0, 0]))
    return LiftedBoxes(
        center_m=se3.apply(world_from_level, center),
        size_lwh_m=np.column_stack([rows[:, [columns.LENGTH, columns.WIDTH]], height]),
        yaw_rad=yaw,
        q_wxyz=quaternion.from_yaw(yaw),
        class_id=merged.class_id.astype(np.int16),
        score=merged.score,
        quality=merged.quality,
        n_points=np.rint(rows[:, columns.POINTS]).astype(np.int64),
        timestamp_ns=timestamp_ns + np.rint(rows[:, columns.TIME]).astype(np.int64),
        view=frusta.view[merged.row],
        detection=frusta.detection[merged.row],
        merged_ptr=merged.member_ptr,
        merged_view=frusta.view[merged.member],
        merged_detection=frusta.detection[merged.member],
        n_dropped_points=cloud.n_dropped,
        n_unsupported=len(frusta) - len(merged.member),
    )


def object_heights(top_m: F64, table: PriorTable, prior: I64) -> F64:
    """Heights (N,) of objects whose highest points lie ``top_m`` (N,) above the road.

    The highest return lies a little below the roof, and far away, or where the roof is hidden, well below it: the
    seen top and the class's typical height are weighted.
    """
    mean, sigma = table.mean_m[prior, 2], table.sigma_m[prior, 2]
    seen = top_m + 0.03
    # A top that is too low for the class says that the roof was not seen.
    trust = np.where(seen > mean - 1.5 * sigma, 0.85, 0.3)
    height: F64 = np.clip(trust * seen + (1.0 - trust) * mean, table.min_m[prior, 2], table.max_m[prior, 2])
    return height
