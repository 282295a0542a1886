"""Somebody who goes where FleetLabel's queue says, over one drive, until it says that it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.labels import Labels, Queue
from fleetlabel.labels.edits import Accept
from keyframes_annotator import AUTHOR, Editor, Hand, Work
from keyframes_drives import TruthTrack


@dataclass(frozen=True, slots=True)
class Guided:
    """What came of a drive.

    Attributes:
        work: on each of the truth's tracks.
        inspections: looks at a box, whatever came of them.
        wrong_first: of the first items that the truth can judge, which were wrong; at most :data:`FIRST`.
    """

    work: tuple[Work, ...]
    inspections: int
    wrong_first: tuple[bool, ...]


FIRST = 100


def with_queue(labels: Labels, truth: Sequence[TruthTrack], iou: float, hand: Hand) -> Guided:
    """Looks at each item, sets the box right if it is wrong, and says so if it is good.

    Who looks at a track for the first time looks at its ends too, and draws what is missing there; and who looks at a
    frame sees objects that nobody has labelled yet. Both are inspections.
    """
    editors = [Editor(labels, track, iou, hand) for track in truth]
    views = sorted({track.camera for track in truth})
    queue = Queue(labels, iou=iou, views=views)
    looks = 0
    wrong_first: list[bool] = []
    seen: set[int] = set()
    while not queue.is_done and (items := queue.items(1)):
        item = items[0]
        looks += 1
        mine = [e for e in editors if e.object_id == item.object_id and e.truth.camera == item.camera]
        showing = [e for e in mine if item.frame in e.truth.frame]
        wrong = False
        for editor in showing:
            index = int(np.searchsorted(editor.truth.frame, item.frame))
            wrong = editor.work.overlap[index] < iou and index not in editor.known
            if wrong:
                editor.correct(index)
        if not wrong:
            _accept(labels, item.object_id, item.frame, whole=not mine)
        if showing and len(wrong_first) < FIRST:
            wrong_first.append(wrong)
        for editor in editors:
            is_new = editor.object_id is None and item.frame in editor.truth.frame
            if is_new or (editor in mine and id(editor) not in seen):
                seen.add(id(editor))
                looks += _draw_ends(editor, iou)
    return Guided(tuple(editor.work for editor in editors), looks, tuple(wrong_first))


def _draw_ends(editor: Editor, iou: float) -> int:
    """Draws the first and the last box where there is none; returns how often somebody had to look."""
    ends = (0, len(editor.truth.frame) - 1)
    for index in ends:
        if editor.work.overlap[index] == 0.0 and index not in editor.known:
            editor.correct(index)
    return len(ends)


def _accept(labels: Labels, object_id: int, frame: int, whole: bool) -> None:
    """Says that a box is good; or, of an object that the truth does not count, that all of its boxes are."""
    start, stop = (None, None) if whole else (frame, frame + 1)
    labels.commit([Accept(object_id=object_id, start=start, stop=stop)], author=AUTHOR)
