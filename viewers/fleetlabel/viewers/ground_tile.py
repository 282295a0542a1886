"""The surroundings from above, drawn into a tile: points, cuboids, paths, and how far things are."""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F32, F64, U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.camera_tile import draw_tags
from fleetlabel.viewers.palette import (
    COMPARED,
    EGO,
    FAINT,
    GRID,
    PANEL,
    ColorBy,
    box_colors,
    shown_class,
)
from fleetlabel.viewers.scene import GroundOverlay, GroundView

# Heights above ground over which points turn from dark to bright.
_TALL_M = 3.0
_SLOWEST_ARROW_MPS = 0.5


def draw_ground(tile: U8, view: GroundView, color_by: ColorBy, radius_m: float, scale: float) -> None:
    """Fills a tile (H, W, 3) with the surroundings, the ego vehicle in the middle and looking up.

    Args:
        radius_m: how far the nearer borders of the tile are.
        scale: size of lettering and lines; 1 suits a sheet 1920 pixels wide.
    """
    tile[:] = PANEL
    pixels_per_m = min(tile.shape[:2]) / (2 * radius_m)
    _draw_points(tile, view.points_m, pixels_per_m)
    _draw_rings(tile, pixels_per_m, radius_m, scale)
    for overlay in view.overlays[1:]:
        _draw_compared(tile, overlay, pixels_per_m, scale)
    _draw_ego(tile, scale)
    for overlay in view.overlays[:1]:
        _draw_cuboids(tile, overlay, color_by, pixels_per_m, scale)
        _draw_tags(tile, overlay, color_by, pixels_per_m, scale)


def tile_from_ego(xy_m: F64, tile: U8, pixels_per_m: float) -> F64:
    """Places (..., 2) in the tile, in pixels, of places in the ego frame: forward is up, left is left."""
    height, width = tile.shape[:2]
    return np.stack(
        [width / 2 - xy_m[..., 1] * pixels_per_m, height / 2 - xy_m[..., 0] * pixels_per_m], axis=-1
    )


def _draw_points(tile: U8, points_m: F32, pixels_per_m: float) -> None:
    """Each pixel shows the highest of its points, brighter the further it is above the ground."""
    height, width = tile.shape[:2]
    column = np.floor(np.float32(width / 2) - points_m[:, 1] * np.float32(pixels_per_m)).astype(np.int32)
    row = np.floor(np.float32(height / 2) - points_m[:, 0] * np.float32(pixels_per_m)).astype(np.int32)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if not inside.any():
        return
    z = points_m[inside, 2]
    ground = np.percentile(z[:: max(len(z) // 4096, 1)], 10)
    level = 1 + np.clip((z - ground) * np.float32(254 / _TALL_M), 0, 254).astype(np.uint8)
    highest = np.zeros(height * width, dtype=np.uint8)
    np.maximum.at(highest, row[inside] * width + column[inside], level)
    tile[:] = _POINT_COLORS[highest].reshape(tile.shape)


def _point_colors() -> U8:
    """(256, 3): no point, then from ground to tall."""
    stops = [0.0, 0.004, 0.25, 1.0]
    colors = np.array([PANEL, (96, 84, 76), (146, 136, 122), (214, 216, 204)], dtype=np.float64)
    ramp = [np.interp(np.linspace(0, 1, 256), stops, colors[:, channel]) for channel in range(3)]
    return np.round(np.stack(ramp, axis=1)).astype(np.uint8)


_POINT_COLORS = _point_colors()


def _draw_rings(tile: U8, pixels_per_m: float, radius_m: float, scale: float) -> None:
    height, width = tile.shape[:2]
    step = _ring_step(radius_m)
    size = round(11 * scale)
    reach = float(np.hypot(width, height)) / 2 / pixels_per_m
    for distance in np.arange(step, reach, step):
        center = (round((width / 2 - 0.5) * 16), round((height / 2 - 0.5) * 16))
        cv2.circle(tile, center, round(distance * pixels_per_m * 16), GRID, 1, cv2.LINE_AA, 4)
        text = f"{distance:g} m"
        diagonal = distance * pixels_per_m * np.sqrt(0.5)
        x = width / 2 - diagonal - draw.text_width(text, size) / 2
        y = height / 2 - diagonal + size / 2
        if x > size and y > 2 * size:
            draw.write(tile, text, x, y, FAINT, size)


def _ring_step(radius_m: float) -> float:
    """A round distance, 1, 2 or 5 times a power of ten, that puts two to five rings within the radius."""
    decade = 10.0 ** np.floor(np.log10(radius_m / 2))
    return float(max(step * decade for step in (1, 2, 5) if step * decade <= radius_m / 2))


def _draw_ego(tile: U8, scale: float) -> None:
    height, width = tile.shape[:2]
    arrow = np.array([[0, -11], [7, 9], [0, 5], [-7, 9]]) * scale + (width / 2, height / 2)
    points = [np.round((arrow - 0.5) * 16).astype(np.int32)]
    cv2.fillPoly(tile, points, EGO, cv2.LINE_AA, 4)


def _draw_cuboids(
    tile: U8, overlay: GroundOverlay, color_by: ColorBy, pixels_per_m: float, scale: float
) -> None:
    """Footprints with a heavy front edge, arrows for the way of a second, paths of the last seconds."""
    index, palette = box_colors(overlay.cuboids, color_by)
    corners = tile_from_ego(overlay.footprint_m, tile, pixels_per_m)
    thin, thick = max(round(scale), 1), max(round(2.5 * scale), 1)
    trail = tile_from_ego(overlay.trail_m, tile, pixels_per_m)
    draw.stroke(tile, trail, index[overlay.trail_cuboid], palette, thickness_px=thin, opacity=0.55)
    draw.fill(tile, corners, index, palette, opacity=0.3)
    draw.stroke(tile, _rings_of(corners), np.repeat(index, 4), palette, thickness_px=thin)
    draw.stroke(tile, corners[:, [3, 0]], index, palette, thickness_px=thick)
    moving = np.linalg.norm(overlay.velocity_mps, axis=1) > _SLOWEST_ARROW_MPS
    middle = overlay.footprint_m.mean(axis=1)
    arrows = _arrows(middle[moving], overlay.velocity_mps[moving], 5 * scale / pixels_per_m)
    draw.stroke(
        tile,
        tile_from_ego(arrows, tile, pixels_per_m),
        np.repeat(index[moving], 3),
        palette,
        thickness_px=thin,
    )


def _arrows(start: F64, way: F64, head_m: float) -> F64:
    """Arrows (3 N, 2, 2) from points (N, 2) along vectors (N, 2): a shaft and the two barbs of its head."""
    tip = start + way
    along = way / np.linalg.norm(way, axis=1, keepdims=True) * head_m
    across = 0.6 * np.stack([-along[:, 1], along[:, 0]], axis=1)
    ends = np.stack([start, tip - along + across, tip - along - across], axis=1)
    return np.stack([ends, np.broadcast_to(tip[:, None], ends.shape)], axis=2).reshape(-1, 2, 2)


def _draw_compared(tile: U8, overlay: GroundOverlay, pixels_per_m: float, scale: float) -> None:
    corners = tile_from_ego(overlay.footprint_m, tile, pixels_per_m)
    lines = np.concatenate([_rings_of(corners), _heading_marks(corners)])
    pieces, row = draw.dashes(lines, np.zeros(len(lines), dtype=np.int64), 5 * scale, 4 * scale)
    draw.stroke(tile, pieces, row, np.array([COMPARED], dtype=np.uint8), thickness_px=max(round(scale), 1))


def _rings_of(corners: F64) -> F64:
    """Sides (4 N, 2, 2) of quadrilaterals (N, 4, 2)."""
    return np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2, 2)


def _heading_marks(corners: F64) -> F64:
    """Lines (N, 2, 2) from the middle of each footprint to the middle of its front edge."""
    return np.stack([corners.mean(axis=1), corners[:, [0, 3]].mean(axis=1)], axis=1)


def _draw_tags(
    tile: U8, overlay: GroundOverlay, color_by: ColorBy, pixels_per_m: float, scale: float
) -> None:
    height, width = tile.shape[:2]
    corners = tile_from_ego(overlay.footprint_m, tile, pixels_per_m)
    extent = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    middle = corners.mean(axis=1)
    shown = np.flatnonzero(((middle >= 0) & (middle < (width, height))).all(axis=1))
    boxes = overlay.cuboids.take(shown)
    index, palette = box_colors(boxes, color_by)
    texts = [
        str(track) if track >= 0 else shown_class(boxes.class_names[row])
        for track, row in zip(boxes.track_id.tolist(), boxes.class_id.tolist(), strict=True)
    ]
    draw_tags(tile, extent[shown], texts, palette[index], extent[shown][:0], scale)
