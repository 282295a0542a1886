"""The app without its window: keys, pointer and ticks in; what to draw, and which panels to draw again, out."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Commit, Edit, ObjectBoxes
from fleetlabel.labels.edits import touched
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.viewers.editor import commands, pane_commands, pointing
from fleetlabel.viewers.editor.corrections import pose_at
from fleetlabel.viewers.editor.creating import Ghost, follow
from fleetlabel.viewers.editor.frames import around
from fleetlabel.viewers.editor.keys import Command, KeyTable, Modifiers
from fleetlabel.viewers.editor.screen import Screen
from fleetlabel.viewers.editor.session import Clash, Message, Tone
from fleetlabel.viewers.editor.source import Source
from fleetlabel.viewers.editor.suggestions import suggest_identity
from fleetlabel.viewers.editor.timeline import moved_frames
from fleetlabel.viewers.editor.window_layout import Panel, arrange_window

EVERYTHING = frozenset(Panel)
_FRAME_PANELS = frozenset(set(Panel) - {Panel.STRIP})
_STEP_S = 0.1  # of playing
_REFRESH_S = 2.0
_IDLE_MS = 8000.0  # pauses longer than this are no work


class Editor(Screen):
    """One sequence being looked at and edited.

    Attributes:
        keys: the key table.
        dirty: panels whose picture is not what it should be.
        held: modifier keys that are down.
        grabbed, pressed_at, turned: the panel that a button went down in, where, and whether the pointer moved since.
        asks_note: a note is to be asked for.
        last_fault: of ours, shown in the header.
    """

    def __init__(self, source: Source, keys: KeyTable, width: int = 1600, height: int = 1000) -> None:
        super().__init__(source, width, height, self._points_arrived)
        self.keys = keys
        self.dirty: set[Panel] = set(Panel)
        self.held = Modifiers()
        self.grabbed: Panel | None = None
        self.pressed_at = (0.0, 0.0)
        self.turned = False
        self.asks_note = False
        self.last_fault: Exception | None = None
        self._space_down = self._space_used = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="work")
        self._ghost_job: Future[Ghost] | None = None
        self._queue_job: Future[None] | None = None
        self._arrived = threading.Event()
        self._played_s = self._refreshed_s = 0.0
        self._active_ms, self._touched_s = 0.0, time.monotonic()
        self._look_ahead()
        self.recentre()

    def start(self) -> None:
        """Begins what takes a while: ranking the queue."""
        self._queue_job = self._pool.submit(self.source.build_queue)

    def close(self) -> None:
        """Ends all threads; there is nothing that is not saved."""
        self.points.close()
        self.cache.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

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
        if self._ghost_job is not None and self._ghost_job.done():
            self._guarded(self.finish_ghost)
        if self._queue_job is not None and self._queue_job.done():
            job, self._queue_job = self._queue_job, None
            self._guarded(job.result)
            self.dirty.add(Panel.LIST)
        if now_s - self._refreshed_s >= _REFRESH_S and s.drag is None and not s.nudging:
            self._refreshed_s = now_s
            self._guarded(self._take_news)

    # --- going places -----------------------------------------------------------------------------------------------

    def go(self, frame: int) -> None:
        """Shows another frame."""
        s = self.session
        frame = min(max(frame, 0), s.n_frames - 1)
        if frame == s.frame:
            return
        s.direction = 1 if frame > s.frame else -1
        s.frame = frame
        s.adjusted = s.adjusted2d = s.drag = None
        self.dirty |= _FRAME_PANELS | {Panel.STRIP}
        self._look_ahead()
        if s.isolated:
            self.recentre()
        self._follow_points()

    def select(self, object_id: int | None) -> None:
        """Turns to an object, or to none."""
        s = self.session
        if object_id == s.selected:
            return
        s.selected = object_id
        s.adjusted = s.adjusted2d = s.drag = s.previous = s.suggestion = None
        s.changed = np.zeros(s.n_frames, dtype=np.bool_)
        s.pane_zoom = 1.0
        self.dirty |= EVERYTHING
        if object_id is None:
            return
        self._show_in_list()
        self._follow_points()
        s.suggestion = suggest_identity(self.source, object_id)

    def recentre(self) -> None:
        """The perspective view looks at the selected object, or ahead of the ego vehicle."""
        orbit, box = self.session.orbit, self.shown_pose()
        world_from_ego = self.world_from_ego
        if box is not None:
            orbit.target_m = np.array(box.center_m)
            orbit.distance_m = min(orbit.distance_m, 28.0)
        else:
            orbit.target_m = world_from_ego[:3, 3] + world_from_ego[:3, 0] * 8.0
        if box is None or not self.session.isolated:
            ahead = world_from_ego[:3, 0]
            orbit.azimuth_rad = float(np.arctan2(ahead[1], ahead[0]))
        self.dirty.add(Panel.MAIN)

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """One line in the header."""
        self.session.message = Message(text, tone)
        self.dirty.add(Panel.HEADER)

    # --- editing ----------------------------------------------------------------------------------------------------

    def commit(self, edits: Sequence[Edit], what: str, select: bool = True) -> bool:
        """Saves edits and shows what became of them; ``what`` says it in words."""
        s = self.session
        locked = [object_id for object_id in touched(edits) if object_id in s.locked]
        if locked:
            self.say(
                f"{self.name_of(locked[0])} is locked; {self.keys.key_of(Command.LOCK)} unlocks it",
                Tone.PROBLEM,
            )
            return False
        about = edits[0].object_id
        before = self.source.boxes(about) if self.source.now.state.get(about) is not None else None
        active, self._active_ms = int(self._active_ms), 0.0
        try:
            done = self.source.commit(edits, active_ms=active, request_id=uuid.uuid4().hex)
        except OSError as error:
            s.saved, s.saved_tone = "Not saved", Tone.PROBLEM
            self.say(f"Not saved: {error}", Tone.PROBLEM)
            return False
        if done.conflicts:
            mine = self.source.now.after(edits).boxes(about).cuboids
            s.clash = Clash(tuple(edits), done.conflicts, pose_at(mine, s.frame))
            first = done.conflicts[0]
            self.say(
                f"{first.author} changed this meanwhile ({', '.join(first.kinds).replace('_', ' ')}); "
                "Enter saves yours over it, Esc keeps theirs",
                Tone.PROBLEM,
            )
            self.dirty |= EVERYTHING
            return False
        about = dict(done.new_ids).get(about, about)
        self._saved(done)
        self._show_change(about, before, what, select)
        return True

    def step_back(self, back: bool) -> None:
        """Undo, or redo."""
        selected = self.session.selected
        known = selected is not None and self.source.now.state.get(selected) is not None
        before = self.source.boxes(selected) if known and selected is not None else None
        done = self.source.undo() if back else self.source.redo()
        if done is None or done.record is None:
            self.say(f"There is nothing to {'undo' if back else 'redo'}")
            return
        self._saved(done)
        about = selected if selected in done.record.objects else None
        if about is None and done.record.objects:
            about = done.record.objects[0]
        if about is not None:
            self._show_change(
                about, before if about == selected else None, "undone" if back else "redone", True
            )

    def drop_clash(self, mine: bool) -> None:
        """Decides a conflict: saves my edits over the others', or leaves theirs."""
        clash, self.session.clash = self.session.clash, None
        self.dirty |= EVERYTHING
        if clash is not None and mine:
            self.commit(clash.edits, "saved over it")
        else:
            self.say("Theirs is kept")

    def draw_ghost(self, ghost: Ghost) -> None:
        """Shows an object that is not kept yet, and follows it in time meanwhile."""
        self.session.ghost, self.session.adjusted = ghost, None
        self.dirty |= EVERYTHING

        def cloud(frame: int) -> F64:
            return self.cache.cloud(frame).world_m

        self._ghost_job = self._pool.submit(follow, ghost, cloud, self.ego_xy, self.session.n_frames)

    def finish_ghost(self) -> None:
        """Waits until the ghost has been followed."""
        job, self._ghost_job = self._ghost_job, None
        if job is not None and self.session.ghost is not None:
            self.session.ghost = job.result()
            frames = len(self.session.ghost.poses)
            self.say(f"New {self.session.ghost.class_name} in {frames} frames: Enter keeps it, Esc does not")
            self.dirty |= EVERYTHING

    def drop_ghost(self) -> None:
        """Gives the ghost up."""
        self._ghost_job = None
        self.session.ghost = self.session.adjusted = None
        self.dirty |= EVERYTHING

    def next_action(self) -> None:
        """Something else is being done: what the last edit left on the screen goes."""
        if self.session.previous is not None:
            self.session.previous = None
            self.dirty |= {Panel.MAIN, Panel.PANES, Panel.CAMERAS}

    # --- within -----------------------------------------------------------------------------------------------------

    def _saved(self, done: Commit) -> None:
        s = self.session
        s.saved, s.saved_tone = f"Saved {time.strftime('%H:%M:%S')}", Tone.GOOD
        if done.fsync_s > 1.0:
            s.saved += f" (the disk took {done.fsync_s:.1f} s)"

    def _show_change(self, about: int, before: ObjectBoxes | None, what: str, select: bool) -> None:
        s = self.session
        self.dirty |= EVERYTHING
        s.adjusted = s.adjusted2d = s.drag = None
        there = self.source.now.state.get(about) is not None
        if not there:
            if s.selected == about:
                self.select(None)
            self.say(f"{what.capitalize()}", Tone.GOOD)
            return
        if select and s.selected != about:
            self.select(about)
        after = self.source.boxes(about)
        s.previous = before
        s.changed = moved_frames(before, after, s.n_frames)
        s.suggestion = suggest_identity(self.source, about)
        self._follow_points()
        problem = self.source.solve_errors.get(about)
        if problem:
            self.say(f"The edit is saved, but the track could not be solved: {problem}", Tone.PROBLEM)
            return
        moved = int(s.changed.sum())
        told = f"; {moved} frame{'s' if moved != 1 else ''} moved" if moved else ""
        self.say(f"{self.name_of(about).capitalize()}: {what}{told}", Tone.GOOD)

    def _take_news(self) -> None:
        changed = self.source.refresh()
        if not changed:
            return
        s = self.session
        self.dirty |= EVERYTHING
        if s.selected is not None and self.source.now.state.get(s.selected) is None:
            self.select(None)
        if s.selected in changed:
            others = ", ".join(self.source.others()) or "somebody else"
            self.say(f"{others} changed this object just now")

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

    def _look_ahead(self) -> None:
        s = self.session
        self.cache.fetch(around(s.frame, s.n_frames, s.direction))

    def _follow_points(self) -> None:
        s = self.session
        there = s.selected is not None and self.item is not None
        cuboids = self.source.boxes(s.selected).cuboids if there and s.selected is not None else None
        if cuboids is not None:
            self.points.follow(s.selected, cuboids, s.frame)

    def _points_arrived(self) -> None:
        self._arrived.set()

    def _show_in_list(self) -> None:
        s = self.session
        place = self.listed().place_of(s.selected) if s.selected is not None else None
        shown = pointing.list_capacity(self.layout)
        if place is not None and not s.list_top <= place < s.list_top + shown:
            s.list_top = max(place - shown // 3, 0)
