"""The table of keys, over the perspective view."""

from __future__ import annotations

from fleetlabel.geometry.arrays import U8
from fleetlabel.viewers import draw
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import Binding, written
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.theme import px

_MOUSE = (
    ("click", "select, in any view or the list"),
    ("drag", "box, edge, corner, knob in a view"),
    ("Ctrl+click", "an edge: fits the face to points"),
    ("Ctrl+drag", "the same, from where it is let go"),
    ("double click", "a small picture: enlarge"),
    ("wheel", "zoom"),
    ("Shift, Alt", "with W A S D Q E: far, finely"),
    ("drag, Shift+drag", "scene: turn, move"),
)


def draw_help(editor: Editor) -> U8:
    """The table as it is in effect."""
    place = editor.layout.places[Panel.MAIN]
    target = theme.canvas(place.width, place.height)
    groups: dict[str, list[Binding]] = {}
    for binding in editor.keys.table:
        groups.setdefault(binding.group, []).append(binding)
    blocks = [
        (name, [(" ".join(_written(c) for c in b.chords[:2]), b.text) for b in rows])
        for name, rows in groups.items()
    ]
    blocks.append(("Pointer", list(_MOUSE)))
    rows = sum(len(entries) + 2 for _, entries in blocks)
    columns = 3
    scale = min(editor.layout.scale, place.height / (28.0 * (rows / columns + 3)))
    step, size = px(22, scale), px(13, scale)
    width = (place.width - px(48, scale)) / columns
    x, y, top = float(px(24, scale)), px(34, scale), px(34, scale)
    per_column = -(-rows // columns)
    used = 0
    for name, entries in blocks:
        if used and used + len(entries) + 1 > per_column + 3:
            x, y, used = x + width, top, 0
        theme.text(target, name, x, y, theme.TEXT, px(14, scale), 600)
        y += step
        for keys, words in entries:
            shown = draw.elide(keys, 0.36 * width, size, 600)
            theme.text(target, shown, x, y, theme.ACCENT, size, 600)
            room = target[:, : round(x + width - px(8, scale))]
            theme.text(room, words, x + 0.38 * width, y, theme.SOFT, size)
            y += step
        y += step
        used += len(entries) + 2
    return target


def _written(chord: str) -> str:
    return {"right": "→", "left": "←"}.get(chord, written(chord))
