"""The column at the left: objects, the queue's reason, and what the digits stand for."""

from __future__ import annotations

import cv2

from fleetlabel.geometry.arrays import U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import Command
from fleetlabel.viewers.editor.window_layout import Panel, arrange_list
from fleetlabel.viewers.palette import class_color, shown_class
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px


def draw_list(editor: Editor) -> U8:
    """The list's picture; the filter's field is the window's own."""
    layout, scale = editor.layout, editor.layout.scale
    place = layout.places[Panel.LIST]
    target = theme.canvas(place.width, place.height)
    listed = editor.listed()
    pad = px(12, scale)
    theme.text(target, "Objects", pad, px(23, scale), theme.TEXT, px(14, scale), 600)
    facts = f"{int(listed.here.sum())} here  {len(listed.here)} in all"
    theme.text_right(target, facts, place.width - pad, px(23, scale), theme.FAINT, px(12, scale))
    _draw_rows(target, editor)
    foot = arrange_list(layout).foot_y
    y = _draw_queue(target, editor, foot)
    _draw_digits(target, editor, y)
    return target


def _draw_rows(target: U8, editor: Editor) -> None:
    s, scale = editor.session, editor.layout.scale
    spots, listed = arrange_list(editor.layout), editor.listed()
    pad, size = px(12, scale), px(13, scale)
    rows = listed.rows(s.list_top, spots.capacity, s.hidden, s.locked)
    for number, row in enumerate(rows):
        top = spots.rows_y + number * spots.row_height
        selected = row.object_id == s.selected
        if selected:
            theme.rectangle(target, 0, top, target.shape[1], spots.row_height, theme.RAISED)
            theme.rectangle(target, 0, top, px(3, scale), spots.row_height, theme.ACCENT)
        ink = theme.TEXT if selected else theme.SOFT if row.here else theme.FAINT
        chip = px(9, scale)
        y = top + (spots.row_height - chip) / 2
        color = class_color(row.class_name)
        if row.hidden:
            theme.frame(target, pad, y, chip, chip, color)
        else:
            theme.rectangle(target, pad, y, chip, chip, color)
        baseline = top + 0.68 * spots.row_height
        x = theme.text(
            target, row.class_name.replace("_", " "), pad + chip + px(9, scale), baseline, ink, size
        )
        right = target.shape[1] - pad
        if row.touched:
            middle = (round(right - 3 * scale), round(top + spots.row_height / 2))
            cv2.circle(target, middle, px(3, scale), theme.GOOD, cv2.FILLED, cv2.LINE_AA)
        right -= 14 * scale
        words = f"{row.text} locked" if row.locked else row.text
        theme.text_right(target, words, max(right, x), baseline, ink, size, 600 if selected else 400)
    if not rows:
        theme.text(target, "nothing matches", pad, spots.rows_y + px(20, scale), theme.FAINT, size)
    _draw_bar(target, len(listed), s.list_top, spots.capacity, spots.rows_y, spots.row_height, scale)


def _draw_bar(target: U8, total: int, top: int, capacity: int, y: int, row_height: int, scale: float) -> None:
    if total > capacity:
        height, width = capacity * row_height, px(3, scale)
        start = y + height * top / total
        theme.rectangle(
            target, target.shape[1] - width, start, width, max(height * capacity / total, 12), theme.LINE
        )


def _draw_queue(target: U8, editor: Editor, top: int) -> float:
    s, scale = editor.session, editor.layout.scale
    pad, size, step = px(12, scale), px(13, scale), px(18, scale)
    theme.rectangle(target, pad, top, target.shape[1] - 2 * pad, 1, theme.LINE)
    y = top + px(24, scale)
    theme.text(target, "Queue", pad, y, theme.TEXT, px(14, scale), 600)
    key = editor.keys.key_of(Command.NEXT_ITEM)
    theme.text_right(target, f"{key}: next", target.shape[1] - pad, y, theme.FAINT, px(12, scale))
    y += px(22, scale)
    room = target.shape[1] - 2 * pad
    if not editor.source.queue_ready:
        theme.text(target, "being worked out", pad, y, theme.FAINT, size)
    elif s.item is None:
        theme.text(target, f"{key} leads to the worst frame", pad, y, theme.FAINT, size)
    else:
        head = f"{editor.name_of(s.item.object_id)}, frame {s.item.frame}"
        theme.text(target, head, pad, y, theme.SOFT, size, 600)
        for line in draw.wrap_lines(s.item.reason, room, size, 3):
            y += step
            theme.text(target, line, pad, y, theme.SOFT, size)
        y += step
        share = f"{s.item.wrong:.0%} likely wrong"
        theme.text(target, share, pad, y, theme.FAINT, px(12, scale))
    if s.suggestion is not None:
        y += px(26, scale)
        key = editor.keys.key_of(Command.ACCEPT_SUGGESTION)
        words = f"{key}: same as {editor.name_of(s.suggestion.other_id)}?"
        theme.text(target, words, pad, y, theme.GHOST, size, 600)
        for line in draw.wrap_lines(s.suggestion.text, room, px(12, scale), 2):
            y += step
            theme.text(target, line, pad, y, theme.FAINT, px(12, scale))
    return y


def _draw_digits(target: U8, editor: Editor, after: float) -> None:
    scale = editor.layout.scale
    pad, size, step = px(12, scale), px(12, scale), px(17, scale)
    count = len(editor.digit_classes)
    y = max(target.shape[0] - px(10, scale) - step * (count - 1), after + px(30, scale))
    theme.rectangle(target, pad, y - px(24, scale), target.shape[1] - 2 * pad, 1, theme.LINE)
    for number, name in enumerate(editor.digit_classes):
        baseline = y + number * step
        theme.text(target, str(number + 1), pad, baseline, theme.FAINT, size, 600)
        chip = px(8, scale)
        theme.rectangle(target, pad + px(16, scale), baseline - chip, chip, chip, class_color(name))
        theme.text(
            target, shown_class(name).replace("_", " "), pad + px(32, scale), baseline, theme.SOFT, size
        )
    key = editor.keys.key_of(Command.HELP)
    theme.text_right(target, f"{key}: keys", target.shape[1] - pad, y, theme.FAINT, size)
