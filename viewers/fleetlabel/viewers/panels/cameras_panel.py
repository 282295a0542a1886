"""The row of small pictures, and one of them enlarged: boxes by class, the selected object's in the accent."""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.geometry import boxes as cuboid_geometry
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, U8, AnyArray, Bool
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.motion import moved_to
from fleetlabel.viewers import draw
from fleetlabel.viewers.camera_tile import decode_at_least, draw_tags
from fleetlabel.viewers.editor.corrections import pose_at
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.frames import Shown
from fleetlabel.viewers.editor.gizmo2d import Xyxy
from fleetlabel.viewers.editor.object_list import short_id
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.window_layout import Panel, fit_picture
from fleetlabel.viewers.layout import Place
from fleetlabel.viewers.outlines import outline_cuboids
from fleetlabel.viewers.palette import Color, box_colors
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_DIMMED = 0.9
_Nearby = tuple[Boxes3D, Bool]
_HANDLE_PX = 4


def draw_cameras(editor: Editor) -> U8:
    """The row of all cameras."""
    place = editor.layout.places[Panel.CAMERAS]
    target = theme.canvas(place.width, place.height, theme.BACKGROUND)
    shown, nearby = editor.cache.pictures(editor.session.frame), editor.cuboids_around()
    for number, name in enumerate(editor.cameras):
        tile = editor.layout.tiles[name]
        _draw_tile(target[tile.window], editor, shown[name], nearby, number + 1)
    return target


def draw_enlarged(editor: Editor) -> U8:
    """The enlarged camera, in the place of the perspective view."""
    s, scale = editor.session, editor.layout.scale
    main = editor.layout.places[Panel.MAIN]
    target = theme.canvas(main.width, main.height, theme.BACKGROUND)
    shown = editor.cache.pictures(s.frame)[s.enlarged]
    camera = shown.picture.camera
    place = fit_picture(Place(0, 0, main.width, main.height), camera.width_px, camera.height_px)
    window = target[place.window]
    if shown.problem:
        _say_problem(window, shown.problem, scale)
    else:
        decoded = decode_at_least(shown.picture.jpeg, place.width, place.height)
        resized = cv2.resize(decoded, (place.width, place.height), interpolation=cv2.INTER_AREA)
        window[:] = cv2.convertScaleAbs(resized, alpha=_DIMMED)
    _draw_labels(window, editor, shown, editor.cuboids_around(), boxes=True)
    box = editor.picture_box(s.enlarged)
    if box is not None:
        _draw_handles(window, box, place.width / camera.width_px, scale)
    number = editor.cameras.index(s.enlarged) + 1
    _caption(window, f"{number}  {s.enlarged}", scale, 13)
    return target


def _draw_tile(tile: U8, editor: Editor, shown: Shown, nearby: _Nearby, number: int) -> None:
    s, scale = editor.session, editor.layout.scale
    height, width = shown.tile.shape[:2]
    x, y = (tile.shape[1] - width) // 2, (tile.shape[0] - height) // 2
    window = tile[y : y + height, x : x + width]
    if shown.problem:
        window[:] = theme.PANEL
        _say_problem(window, shown.problem, scale)
    else:
        window[:] = cv2.convertScaleAbs(shown.tile, alpha=_DIMMED)
    _draw_labels(window, editor, shown, nearby, boxes=False)
    _caption(window, f"{number}  {shown.picture.name}", scale, 11)
    if s.enlarged == shown.picture.name:
        theme.frame(tile, 0, 0, tile.shape[1], tile.shape[0], theme.ACCENT, px(2, scale))


def _draw_labels(window: U8, editor: Editor, shown: Shown, nearby: _Nearby, boxes: bool) -> None:
    """Cuboids as the lens sees them at the time of exposure, 2D boxes, and the selected object over them."""
    s, picture = editor.session, shown.picture
    zoom = window.shape[1] / picture.camera.width_px
    camera_from_world = se3.invert(picture.world_from_camera)
    around, here = nearby
    exposed = np.full(len(around), picture.timestamp_ns)
    center, q_wxyz = (column[here] for column in moved_to(around, exposed))
    cuboids = around.take(here)
    corners = cuboid_geometry.corners(center, cuboids.size_lwh_m, q_wxyz)
    outlines = outline_cuboids(corners, camera_from_world, picture.camera)
    index, palette = box_colors(cuboids, s.box_colors)
    color: AnyArray = index[outlines.cuboid]
    draw.stroke(window, outlines.segments_px * zoom, color, palette, thickness_px=1, opacity=0.8)
    if boxes:
        _draw_boxes(window, editor, zoom)
    if s.previous is not None:
        old = pose_at(s.previous.cuboids, s.frame)
        if old is not None:
            _draw_pose(window, editor, shown, old, theme.BEFORE, zoom, dash=True)
    pose = editor.shown_pose()
    if pose is not None:
        color_of = theme.GHOST if s.ghost is not None or editor.is_guess else theme.ACCENT
        _draw_pose(window, editor, shown, pose, color_of, zoom, dash=editor.is_guess)
    box = editor.picture_box(picture.name)
    if box is not None:
        sides = draw.rectangles(np.array([box])) * zoom
        theme.lines(window, sides, theme.ACCENT, 2 if boxes else 1, 1.0 if boxes else 0.8)


def _draw_pose(
    window: U8, editor: Editor, shown: Shown, pose: BoxPose, color: Color, zoom: float, dash: bool
) -> None:
    moved = editor.at_exposure(pose, shown.picture.timestamp_ns)
    camera_from_world = se3.invert(shown.picture.world_from_camera)
    outlines = outline_cuboids(moved.corners_m[None], camera_from_world, shown.picture.camera)
    segments = outlines.segments_px * zoom
    theme.lines(window, segments[~outlines.is_front], color, 1, dash=dash)
    theme.lines(window, segments[outlines.is_front], color, 1 if dash else 2, dash=dash)


def _draw_boxes(window: U8, editor: Editor, zoom: float) -> None:
    s, scale = editor.session, editor.layout.scale
    boxes = editor.source.pictures_at(s.enlarged, s.frame)
    away = np.array([*s.hidden] + ([s.selected] if s.selected is not None else []), dtype=np.int64)
    boxes = boxes.take(~np.isin(boxes.track_id, away) & ~boxes.ignore)
    if s.isolated:
        boxes = boxes.take(slice(0))
    index, palette = box_colors(boxes, s.box_colors)
    xyxy = boxes.xyxy_px * zoom
    draw.stroke(window, draw.rectangles(xyxy), np.repeat(index, 4), palette, thickness_px=1, opacity=0.5)
    corners = draw.brackets(xyxy, 0.25, 14 * scale)
    draw.stroke(window, corners, np.repeat(index, 8), palette, thickness_px=2)
    _draw_tags(window, xyxy, boxes.track_id.tolist(), palette[index], scale)


def _draw_tags(window: U8, xyxy: F64, track: list[int], colors: U8, scale: float) -> None:
    taken = np.array([[0.0, 0.0, 190.0 * scale, 24.0 * scale]])
    draw_tags(window, xyxy, [short_id(number) for number in track], colors, taken, scale)


def _draw_handles(window: U8, box: Xyxy, zoom: float, scale: float) -> None:
    x1, y1, x2, y2 = (value * zoom for value in box)
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    half = px(_HANDLE_PX, scale)
    for x, y in (
        *((x1, y1), (x2, y1), (x1, y2), (x2, y2)),
        *((middle_x, y1), (middle_x, y2), (x1, middle_y), (x2, middle_y)),
    ):
        theme.rectangle(window, x - half, y - half, 2 * half, 2 * half, theme.BACKGROUND)
        theme.rectangle(window, x - half + 1, y - half + 1, 2 * half - 2, 2 * half - 2, theme.ACCENT)


def _say_problem(window: U8, problem: str, scale: float) -> None:
    size = px(12, scale)
    for row, line in enumerate(draw.wrap_lines(problem, 0.86 * window.shape[1], size, 3)):
        left = (window.shape[1] - draw.text_width(line, size)) / 2
        theme.text(window, line, left, window.shape[0] * 0.5 + row * 1.5 * size, theme.PROBLEM, size)


def _caption(window: U8, words: str, scale: float, size: int) -> None:
    size = px(size, scale)
    width, height = draw.text_width(words, size, 500) + px(14, scale), round(1.8 * size)
    plate = window[:height, :width]
    plate[:] = cv2.addWeighted(plate, 0.25, np.full_like(plate, theme.BACKGROUND), 0.75, 0)
    draw.write(window, words, px(7, scale), 1.28 * size, theme.TEXT, size, 500)
