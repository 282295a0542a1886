"""What each detection looks at: voxels inside its box, and the directions of its edges seen from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.lift.cloud import ObstacleCloud
from fleetlabel.engine.lift.ground import GroundMap
from fleetlabel.engine.lift.inputs import CameraView
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.compiled import kernel
from fleetlabel.model.cameras import CameraModel

N_COLUMNS = 64
SIDE_SIGMA = 0.05  # of the box's width: how exactly detectors draw sides
SIDE_SIGMA_RAD = 0.002
BORDER = (
    0.004  # of the picture's size: boxes of objects that leave the picture end up to a few pixels short of it
)


@dataclass(frozen=True, slots=True, eq=False)
class Frusta:
    """Detections of all views, one row each, in the level frame.

    Attributes:
        view, detection: (D,) where each row came from.
        class_id: (D,) row of the caller's class names.
        score: (D,) the detector's.
        xyxy_px: (D, 4).
        camera_xyz_m: (D, 3) the camera's place.
        ray_left, ray_right, ray_top, ray_bottom: (D, 3) unit rays through the middles of the box's edges.
        cut: (D, 4) bool: left, top, right, bottom edge is at the picture's border, so the object goes on beyond it.
        ptr, rows: voxels inside each box: compressed rows; ``uv`` (sum, 2) their place in the box, 0..1 inside.
    """

    view: I64
    detection: I64
    class_id: I64
    score: F64
    xyxy_px: F64
    camera_xyz_m: F64
    ray_left: F64
    ray_right: F64
    ray_top: F64
    ray_bottom: F64
    cut: Bool
    ptr: I64
    rows: I64
    uv: F64

    def __len__(self) -> int:
        return len(self.view)


def build_frusta(
    cloud: ObstacleCloud, views: list[CameraView], usable: list[Bool], level: F64, margin: float
) -> Frusta:
    """Looks up the voxels in every usable detection, its box grown by ``margin`` of its size on every side.

    Args:
        cloud: the frame's obstacles.
        views: the cameras.
        usable: per view (N,) which detections to lift.
        level: (4, 4) level_from_world.
    """
    world_from_level = se3.invert(level)
    parts = [
        _one_view(cloud, index, view, np.flatnonzero(mask), view.camera_from_world @ world_from_level, margin)
        for index, (view, mask) in enumerate(zip(views, usable, strict=True))
    ]
    parts = [part for part in parts if len(part)] or [_empty()]
    counts = np.concatenate([np.diff(part.ptr) for part in parts])
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Frusta.__dataclass_fields__
        if name != "ptr"
    }
    return Frusta(ptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.int64), **joined)


def _empty() -> Frusta:
    ids, rays = np.empty(0, np.int64), np.empty((0, 3))
    return Frusta(
        view=ids, detection=ids, class_id=ids, score=np.empty(0), xyxy_px=np.empty((0, 4)), camera_xyz_m=rays,
        ray_left=rays, ray_right=rays, ray_top=rays, ray_bottom=rays, cut=np.empty((0, 4), np.bool_),
        ptr=np.zeros(1, np.int64), rows=ids, uv=np.empty((0, 2)),
    )  # fmt: skip


def _one_view(
    cloud: ObstacleCloud, index: int, view: CameraView, rows: I64, camera_from_level: F64, margin: float
) -> Frusta:
    if not len(rows):
        return _empty()
    xyxy = np.asarray(view.xyxy_px, dtype=np.float64)[rows]
    seen = np.empty(len(cloud.xyz_m), dtype=np.int64)
    points = np.empty((len(cloud.xyz_m), 3))
    n = _in_field(cloud.xyz_m, camera_from_level, _cos_half_field(view.camera), points, seen)
    uv_px, valid = view.camera.project(points[:n])
    uv_px, seen = uv_px[valid], seen[:n][valid]
    ptr, inside, uv = _inside_boxes(uv_px, seen, xyxy, margin, float(view.camera.width_px))
    level_from_camera = se3.invert(camera_from_level)
    middle = 0.5 * (xyxy[:, :2] + xyxy[:, 2:])
    edges = {
        "ray_left": np.stack([xyxy[:, 0], middle[:, 1]], axis=1),
        "ray_right": np.stack([xyxy[:, 2], middle[:, 1]], axis=1),
        "ray_top": np.stack([middle[:, 0], xyxy[:, 1]], axis=1),
        "ray_bottom": np.stack([middle[:, 0], xyxy[:, 3]], axis=1),
    }
    rays = {name: view.camera.unproject(uv) @ level_from_camera[:3, :3].T for name, uv in edges.items()}
    size = np.array([view.camera.width_px, view.camera.height_px], dtype=np.float64)
    return Frusta(
        view=np.full(len(rows), index, dtype=np.int64),
        detection=rows.astype(np.int64),
        class_id=np.asarray(view.class_id, dtype=np.int64)[rows],
        score=np.asarray(view.score, dtype=np.float64)[rows],
        xyxy_px=xyxy,
        camera_xyz_m=np.broadcast_to(level_from_camera[:3, 3], (len(rows), 3)).copy(),
        cut=np.concatenate([xyxy[:, :2] < BORDER * size, xyxy[:, 2:] > (1.0 - BORDER) * size], axis=1),
        ptr=ptr,
        rows=inside,
        uv=uv,
        **rays,
    )


def _cos_half_field(camera: CameraModel) -> float:
    """Cosine of the widest angle off the optical axis that the picture shows."""
    x = np.linspace(0.0, camera.width_px, 9)
    y = np.linspace(0.0, camera.height_px, 9)
    border = [
        *(np.stack([x, np.full(9, edge)], axis=1) for edge in (0.0, float(camera.height_px))),
        *(np.stack([np.full(9, edge), y], axis=1) for edge in (0.0, float(camera.width_px))),
    ]
    return float(camera.unproject(np.concatenate(border))[:, 2].min()) - 0.02


@kernel
def _in_field(xyz: F64, camera_from_level: F64, cos_limit: float, out: F64, seen: I64) -> int:
    """Camera coordinates of the voxels within the camera's cone; returns how many."""
    n = 0
    t = camera_from_level
    for v in range(len(xyz)):
        x, y, z = xyz[v, 0], xyz[v, 1], xyz[v, 2]
        cz = t[2, 0] * x + t[2, 1] * y + t[2, 2] * z + t[2, 3]
        if cos_limit > 0.0 and cz <= 0.0:
            continue
        cx = t[0, 0] * x + t[0, 1] * y + t[0, 2] * z + t[0, 3]
        cy = t[1, 0] * x + t[1, 1] * y + t[1, 2] * z + t[1, 3]
        if cz < cos_limit * np.sqrt(cx * cx + cy * cy + cz * cz):
            continue
        out[n, 0], out[n, 1], out[n, 2] = cx, cy, cz
        seen[n] = v
        n += 1
    return n


@kernel
def _inside_boxes(uv_px: F64, seen: I64, xyxy: F64, margin: float, width_px: float) -> tuple[I64, I64, F64]:
    """Voxels in each box grown by ``margin``, and their places in it; compressed rows."""
    order, first = _by_column(uv_px, width_px)
    ptr = np.zeros(len(xyxy) + 1, dtype=np.int64)
    rows = np.empty(0, dtype=np.int64)
    uv = np.empty((0, 2))
    for fill in range(2):  # counts, then writes
        if fill == 1:
            rows, uv = np.empty(ptr[-1], dtype=np.int64), np.empty((ptr[-1], 2))
        at = 0
        for b in range(len(xyxy)):
            width, height = xyxy[b, 2] - xyxy[b, 0], xyxy[b, 3] - xyxy[b, 1]
            low = first[_column(xyxy[b, 0] - margin * width, width_px)]
            high = first[_column(xyxy[b, 2] + margin * width, width_px) + 1]
            for k in range(low, high):
                p = order[k]
                u = (uv_px[p, 0] - xyxy[b, 0]) / width
                v = (uv_px[p, 1] - xyxy[b, 1]) / height
                if -margin <= u <= 1.0 + margin and -margin <= v <= 1.0 + margin:
                    if fill == 1:
                        rows[at], uv[at, 0], uv[at, 1] = seen[p], u, v
                    at += 1
            ptr[b + 1] = at
    return ptr, rows, uv


@kernel
def _column(u_px: float, width_px: float) -> int:
    """Column of the picture, of N_COLUMNS; what lies beside it belongs to the outermost."""
    return int(min(max(u_px / width_px, 0.0), 0.999999) * N_COLUMNS)


@kernel
def _by_column(uv_px: F64, width_px: float) -> tuple[I64, I64]:
    """Pixels sorted by column (N,), stable, and the first of each column."""
    first = np.zeros(N_COLUMNS + 1, dtype=np.int64)
    for p in range(len(uv_px)):
        first[_column(uv_px[p, 0], width_px) + 1] += 1
    for c in range(N_COLUMNS):
        first[c + 1] += first[c]
    at = first[:-1].copy()
    order = np.empty(len(uv_px), dtype=np.int64)
    for p in range(len(uv_px)):
        c = _column(uv_px[p, 0], width_px)
        order[at[c]] = p
        at[c] += 1
    return order, first


def silhouettes(frusta: Frusta) -> F64:
    """Directions of the boxes' sides seen from above, one row (D, 10) each; columns as fit.py names them."""
    left = np.arctan2(frusta.ray_left[:, 1], frusta.ray_left[:, 0])
    right = np.arctan2(frusta.ray_right[:, 1], frusta.ray_right[:, 0])
    width = (left - right) % (2 * np.pi)
    middle = left - 0.5 * width
    sigma = SIDE_SIGMA * width + SIDE_SIGMA_RAD
    return np.stack(
        [
            *frusta.camera_xyz_m[:, :2].T,
            *(np.cos(middle), np.sin(middle)),
            *(0.5 * width, -0.5 * width),
            *(sigma, sigma),
            *frusta.cut[:, [0, 2]].T.astype(np.float64),
        ],
        axis=1,
    )


def vertical_edges(frusta: Frusta) -> F64:
    """Slopes of the rays through upper and lower edges, and whether these are cut: (D, 4), columns as in objects.py."""
    cut = frusta.cut.astype(np.float64)
    return np.stack([_slope(frusta.ray_top), _slope(frusta.ray_bottom), cut[:, 1], cut[:, 3]], axis=1)


def range_from_height(frusta: Frusta, height_m: F64) -> F64:
    """Planar range (D,) at which an object of ``height_m`` (D,) fills its box from top to bottom; NaN if it is cut."""
    span = _slope(frusta.ray_top) - _slope(frusta.ray_bottom)
    whole = ~frusta.cut[:, 1] & ~frusta.cut[:, 3] & (span > 1e-3)
    reach: F64 = np.where(whole, height_m / np.where(whole, span, 1.0), np.nan)
    return reach


def range_from_contact(frusta: Frusta, ground: GroundMap) -> F64:
    """Planar range (D,) at which the box's lower edge meets the road; NaN if that is unknown."""
    slope = _slope(frusta.ray_bottom)
    usable = ~frusta.cut[:, 3] & (slope < -0.01)
    planar = np.linalg.norm(frusta.ray_bottom[:, :2], axis=1, keepdims=True)
    direction = frusta.ray_bottom[:, :2] / np.maximum(planar, 1e-9)
    reach = np.full(len(frusta), 10.0)
    for _ in range(4):  # the road's height depends on where it is met
        road = ground.at(frusta.camera_xyz_m[:, :2] + reach[:, None] * direction)
        reach = np.clip((frusta.camera_xyz_m[:, 2] - road) / np.where(usable, -slope, 1.0), 0.5, 200.0)
    return np.where(usable, reach, np.nan)


def _slope(ray: F64) -> F64:
    slope: F64 = ray[:, 2] / np.maximum(np.linalg.norm(ray[:, :2], axis=1), 1e-9)
    return slope
