"""The strip at the top: where one is, what just happened, whether it is saved, who else is here."""

from __future__ import annotations

import cv2

from fleetlabel.geometry.arrays import U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.session import Mode, Tone
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.palette import Color
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_TONES: dict[Tone, Color] = {Tone.PLAIN: theme.SOFT, Tone.GOOD: theme.GOOD, Tone.PROBLEM: theme.PROBLEM}


def draw_header(editor: Editor) -> U8:
    """The header's picture."""
    s, layout = editor.session, editor.layout
    place, scale = layout.places[Panel.HEADER], layout.scale
    target = theme.canvas(place.width, place.height, theme.PANEL)
    size, baseline = px(14, scale), round(0.64 * place.height)
    right = _state(target, editor, baseline, size)
    left = _place(target, editor, baseline, size, right)
    words, tone = s.message.text, s.message.tone
    if s.mode is Mode.MERGE or s.mode is Mode.DRAW or s.ghost is not None:
        tone = Tone.PLAIN if tone is Tone.GOOD else tone
    if words:
        room = target[:, : max(round(right - 16 * scale), 1)]
        color = theme.GHOST if s.ghost is not None and tone is Tone.PLAIN else _TONES[tone]
        theme.text(room, words, left + 26 * scale, baseline, color, size)
    theme.rectangle(target, 0, place.height - 1, place.width, 1, theme.LINE)
    return target


def _place(target: U8, editor: Editor, baseline: float, size: int, right: float) -> float:
    s, scale, info = editor.session, editor.layout.scale, editor.source.info
    room = target[:, : max(round(right), 1)]
    x = theme.text(room, info.name, 14 * scale, baseline, theme.TEXT, size + 1, 600)
    seconds = (int(info.frame_timestamp_ns[s.frame]) - int(info.frame_timestamp_ns[0])) * 1e-9
    x = theme.text(room, f"{s.frame}", x + 18 * scale, baseline, theme.TEXT, size, 600)
    x = theme.text(room, f" / {s.n_frames - 1}", x, baseline, theme.FAINT, size)
    x = theme.text(room, f"{seconds:.2f} s", x + 12 * scale, baseline, theme.FAINT, size)
    return theme.text(room, "playing", x + 12 * scale, baseline, theme.ACCENT, size) if s.playing else x


def _state(target: U8, editor: Editor, baseline: float, size: int) -> float:
    """Save state and the others, from the right; returns where they begin."""
    s, scale = editor.session, editor.layout.scale
    right = target.shape[1] - 14 * scale
    standing = editor.source.standing
    tone = theme.PROBLEM if standing.away else _TONES[s.saved_tone]
    words = s.saved + (" here" if standing.away and standing.unsent else "")
    if standing.unsent:
        words += f", {standing.unsent} to send"
    if standing.away:
        words += ", engine away"
    x = theme.text_right(target, words, right, baseline, tone, size, 500) - 12 * scale
    cv2.circle(target, (round(x), target.shape[0] // 2), px(4, scale), tone, cv2.FILLED, cv2.LINE_AA)
    x -= 20 * scale
    for person in editor.source.others()[:4]:
        initials = "".join(part[0] for part in person.split()[:2]).upper()
        radius = px(11, scale)
        cv2.circle(
            target, (round(x) - radius, target.shape[0] // 2), radius, theme.RAISED, cv2.FILLED, cv2.LINE_AA
        )
        width = draw.text_width(initials, size - 3, 600)
        theme.text(target, initials, x - radius - width / 2, baseline - 1, theme.TEXT, size - 3, 600)
        x -= 2 * radius + 6 * scale
    return x
