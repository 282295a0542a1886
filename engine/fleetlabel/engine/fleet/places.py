"""Where on Earth drives went, as far as their logs say: local and UTM coordinates as latitude and longitude.

A rig folder says so in its ``origin``: ``{utm_zone: 32N}`` if its poses are UTM coordinates, or ``{latitude_deg: ...,
longitude_deg: ...}`` of the world's origin, whose x points east and y north, or turned left by ``x_from_east_deg``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.store import SequenceInfo

EARTH_RADIUS_M = 6_371_008.8  # mean, IUGG
_A_M, _F = 6_378_137.0, 1 / 298.257223563  # WGS 84
_K0, _FALSE_EAST_M, _FALSE_NORTH_M = 0.9996, 500_000.0, 10_000_000.0
_MOST_POINTS = 256
_ZONE = re.compile(r"([1-9]|[1-5]\d|60)([NS])")


def way_of(info: SequenceInfo) -> F64 | None:
    """Points (P, 2) along a drive's way, latitude and longitude in degrees; None if its log does not say."""
    rows = np.unique(np.linspace(0, len(info.trajectory.timestamp_ns) - 1, _MOST_POINTS).astype(np.int64))
    return on_earth(info, info.trajectory.world_from_ego[rows, :2] + info.world_offset_m[:2])


def on_earth(info: SequenceInfo, east_north_m: F64) -> F64 | None:
    """Points (P, 2) of the log's own world as latitude and longitude, degrees; None if it does not say where it is."""
    origin = _origin(info.source)
    zone = _ZONE.fullmatch(str(origin.get("utm_zone", "")).upper())
    if zone is not None:
        return from_utm(east_north_m, int(zone[1]), south=zone[2] == "S")
    try:
        latitude, longitude = float(origin["latitude_deg"]), float(origin["longitude_deg"])
        turn = np.radians(float(origin.get("x_from_east_deg", 0.0)))
    except (KeyError, TypeError, ValueError):
        return None
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    east_north_m = east_north_m @ rotation
    north = np.degrees(east_north_m[:, 1] / EARTH_RADIUS_M)
    east = np.degrees(east_north_m[:, 0] / (EARTH_RADIUS_M * np.cos(np.radians(latitude))))
    return np.stack([latitude + north, longitude + east], axis=1)


def from_utm(east_north_m: F64, zone: int, *, south: bool = False) -> F64:
    """UTM coordinates (N, 2) on WGS 84 as latitude and longitude in degrees (N, 2).

    Krüger's series in the third flattening to its fourth order, which is exact to less than a millimetre within a
    zone (Karney, "Transverse Mercator with an accuracy of a few nanometers", 2011).
    """
    n = _F / (2 - _F)
    radius = _A_M / (1 + n) * (1 + n**2 / 4 + n**4 / 64) * _K0
    xi = (east_north_m[:, 1] - (_FALSE_NORTH_M if south else 0.0)) / radius
    eta = (east_north_m[:, 0] - _FALSE_EAST_M) / radius
    beta = (
        n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96 - n**4 / 360,
        n**2 / 48 + n**3 / 15 - 437 * n**4 / 1440,
        17 * n**3 / 480 - 37 * n**4 / 840,
        4397 * n**4 / 161_280,
    )
    orders = [(2.0 * (j + 1), b) for j, b in enumerate(beta)]
    xi_0 = xi - sum((b * np.sin(j * xi) * np.cosh(j * eta) for j, b in orders), np.zeros_like(xi))
    eta_0 = eta - sum((b * np.cos(j * xi) * np.sinh(j * eta) for j, b in orders), np.zeros_like(xi))
    conformal = np.arcsin(np.sin(xi_0) / np.cosh(eta_0))
    delta = (
        2 * n - 2 * n**2 / 3 - 2 * n**3 + 116 * n**4 / 45,
        7 * n**2 / 3 - 8 * n**3 / 5 - 227 * n**4 / 45,
        56 * n**3 / 15 - 136 * n**4 / 35,
        4279 * n**4 / 630,
    )
    latitude = conformal + sum(
        (d * np.sin(2.0 * (j + 1) * conformal) for j, d in enumerate(delta)), np.zeros_like(xi)
    )
    longitude = np.arctan2(np.sinh(eta_0), np.cos(xi_0))
    return np.stack([np.degrees(latitude), np.degrees(longitude) + 6 * zone - 183], axis=1)


def distance_m(way: F64, latitude_deg: float, longitude_deg: float) -> float:
    """Least distance of a point from a way (P, 2), metres; the Earth is taken for flat around the point."""
    scale = np.radians(EARTH_RADIUS_M) * np.array([1.0, np.cos(np.radians(latitude_deg))])
    east = (way[:, 1] - longitude_deg + 180.0) % 360.0 - 180.0
    points = np.stack([way[:, 0] - latitude_deg, east], axis=1) * scale
    if len(points) == 1:
        return float(np.linalg.norm(points[0]))
    start, step = points[:-1], np.diff(points, axis=0)
    length = np.maximum((step**2).sum(axis=1), 1e-12)
    along = np.clip(-(start * step).sum(axis=1) / length, 0.0, 1.0)
    return float(np.linalg.norm(start + along[:, None] * step, axis=1).min())


def _origin(source: Mapping[str, Any]) -> Mapping[str, Any]:
    origin = source.get("origin")
    return origin if isinstance(origin, Mapping) else {}
