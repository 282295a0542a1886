"""How much of each true object nearer objects hide: estimated by rays against the cuboids.

Only labelled objects hide each other here; walls and vegetation do not. The estimate grades truth, it
ignores none.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.evaluate.projection import exposure_ns
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.motion import moved_to
from fleetlabel.store import SequenceStore

# Rays per object and direction of the picture.
_RAYS = 8


def visible_share(store: SequenceStore, boxes: Boxes3D, camera: str, xyxy_px: F64) -> F64:
    """Share (N,) of the rays through each box in the picture that meet its cuboid first, of those that
    meet it.

    Args:
        boxes: cuboids with something in the picture.
        xyxy_px: (N, 4) boxes around it.
    """
    sensor = store.info.sensor(camera)
    assert sensor.camera is not None
    exposed_ns = exposure_ns(store, camera)[boxes.frame]
    center, q_wxyz = moved_to(boxes, exposed_ns)
    world_from_camera = store.info.trajectory.at(exposed_ns) @ sensor.ego_from_sensor
    steps = (np.arange(_RAYS) + 0.5) / _RAYS
    u = xyxy_px[:, :1] + steps * (xyxy_px[:, 2:3] - xyxy_px[:, :1])
    v = xyxy_px[:, 1:2] + steps * (xyxy_px[:, 3:] - xyxy_px[:, 1:2])
    grid = np.stack(np.broadcast_arrays(u[:, :, None], v[:, None, :]), axis=-1)
    rays = sensor.camera.unproject(grid.reshape(-1, 2)).reshape(len(boxes), _RAYS * _RAYS, 3)
    rays = np.einsum("nij,nkj->nki", world_from_camera[:, :3, :3], rays)
    share = np.ones(len(boxes))
    frames, start = np.unique(boxes.frame, return_index=True)
    for low, high in zip(start, np.append(start[1:], len(boxes))[: len(frames)], strict=True):
        rows = slice(int(low), int(high))
        origin = world_from_camera[rows][0, :3, 3]
        depth = _first_meeting(origin, rays[rows], center[rows], boxes.size_lwh_m[rows], q_wxyz[rows])
        share[rows] = _share_of_own(depth)
    return share


def _first_meeting(origin: F64, rays: F64, center: F64, size: F64, q_wxyz: F64) -> F64:
    """Distance (n, k, m) at which ray k through object n enters cuboid m (slab test), infinite if it
    misses.
    """
    to_box = quaternion.to_matrix(q_wxyz)
    start = np.einsum("mji,mj->mi", to_box, origin - center)
    direction = np.einsum("mji,nkj->nkmi", to_box, rays)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = ((side * size - start) / direction for side in (-0.5, 0.5))
        enter = np.nanmax(np.minimum(one, other), axis=-1)
        leave = np.nanmin(np.maximum(one, other), axis=-1)
    meets: Bool = (leave >= enter) & (leave > 0)
    return np.where(meets, np.maximum(enter, 0.0), np.inf)


def _share_of_own(depth: F64) -> F64:
    """Of the rays (n, k) through object n that meet it, the share that meet nothing nearer (n,)."""
    n = np.arange(len(depth))
    own = depth[n, :, n]
    meets = np.isfinite(own)
    first = meets & (own <= depth.min(axis=2))
    count = meets.sum(axis=1)
    return np.where(count > 0, first.sum(axis=1) / np.maximum(count, 1), 1.0)
