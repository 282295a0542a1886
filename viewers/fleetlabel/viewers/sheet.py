"""A scene as one picture: title, cameras, the ground from above, and a legend."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from fleetlabel.geometry.arrays import U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.camera_tile import draw_camera
from fleetlabel.viewers.ground_tile import draw_ground
from fleetlabel.viewers.layout import Layout, arrange
from fleetlabel.viewers.palette import BACKGROUND, FAINT, TEXT, ColorBy, class_color
from fleetlabel.viewers.scene import FrameScene

# Times before this are no calendar time but a clock that began with the drive.
_YEAR_2000_NS = 946_684_800_000_000_000


def draw_sheet(
    scene: FrameScene, *, width_px: int = 1920, radius_m: float = 50.0, color_by: ColorBy = ColorBy.CLASS
) -> U8:
    """Draws everything that a scene shows.

    Args:
        width_px: of the sheet; its height follows, about 9/16 of it.
        radius_m: how far the view from above reaches to the sides.
        color_by: what the colours of boxes tell.

    Returns:
        (H, W, 3) uint8 blue, green, red; both sizes are even. All scenes of one reader give the same size.
    """
    cameras = scene.cameras
    layout = arrange(
        width_px,
        [view.azimuth_rad for view in cameras],
        [view.camera.width_px / view.camera.height_px for view in cameras],
        with_ground=scene.ground is not None,
    )
    sheet = np.full((layout.height, layout.width, 3), BACKGROUND, dtype=np.uint8)
    for view, place in zip(cameras, layout.cameras, strict=True):
        draw_camera(sheet[place.window], view, color_by, layout.scale)
    if scene.ground is not None and layout.ground is not None:
        draw_ground(sheet[layout.ground.window], scene.ground, color_by, radius_m, layout.scale)
    _draw_header(sheet, layout, scene)
    _draw_footer(sheet, layout, scene, color_by)
    return sheet


def _draw_header(sheet: U8, layout: Layout, scene: FrameScene) -> None:
    header, scale = layout.header, layout.scale
    band = sheet[header.window]
    baseline = 30 * scale
    versions = "  vs  ".join(scene.versions)
    size = round(15 * scale)
    right = header.width - draw.text_width(versions, size, 500)
    draw.write(band, versions, max(right, header.width / 2), baseline, TEXT, size, 500)
    left_part = band[:, : max(int(right), header.width // 2) - round(16 * scale)]
    draw.write(left_part, scene.sequence, 0, baseline, TEXT, round(19 * scale), 600)
    x = draw.text_width(scene.sequence, round(19 * scale), 600) + 18 * scale
    facts = f"frame {scene.frame} of {scene.n_frames}    +{scene.elapsed_s:.3f} s"
    if scene.timestamp_ns > _YEAR_2000_NS:
        moment = datetime.fromtimestamp(scene.timestamp_ns / 1e9, UTC)
        facts += f"    {moment:%Y-%m-%d %H:%M:%S}.{scene.timestamp_ns // 1_000_000 % 1000:03d} UTC"
    draw.write(left_part, facts, x, baseline, FAINT, size)


def _draw_footer(sheet: U8, layout: Layout, scene: FrameScene, color_by: ColorBy) -> None:
    """Classes on the left, what the strokes mean on the right."""
    footer, scale = layout.footer, layout.scale
    band = sheet[footer.window]
    size, baseline = round(13 * scale), 25 * scale
    strokes = "heavy edge: front"
    if len(scene.versions) > 1:
        strokes += f"    dashed: {scene.versions[1]}"
    if scene.ground is not None and len(scene.ground.points_m):
        strokes += f"    {len(scene.ground.points_m):,} points"
    right = footer.width - draw.text_width(strokes, size)
    draw.write(band, strokes, right, baseline, FAINT, size)
    if color_by is ColorBy.TRACK:
        draw.write(band, "colour: track", 0, baseline, TEXT, size)
        return
    legend = band[:, : max(right - round(24 * scale), 0)]
    x, chip = 0.0, round(11 * scale)
    for name in scene.class_names:
        text = name.replace("_", " ")
        if x + chip + draw.text_width(text, size) > legend.shape[1]:
            break
        top = round(baseline) - chip + 1
        legend[top : top + chip, round(x) : round(x) + chip] = class_color(name)
        draw.write(legend, text, x + chip + 6 * scale, baseline, TEXT, size)
        x += chip + draw.text_width(text, size) + 24 * scale
