"""The app without its window: keys, pointer and ticks in; what to draw, and which panels to draw again, out."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from fleetlabel.model.errors import FleetLabelError
from fleetlabel.viewers.editor import commands, pane_commands, pointing
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.editor.session import Tone
from fleetlabel.viewers.editor.source import Source
from fleetlabel.viewers.editor.window_layout import Panel, arrange_window
from fleetlabel.viewers.editor.workbench import EVERYTHING, Workbench

_STEP_S = 0.1  # of playing
_REFRESH_S = 2.0
_IDLE_MS = 8000.0  # pauses longer than this are no work


class Editor(Workbench):
    """One sequence being looked at and edited.

    Attributes:
        last_fault: of ours, shown in the header.
    """

    def __init__(self, source: Source, keys: KeyTable, width: int = 1600, height: int = 1000) -> None:
        super().__init__(source, keys, width, height)
        self.last_fault: Exception | None = None
        self._space_down = self._space_used = False
        self._queue_job: Future[None] | None = None
        self._played_s = self._refreshed_s = 0.0
        self._touched_s = time.monotonic()
        self._standing, self._losses = source.standing, 0

    def start(self) -> None:
        """Begins what takes a while: ranking the queue."""
        self._queue_job = self._pool.submit(self.source.build_queue)

    def close(self) -> None:
        """Ends all threads; there is nothing that is not saved."""
        self.points.close()
        self.cache.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.source.close()

    # --- events -----------------------------------------------------------------------------------------------------

    def key_down(self, key: str, repeat: bool = False) -> None:
        """A key went down, by the name in the key table; modifiers come in :attr:`held`."""
        self._note_work()
        if key == "space":
            self._space_down, self._space_used = True, self._space_used and repeat
            return
        if self._space_down and key.isdecimal():
            self._space_used = True
            commands.enlarge(self, int(key))
            return
        pressed = self.keys.find(key, self.held, over_pane=self.session.hovered is not None)
        if pressed is not None:
            self._guarded(lambda: commands.do(self, pressed, key, repeat))

    def key_up(self, key: str) -> None:
        """A key was let go."""
        if key == "space":
            if self._space_down and not self._space_used:
                self._guarded(lambda: commands.play(self))
            self._space_down = self._space_used = False
        elif key == self.session.nudging:
            self._guarded(lambda: pane_commands.end_nudge(self))

    def pointer(self, event: pointing.PointerEvent) -> None:
        """The pointer did something."""
        if event.kind != "move":
            self._note_work()
        self._guarded(lambda: pointing.handle(self, event))

    def resize(self, width: int, height: int) -> None:
        """The window has another size."""
        self.layout = arrange_window(width, height, self.cameras, self._aspects)
        self.cache.resize(self._tile_sizes())
        self.dirty |= EVERYTHING

    def tick(self, now_s: float) -> None:
        """Time goes on: playing, news from threads and from others."""
        s = self.session
        if s.playing and now_s - self._played_s >= _STEP_S:
            self._played_s = now_s
            if s.frame + 1 >= s.n_frames:
                s.playing = False
                self.dirty.add(Panel.HEADER)
            elif self.cache.there(s.frame + 1):
                self.go(s.frame + 1)
        if self._arrived.is_set():
            self._arrived.clear()
            self.dirty |= {Panel.STRIP, Panel.PANES}
        if self.cache.take_late():
            self.dirty |= EVERYTHING
        if self._ghost_job is not None and self._ghost_job.done():
            self._guarded(self.finish_ghost)
        if self._queue_job is not None and self._queue_job.done():
            job, self._queue_job = self._queue_job, None
            self._guarded(job.result)
            self.dirty.add(Panel.LIST)
        waited = self.source.has_news or now_s - self._refreshed_s >= _REFRESH_S
        if waited and s.drag is None and not s.nudging:
            self._refreshed_s = now_s
            self._guarded(self._take_news)
        self._watch_standing()

    # --- within -----------------------------------------------------------------------------------------------------

    def _take_news(self) -> None:
        news, s = self.source.refresh(), self.session
        for old, new in news.new_ids.items():
            s.selected = new if s.selected == old else s.selected
            s.hidden = {new if object_id == old else object_id for object_id in s.hidden}
            s.locked = {new if object_id == old else object_id for object_id in s.locked}
        if news.changed:
            self.dirty |= EVERYTHING
            if s.selected is not None and self.source.now.state.get(s.selected) is None:
                self.select(None)
            if s.selected is not None and (who := news.changed.get(s.selected)):
                self.say(f"{who} changed this object just now")
            if s.selected in news.changed:
                self._follow_points()
        for refused in news.refused[:1]:
            self.report_refusal(refused)

    def _watch_standing(self) -> None:
        """Says once that the engine went away, and that it is back; the header tells it all the time."""
        before, now = self._standing, self.source.standing
        if now == before:
            return
        self._standing = now
        self.dirty.add(Panel.HEADER)
        if now.away and not before.away:
            why = now.away.partition(" (")[0]  # what the network says of itself is too much for a line
            self.say(f"Go on, what you do is kept here: {why}", Tone.PROBLEM)
        elif not now.away and now.losses > self._losses:
            self._losses = now.losses
            self.cache.forget_problems()
            self._look_ahead()
            self.dirty |= EVERYTHING
            self.say("The engine is back", Tone.GOOD)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Does something; what goes wrong is shown, and ends nothing."""
        try:
            work()
        except (FleetLabelError, OSError) as error:
            self.say(str(error), Tone.PROBLEM)
        except Exception as error:  # a fault of ours must not end a day's work
            self.say(f"Internal error, nothing was lost: {type(error).__name__}: {error}", Tone.PROBLEM)
            self.last_fault = error
        if self.session.message.tone is Tone.PROBLEM:
            self.session.nudging = ""

    def _note_work(self) -> None:
        now = time.monotonic()
        self._active_ms += min((now - self._touched_s) * 1e3, _IDLE_MS)
        self._touched_s = now
