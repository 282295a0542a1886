"""Top, side and rear view of the selected object: its points, its box, and what hands take hold of."""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F64, U8
from fleetlabel.viewers.editor.corrections import pose_at
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.panes import Pane, Side
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.layout import Place
from fleetlabel.viewers.palette import Color, box_colors
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_FRONT = {Side.TOP: (3, 0), Side.LATERAL: (3, 0), Side.REAR: (2, 3)}


def draw_panes(editor: Editor) -> U8:
    """All three views."""
    place, scale = editor.layout.places[Panel.PANES], editor.layout.scale
    target = theme.canvas(place.width, place.height, theme.BACKGROUND)
    panes, box = editor.panes(), editor.shown_pose()
    near = _points(editor) if panes else np.empty((0, 3))
    for side, spot in zip(Side, editor.layout.panes, strict=True):
        window = target[spot.window]
        window[:] = theme.PANEL
        if side in panes and box is not None:
            pane = panes[side]
            own = Pane(side, pane.frame, 0, 0, spot.width, spot.height, pane.zoom)
            _draw_pane(window, editor, own, box, near)
        elif side is Side.TOP:
            words = "no cuboid at this frame" if editor.session.selected is not None else "nothing selected"
            theme.text(window, words, px(12, scale), px(44, scale), theme.FAINT, px(13, scale))
        _frame(window, editor, side, spot, scale)
    return target


def _frame(window: U8, editor: Editor, side: Side, spot: Place, scale: float) -> None:
    hovered = editor.session.hovered is side
    theme.text(window, side.value.capitalize(), px(10, scale), px(19, scale), theme.SOFT, px(12, scale), 600)
    if hovered:
        theme.frame(window, 0, 0, spot.width, spot.height, theme.ACCENT, px(2, scale))


def _points(editor: Editor) -> F64:
    """Points near the selected object, in the world: of this frame, or of all frames if they are accumulated."""
    s = editor.session
    if s.accumulated and s.selected is not None:
        parts = [editor.points.world(frame) for frame in editor.points.frames()]
        return np.concatenate([np.empty((0, 3)), *parts]).astype(np.float64)
    panes = editor.panes()
    frame = next(iter(panes.values())).frame
    points = editor.cache.cloud(s.frame).world_m
    reach = float(np.linalg.norm(frame.size_lwh_m)) * 1.2 / min(s.pane_zoom, 1.0) + 2.0
    return points[np.all(np.abs(points[:, :2] - np.array(frame.center_m[:2])) <= reach, axis=1)]


def _draw_pane(window: U8, editor: Editor, pane: Pane, box: BoxPose, near: F64) -> None:
    s, scale = editor.session, editor.layout.scale
    local = pane.frame.local(near)
    shown = pane.shows(local)
    pixels = pane.pixels(local[shown])
    inside = np.all(np.abs(box.local(near[shown])) <= 0.5 * np.array(box.size_lwh_m) + 0.02, axis=1)
    size = 2 if pane.pixels_per_m > 14 else 1
    theme.dots(window, pixels[~inside], theme.POINT, size)
    theme.dots(window, pixels[inside], theme.POINT_INSIDE, size)
    if pane.side is Side.TOP:
        _draw_neighbours(window, editor, pane)
    if s.previous is not None and (old := pose_at(s.previous.cuboids, s.frame)) is not None:
        theme.lines(window, theme.ring(pane.outline(old)), theme.BEFORE, 1, dash=True)
    if s.clash is not None and s.clash.mine is not None:
        theme.lines(window, theme.ring(pane.outline(s.clash.mine)), theme.PROBLEM, 2, dash=True)
    color: Color = theme.GHOST if s.ghost is not None or editor.is_guess else theme.ACCENT
    _draw_box(window, pane, box, color, scale, editor.is_guess)
    _draw_facts(window, pane.side, box, int(inside.sum()), scale)


def _draw_neighbours(window: U8, editor: Editor, pane: Pane) -> None:
    cuboids = editor.cuboids()
    reach = 2.0 * max(window.shape[:2]) / pane.pixels_per_m
    off = np.linalg.norm(cuboids.center_m[:, :2] - np.array(pane.frame.center_m[:2]), axis=1)
    cuboids = cuboids.take(off < reach)
    index, palette = box_colors(cuboids, editor.session.box_colors)
    corners = cuboids.corners_m()[:, :4]
    for row in range(len(cuboids)):
        r, g, b = palette[index[row]].tolist()
        theme.lines(window, theme.ring(pane.of_world(corners[row])), (r, g, b), 1, 0.7)


def _draw_box(window: U8, pane: Pane, box: BoxPose, color: Color, scale: float, dash: bool) -> None:
    outline = pane.outline(box)
    theme.lines(window, theme.ring(outline), color, 1, dash=dash)
    if pane.side is not Side.REAR:
        a, b = _FRONT[pane.side]
        theme.lines(window, outline[[a, b]][None], color, px(3, scale))
    half = px(3, scale)
    for x, y in outline.tolist():
        theme.rectangle(window, x - half, y - half, 2 * half, 2 * half, color)
    if pane.side is Side.TOP:
        front, knob = (outline[0] + outline[3]) / 2, pane.knob(box)
        theme.lines(window, np.stack([front, knob])[None], color, 1)
        at = (round(float(knob[0])), round(float(knob[1])))
        cv2.circle(window, at, px(6, scale), theme.PANEL, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(window, at, px(6, scale), color, px(2, scale), cv2.LINE_AA)


def _draw_facts(window: U8, side: Side, box: BoxPose, inside: int, scale: float) -> None:
    length, width, height = box.size_lwh_m
    words = {
        Side.TOP: f"{length:.2f} x {width:.2f} m",
        Side.LATERAL: f"{length:.2f} x {height:.2f} m",
        Side.REAR: f"{width:.2f} x {height:.2f} m",
    }[side]
    baseline, size = window.shape[0] - px(9, scale), px(12, scale)
    theme.text(window, words, px(10, scale), baseline, theme.SOFT, size)
    if side is Side.TOP:
        heading = f"{np.degrees(box.yaw_rad):.1f}°   {inside} points"
        theme.text_right(window, heading, window.shape[1] - px(10, scale), baseline, theme.SOFT, size)
