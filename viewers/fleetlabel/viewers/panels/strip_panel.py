"""The strip at the bottom: the selected object's points of all frames along its own axes, together and one by one."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, U8
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.perspective import ramp
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.window_layout import Panel, strip_cells
from fleetlabel.viewers.layout import Place
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_FILLS = 0.72  # share of a cell that the box takes


def draw_strip(editor: Editor) -> U8:
    """The strip's picture."""
    place, scale, s = editor.layout.places[Panel.STRIP], editor.layout.scale, editor.session
    target = theme.canvas(place.width, place.height)
    if s.selected is None or editor.item is None:
        theme.text(
            target, "Select an object to see it in all frames", px(12, scale), px(24, scale), theme.FAINT,
            px(12, scale),
        )  # fmt: skip
        return target
    cuboids = editor.source.boxes(s.selected).cuboids
    head = f"{editor.name_of(s.selected)} along its own axes"
    theme.text(target, head, px(12, scale), px(14, scale), theme.SOFT, px(12, scale))
    if not len(cuboids):
        return target
    frames = cuboids.frame.tolist()
    cells = strip_cells(editor.layout, frames, s.frame)
    boxes = {int(frame): BoxPose.of_row(cuboids, row) for row, frame in enumerate(frames)}
    _draw_together(target, editor, boxes, cells[0][1] if cells else None)
    keys = set(editor.item_keyframes(""))
    for frame, cell in cells:
        _draw_cell(target, editor, boxes[frame], frame, cell, frame in keys)
    return target


def _draw_cell(target: U8, editor: Editor, box: BoxPose, frame: int, cell: Place, key: bool) -> None:
    scale, s = editor.layout.scale, editor.session
    window = target[cell.window]
    window[:] = theme.RAISED if frame == s.frame else theme.BACKGROUND
    points = editor.points.world(frame)
    if frame == s.frame and s.adjusted is not None:
        box = s.adjusted
    local = box.local(points.astype(np.float64))
    _draw_from_above(window, local, box, theme.POINT_INSIDE)
    color = theme.ACCENT if frame == s.frame else theme.FAINT
    baseline = cell.y - px(5, scale)
    theme.text(target, str(frame), cell.x + 1, baseline, color, px(10, scale), 600 if key else 400)
    if key:
        theme.rectangle(target, cell.x, cell.y + cell.height, cell.width, px(2, scale), theme.TEXT)
    if frame == s.frame:
        theme.frame(window, 0, 0, cell.width, cell.height, theme.ACCENT)


def _draw_from_above(window: U8, local: F64, box: BoxPose, color: tuple[int, int, int] | U8) -> None:
    """Points along the box's axes, looking down, ahead to the top; the ground is left out."""
    height, width = window.shape[:2]
    length, wide, tall = box.size_lwh_m
    per_m = _FILLS * min(height / max(length, 0.5), width / max(wide, 0.5))
    off_ground = local[:, 2] > -tall / 2 + 0.2
    near = off_ground & (local[:, 2] < tall / 2 + 0.5)
    at = np.stack([width / 2 - local[:, 1] * per_m, height / 2 - local[:, 0] * per_m], axis=1)
    theme.dots(window, at[near], color[near] if isinstance(color, np.ndarray) else color)
    half_l, half_w = 0.5 * length * per_m, 0.5 * wide * per_m
    ring = np.array([[-half_w, -half_l], [half_w, -half_l], [half_w, half_l], [-half_w, half_l]])
    ring += np.array([width / 2, height / 2])
    theme.lines(window, theme.ring(ring), theme.ACCENT, 1, 0.8)


def _draw_together(target: U8, editor: Editor, boxes: dict[int, BoxPose], cell: Place | None) -> None:
    """All frames on top of one another, early ones dark: from above, lying, and from the side."""
    if cell is None:
        return
    scale = editor.layout.scale
    parts, ages = [np.empty((0, 3))], [np.empty(0)]
    first, last = min(boxes), max(boxes)
    for frame in editor.points.frames():
        if frame in boxes:
            local = boxes[frame].local(editor.points.world(frame).astype(np.float64))
            parts.append(local)
            ages.append(np.full(len(local), (frame - first) / max(last - first, 1)))
    local, age = np.concatenate(parts), np.concatenate(ages)
    color = (255 * ramp(0.25 + 0.75 * age)[:, ::-1]).astype(np.uint8)
    box = next(iter(boxes.values()))
    width = (cell.x - px(12, scale) - px(10, scale)) // 2 - px(3, scale)
    for number, axis in enumerate((1, 2)):
        x = px(12, scale) + number * (width + px(6, scale))
        window = target[cell.y : cell.y + cell.height, x : x + width]
        window[:] = theme.BACKGROUND
        _draw_lying(window, local, color, box, axis)


def _draw_lying(window: U8, local: F64, color: U8, box: BoxPose, axis: int) -> None:
    """Length to the right; width (1) or height (2) upwards."""
    height, width = window.shape[:2]
    length, wide, tall = box.size_lwh_m
    across = (wide, tall)[axis - 1]
    per_m = 0.66 * min(width / max(length, 0.5), height / max(across, 0.5))
    near = local[:, 2] > -tall / 2 + 0.2 if axis == 1 else np.abs(local[:, 1]) < wide / 2 + 0.4
    near &= local[:, 2] < tall / 2 + 0.5
    at = np.stack([width / 2 + local[:, 0] * per_m, height / 2 - local[:, axis] * per_m], axis=1)
    theme.dots(window, at[near], color[near])
    half_l, half_a = 0.5 * length * per_m, 0.5 * across * per_m
    ring = np.array([[-half_l, -half_a], [half_l, -half_a], [half_l, half_a], [-half_l, half_a]])
    ring += np.array([width / 2, height / 2])
    theme.lines(window, theme.ring(ring), theme.ACCENT, 1)
