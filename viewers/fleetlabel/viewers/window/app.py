"""The window: widgets in their places, events to the editor, what is dirty drawn again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import U8
from fleetlabel.viewers.editor import commands
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import Modifiers
from fleetlabel.viewers.editor.pointing import PointerEvent
from fleetlabel.viewers.editor.session import Tone
from fleetlabel.viewers.editor.window_layout import Panel
from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.panels.cameras_panel import draw_cameras, draw_enlarged
from fleetlabel.viewers.panels.clash_panel import draw_clash
from fleetlabel.viewers.panels.header_panel import draw_header
from fleetlabel.viewers.panels.help_panel import draw_help
from fleetlabel.viewers.panels.list_panel import draw_list
from fleetlabel.viewers.panels.panes_panel import draw_panes
from fleetlabel.viewers.panels.strip_panel import draw_strip
from fleetlabel.viewers.panels.timeline_panel import draw_timeline
from fleetlabel.viewers.window.key_names import key_names, modifier_names
from fleetlabel.viewers.window.scene_view import SceneView

_DRAWN: dict[Panel, Callable[[Editor], U8]] = {
    Panel.HEADER: draw_header,
    Panel.LIST: draw_list,
    Panel.CAMERAS: draw_cameras,
    Panel.PANES: draw_panes,
    Panel.TIMELINE: draw_timeline,
    Panel.STRIP: draw_strip,
}
_ESCAPE_S = 0.15  # within which the key follows that would have closed the window
_DOUBLE_S, _DOUBLE_PX = 0.35, 5.0
# The screen is asked for again that often after a change: a single request may show what was there before.
_REDRAWS, _REDRAW_EVERY_S = 3, 0.06


class AppWindow:
    """One window on one editor."""

    def __init__(self, editor: Editor, width: int = 1600, height: int = 1000) -> None:
        import open3d as o3d
        from open3d.visualization import gui

        self._o3d, self._gui = o3d, gui
        self.editor = editor
        self._app = gui.Application.instance
        self._app.initialize()
        self._keys, self._modifier_keys = key_names(gui), modifier_names(gui)
        self._down: set[str] = set()
        self._last_down = (0.0, -99.0, -99.0)
        self._double = False
        self._redraws, self._asked_s = 0, 0.0
        self._leaving, self._asked_to_close_s, self._told_to_end = False, 0.0, 0
        self.window = self._app.create_window(editor.title, width, height)
        self.window.set_on_layout(self._safely(self._on_layout, None))
        self.window.set_on_key(self._safely(self._on_key, True))
        self.window.set_on_tick_event(self._safely(self._on_tick, True))
        self.window.set_on_close(self._safely(self._on_close, True))
        handled = gui.Widget.EventCallbackResult.CONSUMED
        self.scene = SceneView(editor, self.window)
        self.scene.widget.set_on_mouse(self._safely(self._on_mouse, handled))
        self.window.add_child(self.scene.widget)
        self._images: dict[Panel, Any] = {}
        for panel, draw in _DRAWN.items():
            self._images[panel] = self._image_widget(draw(editor), handled)
        main = editor.layout.places[Panel.MAIN]
        self._over = self._image_widget(theme.canvas(main.width, main.height), handled)
        self._over.visible = False
        self._filter = gui.TextEdit()
        self._filter.placeholder_text = "filter: class, id, here, edited"
        self._filter.set_on_text_changed(self._safely(self._on_filter, None))
        self._filter.set_on_value_changed(self._safely(self._leave_filter, None))
        self.window.add_child(self._filter)
        self.window.set_focus_widget(self.scene.widget)

    def run(self) -> int:
        """Shows the window until it is closed, or until the process is told to end by a signal, whose number it tells.

        An exception must not pass through Open3D's loop: it would leave the window and its renderer as they are, and
        the interpreter's end then takes them down in an order that they do not survive. So a signal is a wish that the
        next tick sees, and the window goes the way that it goes when its frame is clicked.
        """
        before = {
            number: signal.signal(number, self._ask_to_end) for number in (signal.SIGINT, signal.SIGTERM)
        }
        self.editor.start()
        try:
            self._app.run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._told_to_end

    def _ask_to_end(self, number: int, _: FrameType | None) -> None:
        self._told_to_end = number

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _image_widget(self, picture: U8, handled: Any) -> Any:
        widget = self._gui.ImageWidget(self._image(picture))
        widget.set_on_mouse(self._safely(self._on_mouse, handled))
        self.window.add_child(widget)
        return widget

    def _image(self, bgr: U8) -> Any:
        rgb: Any = np.ascontiguousarray(bgr[:, :, ::-1])
        return self._o3d.geometry.Image(rgb)

    def _draw_dirty(self) -> bool:
        editor = self.editor
        if not editor.dirty:
            return False
        dirty, editor.dirty = editor.dirty, set()
        for panel, draw in _DRAWN.items():
            if panel in dirty:
                self._images[panel].update_image(self._image(draw(editor)))
        if Panel.MAIN in dirty:
            self._draw_main()
        return True

    def _draw_main(self) -> None:
        s = self.editor.session
        over = "help" if s.help_open else "clash" if s.clash is not None else s.enlarged
        if bool(over) != self._over.visible:
            self._over.visible = bool(over)
            self.scene.widget.visible = not over
        if over:
            draw = {"help": draw_help, "clash": draw_clash}.get(over, draw_enlarged)
            self._over.update_image(self._image(draw(self.editor)))
        else:
            self.scene.update()

    # --- events -------------------------------------------------------------------------------------------------------

    def _on_layout(self, _: Any) -> None:
        gui, rect = self._gui, self.window.content_rect
        if (rect.width, rect.height) != self._size_of_layout():
            self.editor.resize(rect.width, rect.height)
        for panel, place in self.editor.layout.places.items():
            frame = gui.Rect(rect.x + place.x, rect.y + place.y, place.width, place.height)
            if panel is Panel.MAIN:
                self.scene.lay_out(frame)
                self._over.frame = frame
            else:
                self._images[panel].frame = frame
        spot = self.editor.layout.filter
        self._filter.frame = gui.Rect(rect.x + spot.x, rect.y + spot.y, spot.width, spot.height)

    def _size_of_layout(self) -> tuple[int, int]:
        header, column = (self.editor.layout.places[panel] for panel in (Panel.HEADER, Panel.LIST))
        return header.width, column.y + column.height

    def _on_tick(self) -> bool:
        now = time.monotonic()
        if self._told_to_end:
            self._leave()
            return False
        if self._asked_to_close_s and now - self._asked_to_close_s > _ESCAPE_S:
            self._leave()
            return False
        self.editor.tick(now)
        if self.editor.asks_note:
            self.editor.asks_note = False
            self._ask_note()
        if self._draw_dirty():
            if self.window.title != self.editor.title:
                self.window.title = self.editor.title
            self._redraws, self._asked_s = _REDRAWS, now
            return True
        if self._redraws and now - self._asked_s >= _REDRAW_EVERY_S:
            self._redraws, self._asked_s = self._redraws - 1, now
            if not self._over.visible:
                self.scene.widget.force_redraw()
            return True
        return False

    def _on_key(self, event: Any) -> bool:
        key, is_down = int(event.key), event.type == self._gui.KeyEvent.Type.DOWN
        modifier = self._modifier_keys.get(key)
        if modifier is not None:
            (self._down.add if is_down else self._down.discard)(modifier)
            self._hold(self._down)
            return True
        name = self._keys.get(key)
        if name is None:
            return False
        if name == "escape":
            self._asked_to_close_s = 0.0
        if is_down:
            self.editor.key_down(name, bool(event.is_repeat))
        else:
            self.editor.key_up(name)
        self.window.post_redraw()
        return True

    def _on_mouse(self, event: Any) -> Any:
        gui = self._gui
        names = {"shift": gui.KeyModifier.SHIFT, "ctrl": gui.KeyModifier.CTRL, "alt": gui.KeyModifier.ALT}
        self._down = {name for name, code in names.items() if event.is_modifier_down(code)}
        self._hold(self._down)
        kinds = {
            gui.MouseEvent.Type.MOVE: "move",
            gui.MouseEvent.Type.BUTTON_DOWN: "down",
            gui.MouseEvent.Type.DRAG: "drag",
            gui.MouseEvent.Type.BUTTON_UP: "up",
            gui.MouseEvent.Type.WHEEL: "wheel",
        }
        kind = kinds.get(event.type)
        if kind is not None:
            self._send(kind, event)
        return gui.Widget.EventCallbackResult.CONSUMED

    def _send(self, kind: str, event: Any) -> None:
        gui, rect = self._gui, self.window.content_rect
        x, y = float(event.x - rect.x), float(event.y - rect.y)
        button = "left"
        if kind in ("down", "drag", "up"):
            for name, code in (("middle", gui.MouseButton.MIDDLE), ("right", gui.MouseButton.RIGHT)):
                if event.is_button_down(code):
                    button = name
        wheel = float(event.wheel_dy) if kind == "wheel" else 0.0
        if kind == "down":
            now = time.monotonic()
            before, old_x, old_y = self._last_down
            self._double = now - before < _DOUBLE_S and abs(x - old_x) + abs(y - old_y) < _DOUBLE_PX
            self._last_down = (now, x, y)
            self.window.set_focus_widget(self.scene.widget)
        self.editor.pointer(PointerEvent(kind, x, y, button, wheel))
        if kind == "up" and self._double:
            self._double = False
            self.editor.pointer(PointerEvent("double", x, y, button))

    def _hold(self, down: set[str]) -> None:
        self.editor.held = Modifiers("shift" in down, "ctrl" in down, "alt" in down)

    def _on_close(self) -> bool:
        """Open3D closes its window on Escape, and says so before the key: the next tick knows which it was."""
        if self._leaving:
            self.editor.close()
            return True
        self._asked_to_close_s = time.monotonic()
        return False

    def _leave(self) -> None:
        """Closes the window once all windows have had their tick: Open3D ticks them in a loop that this would break."""
        if not self._leaving:
            self._leaving = True
            self._app.post_to_main_thread(self.window, self.window.close)

    # --- text ---------------------------------------------------------------------------------------------------------

    def _on_filter(self, words: str) -> None:
        self.editor.session.wanted, self.editor.session.list_top = words, 0
        self.editor.dirty.add(Panel.LIST)

    def _leave_filter(self, words: str) -> None:
        self._on_filter(words)
        self.window.set_focus_widget(self.scene.widget)

    def _ask_note(self) -> None:
        """A small dialog for the note of an escalation; Enter sends it."""
        gui, em = self._gui, self.window.theme.font_size
        dialog = gui.Dialog("Escalate")
        box = gui.Vert(0.6 * em, gui.Margins(em, em, em, em))
        box.add_child(gui.Label("What should somebody else look at?"))
        field = gui.TextEdit()
        box.add_child(field)
        buttons = gui.Horiz(0.6 * em)
        send, leave = gui.Button("Escalate"), gui.Button("Cancel")
        buttons.add_stretch()
        buttons.add_child(leave)
        buttons.add_child(send)
        box.add_child(buttons)
        dialog.add_child(box)

        def close(text: str) -> None:
            self.window.close_dialog()
            self.window.set_focus_widget(self.scene.widget)
            if text.strip():
                commands.escalate(self.editor, text)

        send.set_on_clicked(self._safely(lambda: close(field.text_value), None))
        leave.set_on_clicked(self._safely(lambda: close(""), None))
        field.set_on_value_changed(self._safely(lambda text: close(text), None))
        self.window.show_dialog(dialog)
        self.window.set_focus_widget(field)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _safely(self, callback: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
        """A callback that never raises: Open3D's loop would end with it. What went wrong is shown."""

        def called(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Exception as error:
                self.editor.say(f"{type(error).__name__}: {error}", Tone.PROBLEM)
            return otherwise

        return called
