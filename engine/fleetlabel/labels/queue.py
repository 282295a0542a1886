"""The queue: where in the labels a look is worth most, and when there is no more to do.

    queue = Queue(labels, iou=0.7)
    while not queue.is_done:
        item = queue.items(1)[0]        # look at item.object_id at item.frame (in item.camera; "" is the cuboid)
        labels.commit([...])            # set it right, or Accept(object_id=..., start=frame, stop=frame + 1)

The queue follows ``labels``: what was committed there, and what :meth:`Labels.refresh` brings of others, counts at the
next call, and only tracks that were touched are ranked anew. It is deterministic.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.doubts import SWITCH_ROWS, Doubts, Track
from fleetlabel.labels.evidence import SIGNALS, Evidence, View
from fleetlabel.labels.labels import Labels
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.ranking import (
    QueueConfig,
    after_looks,
    gains,
    switch_likely,
    votes_split,
)

_LEAST_DOUBT = 0.01  # of a box that is worth a look
_TELLING = 0.4  # log odds from which on a signal is named
_REASONS = 2  # signals that are named
_SUSPICION = 0.1  # from which on a switch of identities is named
_COLUMN = {name: column for column, name in enumerate(SIGNALS)}


@dataclass(frozen=True, slots=True)
class Item:
    """One box that is worth a look.

    Attributes:
        sequence: name of the sequence.
        object_id, frame: which box.
        camera: whose picture it is in; "" is the cuboid.
        score: boxes that the look is expected to mend per second of work.
        fixes: boxes that the look is expected to mend.
        seconds: of work expected: the look, and a correction as often as one is needed.
        wrong: how likely the box is wrong.
        reason: in words.
    """

    sequence: str
    object_id: int
    frame: int
    camera: str
    score: float
    fixes: float
    seconds: float
    wrong: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    Attributes:
        boxes: in all views.
        looked_at: of those, set or accepted by people.
        expected_wrong: boxes that are wrong, as far as can be expected.
        share: of expected wrong boxes among all.
        done: whether that is little enough in every class, or nothing more can be looked at.
        escalated: objects that wait for somebody else, and are not in the queue until their notes are settled.
    """

    boxes: int
    looked_at: int
    expected_wrong: float
    share: float
    done: bool
    escalated: tuple[int, ...]


class Queue:
    """Boxes of a sequence by how much a look at each is worth.

    Args:
        labels: whose boxes.
        iou: overlap with the truth below which a box is wrong.
        views: cameras to look at, "" for cuboids; everything that the base version has by default.
        config: see :class:`QueueConfig`.
    """

    def __init__(
        self,
        labels: Labels,
        *,
        iou: float = 0.7,
        views: Sequence[str] | None = None,
        config: QueueConfig | None = None,
    ) -> None:
        self.labels = labels
        self.iou = iou
        self.config = config or QueueConfig()
        self._wanted = views
        self._reach = self.config.reach_at(iou)
        self._begin(labels.base)

    # --- what people ask ----------------------------------------------------------------------------------------------

    def items(self, count: int = 1) -> list[Item]:
        """The boxes that are most worth a look now, best first; fewer than ``count`` if no more are.

        Each is chosen as if those before it had been looked at, so that several people find work in several places.
        """
        return list(islice(self.ranked(), count))

    def ranked(self) -> Iterator[Item]:
        """All items, best first, worked out as they are asked for; classes with nothing left to do come last."""
        self._follow()
        left: dict[tuple[int, str], Doubts] = {}
        open_ = self._open_classes(self._expected())
        heads = [
            (self._tracks[key].class_id not in open_, -score, key, row)
            for key, (score, row) in self._best.items()
        ]
        heapq.heapify(heads)
        while heads:
            later, negative, key, row = heapq.heappop(heads)
            track = self._tracks[key]
            doubts = left.get(key, track.now)
            yield self._item(key[0], track, doubts, row, -negative)
            left[key] = doubts.after_a_look(row, track.time_s, self._reach)
            score, row = self._best_row(track, left[key])
            if score > 0.0:
                heapq.heappush(heads, (later, -score, key, row))

    @property
    def progress(self) -> Progress:
        """How far the work is; see :class:`Progress`."""
        self._follow()
        by_class = self._expected()
        open_ = self._open_classes(by_class)
        boxes = sum(boxes for boxes, _ in by_class.values())
        wrong = sum(wrong for _, wrong in by_class.values())
        return Progress(
            boxes,
            sum(track.looked_at for track in self._tracks.values()),
            wrong,
            wrong / boxes if boxes else 0.0,
            not any(self._tracks[key].class_id in open_ for key in self._best),
            tuple(sorted({key[0] for key in self._tracks if self._waits(key[0])})),
        )

    @property
    def is_done(self) -> bool:
        """Whether so few wrong boxes are to be expected, in every class, that there is no more to do."""
        return self.progress.done

    def _expected(self) -> dict[int, tuple[int, float]]:
        """Boxes of each class, and how many of them are expected to be wrong."""
        found: dict[int, tuple[int, float]] = {}
        for key in sorted(self._tracks):
            track = self._tracks[key]
            boxes, wrong = found.get(track.class_id, (0, 0.0))
            found[track.class_id] = boxes + len(track.frame), wrong + track.now.expected_wrong
        return found

    def _open_classes(self, expected: Mapping[int, tuple[int, float]]) -> frozenset[int]:
        """Classes in which more than few boxes are expected to be wrong: those that are rare count by themselves."""
        most = self.config.bad_share
        return frozenset(kind for kind, (boxes, wrong) in expected.items() if wrong > most * boxes)

    # --- ranking ------------------------------------------------------------------------------------------------------

    def _begin(self, base: BaseLabels) -> None:
        """Ranks the base version as a whole, then what people touched."""
        self._base = base
        evidence = Evidence(base)
        views = list(evidence.tables) if self._wanted is None else [*self._wanted]
        self._views = {camera: View(evidence, camera) for camera in views if camera in evidence.tables}
        self._objects: Mapping[int, LabelObject | None] = {}
        self._tracks: dict[tuple[int, str], Track] = {}
        for camera, view in self._views.items():
            self._rank_all(camera, view)
        self._best = self._best_of_all()
        self._follow()

    def _follow(self) -> None:
        """Ranks anew what was touched since the last call."""
        now = self.labels.now
        if now.base is not self._base:
            self._begin(now.base)
            return
        if now.state.objects is self._objects:
            return
        before, self._objects = self._objects, now.state.objects
        for object_id in sorted({*before, *self._objects}):
            same = object_id in before and object_id in self._objects
            if same and (
                before[object_id] is self._objects[object_id] or before[object_id] == self._objects[object_id]
            ):
                continue
            for camera, view in self._views.items():
                self._rank_one(object_id, camera, view)

    def _rank_all(self, camera: str, view: View) -> None:
        """Every track of the base version, as if nobody had touched any."""
        table = view.table
        if not len(table):
            return
        signals = view.signals(np.arange(len(table)), table.track_id)
        doubt = self._doubt(view, signals, table.class_id)
        time_s = (self._base.times(camera)[table.frame] - self._base.times("")[0]) * 1e-9
        switched = switch_likely(signals[:, _COLUMN["switch"]])
        first = np.flatnonzero(np.diff(table.track_id, prepend=-1))
        for start, stop in zip(first.tolist(), [*first[1:].tolist(), len(table)], strict=True):
            own = slice(start, stop)
            share, dispute = self._class_doubt(view, np.arange(start, stop))
            now = Doubts(doubt[own], switched[own], share)
            kind = int(table.class_id[stop - 1])
            self._tracks[int(table.track_id[start]), camera] = Track(
                camera, kind, table.frame[own], time_s[own], signals[own], now, 0, dispute
            )

    def _rank_one(self, object_id: int, camera: str, view: View) -> None:
        """One object that people touched, or that is as in the base version again."""
        key = (object_id, camera)
        item = self.labels.now.state.get(object_id)
        self._tracks.pop(key, None)
        self._best.pop(key, None)
        if item is None:
            return
        boxes = self.labels.now.boxes(object_id)
        shown = boxes.pictures.get(camera) if camera else boxes.cuboids
        if shown is None or not len(shown):
            return
        rows = view.rows_of(item)
        frame = shown.frame.astype(np.int64)
        signals = self._signals_at(view, rows, frame)
        doubt = self._doubt(view, signals, shown.class_id.astype(np.int64))
        time_s = (self._base.times(camera)[frame] - self._base.times("")[0]) * 1e-9
        keys, accepted = np.isin(frame, item.keyframes(camera)), item.accepted.mask(frame)
        looked = keys | accepted
        known = bool(item.classes or looked.any()) or not len(rows)
        share, dispute = (0.0, "") if known else self._class_doubt(view, rows)
        near = np.convolve(looked, np.ones(2 * SWITCH_ROWS - 1))[SWITCH_ROWS - 1 :][: len(looked)]
        switched = np.where(near > 0.5, 0.0, switch_likely(signals[:, _COLUMN["switch"]]))
        wrong = after_looks(doubt, time_s, keys, accepted, self._reach)
        now = Doubts(wrong, switched, share)
        kind = int(shown.class_id[-1])
        track = Track(camera, kind, frame, time_s, signals, now, int(looked.sum()), dispute)
        self._tracks[key] = track
        if not self._waits(object_id):
            score, row = self._best_row(track, now)
            if score > 0.0:
                self._best[key] = (score, row)

    def _signals_at(self, view: View, rows: I64, frame: I64) -> F64:
        """Signals at frames of an object: those of the machine's box there, or of the nearest one as not seen."""
        unseen = [_COLUMN[name] for name in ("unseen", "sparse", "weak")]
        if not len(rows):
            signals = np.zeros((len(frame), len(SIGNALS)))
            signals[:, unseen] = 1.0
            return signals
        own = view.signals(rows, np.zeros(len(rows), dtype=np.int64))
        there = view.table.frame[rows]
        place = np.clip(np.searchsorted(there, frame), 0, len(there) - 1)
        before = np.maximum(place - 1, 0)
        nearest = np.where(np.abs(there[before] - frame) < np.abs(there[place] - frame), before, place)
        signals = own[nearest]
        missing = there[nearest] != frame
        signals[np.ix_(missing, unseen[:1])] = 1.0
        return signals

    def _doubt(self, view: View, signals: F64, class_id: I64) -> F64:
        model = self.config.flat if view.camera else self.config.solid
        names = self._base.class_names
        kinds, which = np.unique(class_id, return_inverse=True)
        offsets = np.array([model.offset(names[kind], self.iou) for kind in kinds.tolist()])
        doubt: F64 = 1.0 / (1.0 + np.exp(-model.contributions(signals).sum(axis=1) - offsets[which]))
        return doubt

    def _class_doubt(self, view: View, rows: I64) -> tuple[float, str]:
        own = int(view.table.class_id[rows[-1]])
        share, rival = votes_split(view.table.vote[rows], own)
        names = self._base.class_names
        return share, f"detections are split between {names[own]} and {names[rival]}" if share else ""

    # --- choosing -----------------------------------------------------------------------------------------------------

    def _best_of_all(self) -> dict[tuple[int, str], tuple[float, int]]:
        """Best score and row of every track, all tracks at once."""
        keys = sorted(self._tracks)
        if not keys:
            return {}
        tracks = [self._tracks[key] for key in keys]
        counts = np.array([len(track.frame) for track in tracks])
        group, ends = np.repeat(np.arange(len(tracks)), counts), np.cumsum(counts)
        wrong = np.concatenate([track.now.wrong for track in tracks])
        time_s = np.concatenate([track.time_s for track in tracks])
        gain = gains(wrong, time_s, group, self._reach)
        best = {}
        for key, track, start, stop in zip(
            keys, tracks, (ends - counts).tolist(), ends.tolist(), strict=True
        ):
            score = self._scores(gain[start:stop], track.now)
            row = int(score.argmax())
            if score[row] > 0.0:
                best[key] = (float(score[row]), row)
        return best

    def _best_row(self, track: Track, doubts: Doubts) -> tuple[float, int]:
        group = np.zeros(len(doubts.wrong), dtype=np.int64)
        score = self._scores(gains(doubts.wrong, track.time_s, group, self._reach), doubts)
        row = int(score.argmax())
        return float(score[row]), row

    def _scores(self, gain: F64, doubts: Doubts) -> F64:
        """(M,) boxes mended per second; 0 where a look is worth nothing. A switch spoils all boxes from there on."""
        n, found = len(gain), doubts.any
        gain = gain + doubts.class_wrong * n + doubts.switched * np.arange(n, 0, -1)
        return np.where(found >= _LEAST_DOUBT, gain / self._seconds(found), 0.0)

    def _seconds(self, found: F64) -> F64:
        return self.config.look_s + found * self.config.drag_s

    def _item(self, object_id: int, track: Track, doubts: Doubts, row: int, score: float) -> Item:
        found = doubts.any[row]
        seconds = float(self._seconds(found))
        return Item(
            sequence=self._base.store.info.name,
            object_id=object_id,
            frame=int(track.frame[row]),
            camera=track.camera,
            score=score,
            fixes=score * seconds,
            seconds=seconds,
            wrong=float(found),
            reason=self._reason(track, doubts, row),
        )

    def _reason(self, track: Track, doubts: Doubts, row: int) -> str:
        """The signals that speak most against a box, in words."""
        model = self.config.flat if track.camera else self.config.solid
        added = model.contributions(track.signals[row : row + 1])[0]
        names = list(SIGNALS)
        telling = [k for k in np.argsort(-added, kind="stable").tolist() if added[k] >= _TELLING][:_REASONS]
        words = [SIGNALS[names[k]] for k in telling]
        if doubts.class_wrong > doubts.wrong[row]:
            words.insert(0, track.dispute)
        if doubts.switched[row] >= _SUSPICION:
            words.insert(0, SIGNALS["switch"])
        return "; ".join(words) or "nothing in particular: a check"

    def _waits(self, object_id: int) -> bool:
        """Whether an object was escalated: somebody else decides, and settles the note."""
        item = self._objects.get(object_id)
        return item is not None and bool(item.notes)


def ranked_together(queues: Sequence[Queue]) -> Iterator[tuple[Queue, Item]]:
    """Items of several sequences, best first."""
    heads: list[tuple[float, int, Item, Iterator[Item]]] = []
    for place, queue in enumerate(queues):
        stream = queue.ranked()
        if (item := next(stream, None)) is not None:
            heads.append((-item.score, place, item, stream))
    heapq.heapify(heads)
    while heads:
        _, place, item, stream = heapq.heappop(heads)
        yield queues[place], item
        if (following := next(stream, None)) is not None:
            heapq.heappush(heads, (-following.score, place, following, stream))
