"""Waymo's range images as points.

Row r is a beam, from the highest inclination to the lowest; column c looks at azimuth ``(2 (W - c - 0.5) / W - 1) pi``
less the yaw of the extrinsics, so that the middle looks along the vehicle's x axis. Each pixel of the top lidar has the
vehicle's pose at its own time (roll, pitch, yaw about x, y, z, the last first; x, y, z in the global frame): its point
goes lidar -> vehicle -> global by that, and from there into the vehicle at the frame's time. The other lidars have no
such poses and are taken as they are.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.ingest.sweeps import Points
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.errors import SourceError

_MAX_PIXELS = 1 << 21
_CHANNELS = 4  # range, intensity, elongation, whether in a zone without labels


def beam_inclinations(values: list[float] | None, low: float, high: float, height: int, where: str) -> F64:
    """Inclinations (H,) in radians of a range image's rows, the highest first.

    Raises:
        SourceError: they are not one per row.
    """
    if values:
        inclinations = np.array(values, dtype=np.float64)
    else:
        inclinations = low + (np.arange(height) + 0.5) / height * (high - low)
    if len(inclinations) != height or not np.isfinite(inclinations).all():
        raise SourceError(f"{where}: {len(inclinations)} beam inclinations for range images of {height} rows")
    return inclinations[::-1]


def image_of(values: AnyArray | None, shape: list[int] | None, channels: int, where: str) -> F64 | None:
    """A range image (H, W, channels), None for one that is not there.

    Raises:
        SourceError: its values do not fit its shape.
    """
    if values is None or shape is None:
        return None
    if len(shape) != 3 or min(shape) < 1 or shape[2] != channels or shape[0] * shape[1] > _MAX_PIXELS:
        raise SourceError(f"{where}: a range image has shape {shape[:4]}, expected H x W x {channels}")
    if len(values) != shape[0] * shape[1] * channels:
        raise SourceError(
            f"{where}: a range image of shape {shape} has {len(values)} values; restore the file"
        )
    return np.asarray(values, dtype=np.float64).reshape(shape)


def points_of(
    returns: list[F64],
    inclination: F64,
    vehicle_from_lidar: F64,
    poses: F64 | None,
    world_from_vehicle: F64,
    where: str,
) -> Points:
    """Points of a sweep in the lidar's frame, placed as at the frame's time; first returns before second ones.

    Args:
        returns: range images (H, W, 4), of one shape.
        inclination: (H,) radians.
        vehicle_from_lidar: (4, 4).
        poses: (H, W, 6) of each pixel, None if the lidar has none.
        world_from_vehicle: (4, 4) at the frame's time.
    """
    found, intensity = [], []
    lidar_from_vehicle = se3.invert(vehicle_from_lidar)
    for image in returns:
        height, width = image.shape[:2]
        hit = image[..., 0] > 0
        row, column = np.nonzero(hit)
        azimuth = (2 * (width - column - 0.5) / width - 1) * np.pi
        azimuth -= np.arctan2(vehicle_from_lidar[1, 0], vehicle_from_lidar[0, 0])
        distance, slope = image[..., 0][hit], inclination[row]
        flat = distance * np.cos(slope)
        points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(slope)], axis=1)
        if poses is not None:
            if poses.shape[:2] != (height, width):
                raise SourceError(
                    f"{where}: poses of {poses.shape[:2]} pixels for a range image of {image.shape[:2]}"
                )
            world = se3.apply(_matrices(poses[hit]), se3.apply(vehicle_from_lidar, points))
            points = se3.apply(lidar_from_vehicle @ se3.invert(world_from_vehicle), world)
        found.append(points)
        intensity.append(image[..., 1][hit])
    xyz = np.concatenate(found) if found else np.empty((0, 3))
    if not len(xyz):
        return Points(np.empty((0, 4), np.float32), np.empty(0, np.int32), 0)
    with np.errstate(invalid="ignore"):
        return Points.finite(xyz, np.concatenate(intensity), np.zeros(len(xyz)), where)


def _matrices(poses: F64) -> F64:
    """(N, 4, 4) of rows roll, pitch, yaw, x, y, z."""
    turns = []
    for axis in range(3):
        half = 0.5 * poses[:, axis]
        turn = np.zeros((len(poses), 4))
        turn[:, 0], turn[:, 1 + axis] = np.cos(half), np.sin(half)
        turns.append(turn)
    q_wxyz = quaternion.multiply(turns[2], quaternion.multiply(turns[1], turns[0]))
    return se3.transform(quaternion.to_matrix(q_wxyz), poses[:, 3:])
