"""What is on the screen and what is done to it: going places, selecting, saving edits, new objects, conflicts.

Commands and the pointer work on this; :class:`fleetlabel.viewers.editor.editor.Editor` passes keys, pointer and time on
to them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Commit, Conflict, Edit, ObjectBoxes
from fleetlabel.labels.edits import touched
from fleetlabel.model.errors import EditError
from fleetlabel.viewers.editor.corrections import pose_at
from fleetlabel.viewers.editor.creating import Ghost, follow
from fleetlabel.viewers.editor.frames import around
from fleetlabel.viewers.editor.keys import Command, KeyTable, Modifiers
from fleetlabel.viewers.editor.screen import Screen
from fleetlabel.viewers.editor.session import Clash, Message, Tone
from fleetlabel.viewers.editor.source import Refused, Source
from fleetlabel.viewers.editor.suggestions import suggest_identity
from fleetlabel.viewers.editor.timeline import moved_frames
from fleetlabel.viewers.editor.window_layout import Panel, arrange_list

EVERYTHING = frozenset(Panel)
_FRAME_PANELS = frozenset(set(Panel) - {Panel.STRIP})


class Workbench(Screen):
    """One sequence being edited.

    Attributes:
        keys: the key table.
        dirty: panels whose picture is not what it should be.
        held: modifier keys that are down.
        grabbed, pressed_at, turned: the panel that a button went down in, where, and whether the pointer moved since.
        asks_note: a note is to be asked for.
    """

    def __init__(self, source: Source, keys: KeyTable, width: int, height: int) -> None:
        self._arrived = threading.Event()
        super().__init__(source, width, height, self._arrived.set)
        self.keys = keys
        self.dirty: set[Panel] = set(Panel)
        self.held = Modifiers()
        self.grabbed: Panel | None = None
        self.pressed_at = (0.0, 0.0)
        self.turned = False
        self.asks_note = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="work")
        self._ghost_job: Future[Ghost] | None = None
        self._active_ms = 0.0
        if source.now.state.objects:  # of earlier days
            self.session.saved, self.session.saved_tone = "All saved", Tone.GOOD
        self._look_ahead()
        self.recentre()

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

    def next_action(self) -> None:
        """Something else is being done: what the last edit left on the screen goes."""
        if self.session.previous is not None:
            self.session.previous = None
            self.dirty |= {Panel.MAIN, Panel.PANES, Panel.CAMERAS}

    # --- editing ----------------------------------------------------------------------------------------------------

    def commit(
        self, edits: Sequence[Edit], what: str, select: bool = True, request_id: str | None = None
    ) -> bool:
        """Saves edits and shows what became of them.

        Args:
            what: says it in words.
            request_id: of edits that were refused, which now go over what others did.
        """
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
        request_id = request_id or uuid.uuid4().hex
        try:
            done = self.source.commit(edits, active_ms=active, request_id=request_id)
        except OSError as error:
            s.saved, s.saved_tone = "Not saved", Tone.PROBLEM
            self.say(f"Not saved: {error}", Tone.PROBLEM)
            return False
        if done.conflicts:
            self.show_clash(Refused(request_id, tuple(edits), done.conflicts))
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

    # --- conflicts --------------------------------------------------------------------------------------------------

    def show_clash(self, refused: Refused) -> None:
        """Edits were not saved: others' and mine are shown side by side, to be decided."""
        s, about = self.session, refused.edits[0].object_id
        theirs, mine = None, None
        if self.source.now.state.get(about) is not None:
            if s.selected != about:
                self.select(about)
            theirs = pose_at(self.source.boxes(about).cuboids, s.frame)
        try:
            after = self.source.now.after(refused.edits)
            mine = (
                pose_at(after.boxes(about).cuboids, s.frame) if after.state.get(about) is not None else None
            )
        except EditError:
            pass  # it cannot be had any more; their side says why
        s.adjusted = s.adjusted2d = s.drag = None
        s.nudging = ""
        s.clash = Clash(refused, theirs, mine)
        who = refused.conflicts[0].author or "somebody" if refused.conflicts else ""
        told = f"{who} changed this meanwhile ({what_they_did(refused.conflicts[0])})" if who else ""
        self.say(
            f"{told or f'The engine refuses this: {refused.problem}'}; Enter saves yours over it, Esc keeps theirs",
            Tone.PROBLEM,
        )
        self.dirty |= EVERYTHING

    def drop_clash(self, mine: bool) -> None:
        """Decides a conflict: saves my edits over the others', or leaves theirs."""
        clash = self.session.clash
        if clash is None:
            return
        self.dirty |= EVERYTHING
        if mine:
            try:
                if self.commit(clash.refused.edits, "saved over it", request_id=clash.refused.request_id):
                    self.session.clash = None
            except EditError as error:
                self.say(f"Yours cannot be saved any more: {error}; Esc keeps theirs", Tone.PROBLEM)
            return
        self.session.clash = None
        self.source.give_up(clash.refused.request_id)
        self.say("Theirs is kept")

    def report_refusal(self, refused: Refused) -> None:
        """Shows what was refused; an undo or redo that was is over with."""
        if refused.edits:
            self.show_clash(refused)
        else:
            self.say(f"The engine refuses this: {refused.problem}", Tone.PROBLEM)

    # --- new objects ------------------------------------------------------------------------------------------------

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

    def _look_ahead(self) -> None:
        s = self.session
        self.cache.fetch(around(s.frame, s.n_frames, s.direction))

    def _follow_points(self) -> None:
        s = self.session
        there = s.selected is not None and self.item is not None
        cuboids = self.source.boxes(s.selected).cuboids if there and s.selected is not None else None
        if cuboids is not None:
            self.points.follow(s.selected, cuboids, s.frame)

    def _show_in_list(self) -> None:
        s = self.session
        place = self.listed().place_of(s.selected) if s.selected is not None else None
        shown = arrange_list(self.layout).capacity
        if place is not None and not s.list_top <= place < s.list_top + shown:
            s.list_top = max(place - shown // 3, 0)


def what_they_did(conflict: Conflict) -> str:
    """The kinds of edits in words."""
    return ", ".join(conflict.kinds).replace("_", " ") or conflict.reason
