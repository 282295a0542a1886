"""The timeline: all objects as a skyline, the selected one's views as lanes, what is known frame by frame."""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F64, I64, U8, Bool
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.timeline import Lane, Presence, Timeline
from fleetlabel.viewers.editor.window_layout import Panel, timeline_span
from fleetlabel.viewers.palette import Color, class_color
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_UNSURE_M = 1.0  # that unsure is as high as the lane


def draw_timeline(editor: Editor) -> U8:
    """The timeline's picture."""
    place, scale = editor.layout.places[Panel.TIMELINE], editor.layout.scale
    target = theme.canvas(place.width, place.height)
    line, s = editor.timeline(), editor.session
    start, width = timeline_span(editor.layout)
    columns = _columns(line.n_frames, round(width))
    x0 = round(start)
    top = _draw_ruler(target, editor, line.n_frames)
    _draw_skyline(target, line.n_objects, columns, x0, top, px(16, scale))
    _label(target, "all", top, px(16, scale), scale)
    top += px(21, scale)
    if line.lanes:
        kind = editor.source.now.class_of(s.selected) if s.selected is not None else "car"
        _draw_lanes(target, line, columns, x0, top, scale, class_color(kind))
    else:
        theme.text(target, "no object selected", start, top + px(22, scale), theme.FAINT, px(12, scale))
    _draw_cursor(target, editor, line.n_frames)
    return target


def _columns(n_frames: int, width: int) -> I64:
    """(width,) frame of every pixel."""
    return (np.arange(width) * n_frames // max(width, 1)).astype(np.int64)


def _x_of(frame: float, n_frames: int, start: float, width: float) -> float:
    return start + (frame + 0.5) * width / n_frames


def _draw_ruler(target: U8, editor: Editor, n_frames: int) -> int:
    scale = editor.layout.scale
    start, width = timeline_span(editor.layout)
    step = next((k for k in _STEPS if k * width / n_frames >= 46 * scale), _STEPS[-1])
    baseline = px(14, scale)
    for frame in range(0, n_frames, step):
        x = _x_of(frame, n_frames, start, width)
        theme.rectangle(target, x, baseline + px(3, scale), 1, px(4, scale), theme.LINE)
        theme.text(target, str(frame), x - px(3, scale), baseline, theme.FAINT, px(11, scale))
    return px(22, scale)


def _draw_skyline(target: U8, counts: I64, columns: I64, x0: int, top: int, height: int) -> None:
    most = max(int(counts.max(initial=0)), 1)
    tall = np.round(counts[columns] / most * height).astype(np.int64)
    rows = np.arange(height)[:, None] >= height - tall[None, :]
    window = target[top : top + height, x0 : x0 + len(columns)]
    window[rows] = theme.LINE


def _draw_lanes(
    target: U8, line: Timeline, columns: I64, x0: int, top: int, scale: float, color: Color
) -> None:
    solid = [lane for lane in line.lanes if lane.name == "3D"]
    flat = [lane for lane in line.lanes if lane.name != "3D"]
    main, rest = (solid[0], flat) if solid else (flat[0], flat[1:])
    height = px(18, scale)
    _label(target, main.name, top, height, scale)
    _draw_presence(target, main, columns, x0, top, height, color)
    _mark(target, line.absent, columns, x0, top, height, theme.BACKGROUND)
    _hatch(target, line.occluded & (main.presence > 0), columns, x0, top, height)
    _mark(target, line.accepted & (main.presence > 0), columns, x0, top + height, px(2, scale), theme.GOOD)
    _draw_std(target, line.std_m, columns, x0, top + height + px(4, scale), px(10, scale))
    _mark(target, line.changed, columns, x0, top - px(4, scale), px(3, scale), theme.PROBLEM)
    width = len(columns)
    _draw_keys(target, main, line.n_frames, x0, width, top + height / 2, px(5, scale))
    for frame in line.notes:
        x = _x_of(frame, line.n_frames, x0, width)
        theme.text(target, "!", x - 2, top + height - 3, theme.PROBLEM, px(13, scale), 700)
    below = top + height + px(16, scale)
    room = target.shape[0] - below - px(4, scale)
    each = min(px(11, scale), room // max(len(rest), 1))
    for number, lane in enumerate(rest):
        y = below + number * each
        bar = max(each - px(5, scale), 2)
        _label(target, lane.name, y - px(2, scale), each, scale, small=True)
        _draw_presence(target, lane, columns, x0, y, bar, color)
        _draw_keys(target, lane, line.n_frames, x0, width, y + bar / 2, px(3, scale))


def _draw_presence(
    target: U8, lane: Lane, columns: I64, x0: int, top: int, height: int, color: Color
) -> None:
    """Full where the object was seen, hollow where it was filled in, nothing where it is not."""
    shown = lane.presence[columns]
    window = target[top : top + height, x0 : x0 + len(columns)]
    background = np.array(theme.PANEL, dtype=np.float64)
    seen = (0.62 * np.array(color) + 0.38 * background).astype(np.uint8)
    filled = (0.26 * np.array(color) + 0.74 * background).astype(np.uint8)
    window[:, shown == Presence.SEEN] = seen
    window[:, shown == Presence.FILLED_IN] = filled
    edges = np.flatnonzero(np.diff(columns, prepend=-1) > 0)
    if len(edges) and len(columns) / len(edges) >= 6:
        window[:, edges] = theme.PANEL  # frames stand apart where there is room


def _mark(target: U8, where: Bool, columns: I64, x0: int, top: int, height: int, color: Color) -> None:
    target[top : top + height, x0 : x0 + len(columns)][:, where[columns]] = color


def _hatch(target: U8, where: Bool, columns: I64, x0: int, top: int, height: int) -> None:
    window = target[top : top + height, x0 : x0 + len(columns)]
    stripes = (np.arange(height)[:, None] + np.arange(len(columns))[None]) % 6 < 2
    window[stripes & where[columns][None]] = theme.BACKGROUND


def _draw_std(target: U8, std_m: F64, columns: I64, x0: int, top: int, height: int) -> None:
    """How unsure the place is: the taller, the less sure."""
    share = np.clip(np.nan_to_num(std_m[columns]) / _UNSURE_M, 0, 1)
    tall = np.ceil(share * height).astype(np.int64)
    window = target[top : top + height, x0 : x0 + len(columns)]
    window[np.arange(height)[:, None] < tall[None]] = theme.FAINT


def _draw_keys(
    target: U8, lane: Lane, n_frames: int, start: float, width: float, y: float, size: int
) -> None:
    for frame in lane.keyframes:
        x = _x_of(frame, n_frames, start, width)
        diamond = np.array([[x, y - size], [x + size, y], [x, y + size], [x - size, y]]).round().astype(int)
        cv2.fillConvexPoly(target, diamond, theme.TEXT, cv2.LINE_AA)
        cv2.polylines(target, [diamond], True, theme.BACKGROUND, 1, cv2.LINE_AA)


def _label(target: U8, words: str, top: float, height: int, scale: float, small: bool = False) -> None:
    size = px(10 if small else 12, scale)
    room = target[:, : px(88, scale)]
    baseline = top + (height + 0.7 * size) / 2
    theme.text(room, words, px(12, scale), baseline, theme.FAINT if small else theme.SOFT, size)


def _draw_cursor(target: U8, editor: Editor, n_frames: int) -> None:
    scale, frame = editor.layout.scale, editor.session.frame
    start, width = timeline_span(editor.layout)
    x = _x_of(frame, n_frames, start, width)
    top = px(17, scale)
    theme.rectangle(target, x - 0.5, top, max(px(1.5, scale), 1), target.shape[0] - top, theme.ACCENT)
    half = px(5, scale)
    tip = np.array([[x - half, top - half], [x + half, top - half], [x, top + 2]]).round().astype(int)
    cv2.fillConvexPoly(target, tip, theme.ACCENT, cv2.LINE_AA)
