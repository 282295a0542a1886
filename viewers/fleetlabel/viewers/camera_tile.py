"""One camera's picture with its labels, drawn into a tile."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from fleetlabel.geometry.arrays import F64, U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.palette import (
    BACKGROUND,
    COMPARED,
    FAINT,
    PANEL,
    PROBLEM,
    TEXT,
    ColorBy,
    box_colors,
    shown_class,
)
from fleetlabel.viewers.scene import CameraOverlay, CameraView

# Pictures are shown a little darker than they are, so that lines stand out from skies and white vans.
_DIMMED = 0.92
_PNG = b"\x89PNG\r\n\x1a\n"


def draw_camera(tile: U8, view: CameraView, color_by: ColorBy, scale: float) -> None:
    """Fills a tile (H, W, 3) with the camera's picture, centred, and draws its label versions over it.

    Args:
        scale: size of lettering and lines; 1 suits a sheet 1920 pixels wide.
    """
    tile[:] = PANEL
    window, zoom = _picture_window(tile, view)
    problem = view.problem or _show_picture(window, view.jpeg)
    if problem:
        _show_problem(window, problem, scale)
    for overlay in view.overlays[1:]:
        _draw_compared(window, overlay, zoom, scale)
    for overlay in view.overlays[:1]:
        _draw_outlines(window, overlay, color_by, zoom, scale)
        _draw_boxes(window, overlay, color_by, zoom, scale)
        _draw_tags(window, overlay, color_by, zoom, scale, _caption_box(view.name, scale))
    _draw_caption(window, view.name, scale)


def decode_at_least(data: bytes, width_px: int, height_px: int) -> U8:
    """The picture (H, W, 3) BGR: a JPEG in the smallest size of its own transform that is not below the one asked for.

    A PNG comes whole.

    Raises:
        ValueError: the bytes are no whole JPEG or PNG.
    """
    if data.startswith(_PNG):
        return _decode_png(data)
    picture: U8 = simplejpeg.decode_jpeg(
        data, "BGR", fastdct=True, fastupsample=True, min_height=height_px, min_width=width_px
    )
    return picture


def _decode_png(data: bytes) -> U8:
    if b"IEND" not in data[-64:]:  # said here, as the decoder would print it
        raise ValueError(f"PNG is cut off after {len(data)} bytes")
    try:
        picture = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ValueError(f"PNG is damaged: {error}") from error
    if picture is None:
        raise ValueError(f"PNG of {len(data)} bytes is damaged")
    return np.asarray(picture, dtype=np.uint8)


def _picture_window(tile: U8, view: CameraView) -> tuple[U8, F64]:
    """The part of the tile that the picture takes, and tile pixels per camera pixel in x and y."""
    height, width = tile.shape[:2]
    size = np.array([view.camera.width_px, view.camera.height_px])
    w, h = np.maximum(np.round(size * min(width / size[0], height / size[1])).astype(int), 1)
    x, y = (width - w) // 2, (height - h) // 2
    return tile[y : y + h, x : x + w], np.array([w, h]) / size


def _show_picture(window: U8, jpeg: bytes) -> str:
    """Draws the picture; returns what is wrong with it, if anything."""
    height, width = window.shape[:2]
    try:
        picture = decode_at_least(jpeg, width, height)
    except ValueError as error:
        return f"picture cannot be decoded: {error}"
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    window[:] = cv2.convertScaleAbs(resized, alpha=_DIMMED)
    return ""


def _show_problem(window: U8, problem: str, scale: float) -> None:
    height, width = window.shape[:2]
    size, step = round(13 * scale), round(20 * scale)
    lines = draw.wrap_lines(problem, 0.86 * width, size, max_lines=max(height // (2 * step), 1))
    top = 0.8 * height - step * len(lines) / 2  # below what the labels mostly outline
    for row, line in enumerate(lines):
        x = (width - draw.text_width(line, size)) / 2
        draw.write(window, line, x, top + step * row + size, PROBLEM, size)


def _draw_outlines(window: U8, overlay: CameraOverlay, color_by: ColorBy, zoom: F64, scale: float) -> None:
    outlines = overlay.outlines
    index, palette = box_colors(overlay.cuboids, color_by)
    segments, color, front = outlines.segments_px * zoom, index[outlines.cuboid], outlines.is_front
    thin, thick = max(round(scale), 1), max(round(2 * scale), 1)
    draw.stroke(window, segments[~front], color[~front], palette, thickness_px=thin, opacity=0.75)
    draw.stroke(window, segments[front], color[front], palette, thickness_px=thick)


def _draw_boxes(window: U8, overlay: CameraOverlay, color_by: ColorBy, zoom: F64, scale: float) -> None:
    index, palette = box_colors(overlay.boxes, color_by)
    boxes, ignore = overlay.boxes.xyxy_px * np.tile(zoom, 2), overlay.boxes.ignore
    thin, thick = max(round(scale), 1), max(round(2 * scale), 1)
    sides, corners = draw.rectangles(boxes[~ignore]), draw.brackets(boxes[~ignore], 0.25, 14 * scale)
    draw.stroke(window, sides, np.repeat(index[~ignore], 4), palette, thickness_px=thin, opacity=0.45)
    draw.stroke(window, corners, np.repeat(index[~ignore], 8), palette, thickness_px=thick)
    _draw_dashed(window, draw.rectangles(boxes[ignore]), FAINT, scale)


def _draw_compared(window: U8, overlay: CameraOverlay, zoom: F64, scale: float) -> None:
    boxes = overlay.boxes.take(~overlay.boxes.ignore).xyxy_px * np.tile(zoom, 2)
    segments = [overlay.outlines.segments_px * zoom, draw.rectangles(boxes)]
    _draw_dashed(window, np.concatenate(segments), COMPARED, scale)


def _draw_dashed(window: U8, segments: F64, color: tuple[int, int, int], scale: float) -> None:
    pieces, row = draw.dashes(segments, np.zeros(len(segments), dtype=np.int64), 5 * scale, 4 * scale)
    draw.stroke(window, pieces, row, np.array([color], dtype=np.uint8), thickness_px=max(round(scale), 1))


def _draw_tags(
    window: U8, overlay: CameraOverlay, color_by: ColorBy, zoom: F64, scale: float, caption: F64
) -> None:
    """Names every object once: at its 2D box, or at its cuboid where it has none; large ones first."""
    height, width = window.shape[:2]
    boxes, cuboids = overlay.boxes, overlay.cuboids
    alone = ~np.isin(cuboids.track_id, boxes.track_id[boxes.track_id >= 0])
    rows2d = np.flatnonzero(~boxes.ignore)
    rows3d = np.flatnonzero(alone & np.isfinite(overlay.outlines.extent_px[:, 0]))
    anchors = np.concatenate([boxes.xyxy_px[rows2d], overlay.outlines.extent_px[rows3d]]) * np.tile(zoom, 2)
    anchors = np.clip(anchors, 0, [width, height, width, height])
    colors = np.concatenate(
        [palette[index[rows]] for rows, (index, palette) in (
            (rows2d, box_colors(boxes, color_by)), (rows3d, box_colors(cuboids, color_by)))]
    )  # fmt: skip
    track = np.concatenate([boxes.track_id[rows2d], cuboids.track_id[rows3d]]).tolist()
    names = [
        *(shown_class(boxes.class_names[i]) for i in boxes.class_id[rows2d]),
        *(shown_class(cuboids.class_names[i]) for i in cuboids.class_id[rows3d]),
    ]
    texts = [str(number) if number >= 0 else name for number, name in zip(track, names, strict=True)]
    draw_tags(window, anchors, texts, colors, caption, scale)


def draw_tags(canvas: U8, anchors: F64, texts: list[str], colors: U8, taken: F64, scale: float) -> None:
    """Draws labels on plates of the given colours (N, 3) at their anchors (N, 4), the largest anchors first.

    What is small has a small label, so that a far crowd is not buried under its names.
    """
    extent = anchors[:, 2:] - anchors[:, :2]
    order = np.argsort(-np.prod(extent, axis=1), kind="stable")
    small, large = max(round(9 * scale), 7), max(round(11 * scale), 7)
    lettering = np.where(extent.max(axis=1, initial=0.0) < 20 * scale, small, large)[order].tolist()
    sizes = [draw.tag_size(texts[row], size) for row, size in zip(order, lettering, strict=True)]
    position, found = draw.place_tags(
        anchors[order],
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        taken,
        canvas.shape[1],
        canvas.shape[0],
    )
    for place in np.flatnonzero(found)[::-1]:
        row = order[place]
        x, y = position[place].tolist()
        draw.tag(canvas, texts[row], x, y, tuple(colors[row].tolist()), lettering[place])


def _caption_box(name: str, scale: float) -> F64:
    size = round(12 * scale)
    return np.array([[0, 0, draw.text_width(name, size, 500) + 14 * scale, 1.8 * size]])


def _draw_caption(window: U8, name: str, scale: float) -> None:
    size = round(12 * scale)
    _, _, x2, y2 = np.ceil(_caption_box(name, scale)[0]).astype(int)
    plate = window[:y2, :x2]
    plate[:] = cv2.addWeighted(plate, 0.25, np.full_like(plate, BACKGROUND), 0.75, 0)
    draw.write(window, name, 7 * scale, 1.28 * size, TEXT, size, 500)
