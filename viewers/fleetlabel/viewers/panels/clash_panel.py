"""A conflict, over the perspective view: theirs at the left, mine at the right, each from above and from the side."""

from __future__ import annotations

import time

import numpy as np

from fleetlabel.geometry.arrays import F64, U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.panes import Pane, Side
from fleetlabel.viewers.editor.pose import BoxPose
from fleetlabel.viewers.editor.session import Clash
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.editor.workbench import what_they_did
from fleetlabel.viewers.palette import Color
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_SIDES = ((Side.TOP, 0.62), (Side.LATERAL, 0.38))  # and their share of the height


def draw_clash(editor: Editor) -> U8:
    """Both sides of the conflict that is to be decided."""
    place, clash, scale = editor.layout.places[Panel.MAIN], editor.session.clash, editor.layout.scale
    target = theme.canvas(place.width, place.height, theme.BACKGROUND)
    if clash is None:
        return target
    frame = clash.theirs or clash.mine  # both are drawn from one point of view
    half, gap = place.width // 2, px(4, scale)
    sides = (
        (_their_title(clash), "Esc keeps this", clash.theirs, theme.PROBLEM),
        (_my_title(clash), "Enter saves this", clash.mine, theme.ACCENT),
    )
    for number, (title, choice, box, color) in enumerate(sides):
        window = target[:, number * half + gap * number : (number + 1) * half + gap * (number - 1)]
        window[:] = theme.PANEL
        _draw_side(window, editor, title, choice, box, frame, color)
    return target


def _draw_side(
    window: U8,
    editor: Editor,
    title: list[str],
    choice: str,
    box: BoxPose | None,
    frame: BoxPose | None,
    color: Color,
) -> None:
    scale = editor.layout.scale
    pad, y = px(16, scale), px(30, scale)
    theme.text(window, title[0], pad, y, color, px(16, scale), 600)
    for words in title[1:]:
        for line in draw.wrap_lines(words, window.shape[1] - 2 * pad, px(13, scale), 2):
            y += px(20, scale)
            theme.text(window, line, pad, y, theme.SOFT, px(13, scale))
    foot = px(42, scale)
    theme.text(window, choice, pad, window.shape[0] - px(16, scale), color, px(14, scale), 600)
    top, room = px(92, scale), window.shape[0] - px(92, scale) - foot
    if frame is None or box is None:
        words = "there is no box at this frame"
        theme.text(window, words, pad, top + px(20, scale), theme.FAINT, px(13, scale))
        return
    cloud: F64 = editor.cache.cloud(editor.session.frame).world_m
    for side, share in _SIDES:
        height = round(share * room)
        pane = Pane(side, frame, 0, 0, window.shape[1], height)
        _draw_view(window[top : top + height], pane, box, cloud, color)
        theme.rectangle(window, pad, top, window.shape[1] - 2 * pad, 1, theme.LINE)
        top += height
    length, width, high = box.size_lwh_m
    facts = f"{length:.2f} x {width:.2f} x {high:.2f} m   {np.degrees(box.yaw_rad):.1f}°"
    theme.text_right(
        window, facts, window.shape[1] - pad, window.shape[0] - px(16, scale), theme.SOFT, px(13, scale)
    )


def _draw_view(window: U8, pane: Pane, box: BoxPose, cloud: F64, color: Color) -> None:
    reach = 2.0 * max(window.shape[:2]) / pane.pixels_per_m
    near = cloud[np.all(np.abs(cloud[:, :2] - np.array(pane.frame.center_m[:2])) <= reach, axis=1)]
    local = pane.frame.local(near)
    shown = pane.shows(local)
    inside = np.all(np.abs(box.local(near[shown])) <= 0.5 * np.array(box.size_lwh_m) + 0.02, axis=1)
    pixels = pane.pixels(local[shown])
    theme.dots(window, pixels[~inside], theme.POINT, 1)
    theme.dots(window, pixels[inside], theme.POINT_INSIDE, 2)
    outline = pane.outline(box)
    theme.lines(window, theme.ring(outline), color, 2)
    if pane.side is Side.TOP:  # the front, and which way it goes
        front, knob = (outline[0] + outline[3]) / 2, pane.knob(box)
        theme.lines(window, outline[[3, 0]][None], color, 4)
        theme.lines(window, np.stack([front, knob])[None], color, 2)


def _their_title(clash: Clash) -> list[str]:
    if not clash.refused.conflicts:
        return ["As it is", f"The engine refuses yours: {clash.refused.problem}"]
    first = clash.refused.conflicts[0]
    at = time.strftime("%H:%M:%S", time.localtime(first.at_ns * 1e-9))
    return [f"{first.author or 'somebody'}'s, {at}", what_they_did(first), first.reason]


def _my_title(clash: Clash) -> list[str]:
    kinds = dict.fromkeys(edit.kind.replace("_", " ") for edit in clash.refused.edits)
    return ["Yours", ", ".join(kinds)]
