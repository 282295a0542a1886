"""People who correct a track until it is right: with straight lines between keyframes, and with our edits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64
from fleetlabel.labels import Edit, Labels
from fleetlabel.labels.edits import ChangeIdentity, CreateObject, Merge, SetKeyframe2D, SetKeyframe3D
from fleetlabel.model.errors import EditError
from keyframes_drives import SAME_IOU, TruthTrack, paired_iou, upright

AUTHOR = "simulated"
YAW = 6  # column of cuboids
LOOK_S, KEY_S, DRAG_S = 1.2, 0.3, 2.5
KEYFRAME_S, COMMAND_S = LOOK_S + KEY_S + DRAG_S, LOOK_S + KEY_S
WORTH_TAKING_IN = 3  # wrong frames that a piece shows: for fewer, people draw the box
OBVIOUS_IOU = 0.5  # below this, people see that their own keyframe is wrong


@dataclass(slots=True)
class Work:
    """What somebody did to one track.

    Attributes:
        overlap: (N,) of the labels with the truth after the last action.
        good_share: share of frames that were good before the first action, after it, after the second, ...
        seconds: that had been worked by then.
        unlabelled: how many of the actions were at frames at which the labels did not show the object at all.
    """

    overlap: F64
    good_share: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    unlabelled: int = 0

    def note(self, overlap: F64, iou: float, seconds: float) -> None:
        """Another action, or the beginning."""
        self.overlap = overlap
        self.good_share.append(float((overlap >= iou).mean()))
        self.seconds.append(self.seconds[-1] + seconds if self.seconds else 0.0)

    @property
    def actions(self) -> int:
        """Number of actions."""
        return len(self.good_share) - 1


class Hand:
    """How well somebody sets a box: exactly, or as people do.

    Attributes:
        rng: None: exactly as it is.
    """

    jitter_m, jitter_rad, jitter_px = 0.1, np.radians(3.0), 1.5
    mistakes, slip_m, slip_px = 0.03, 1.0, 15.0

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self.rng = rng

    def draws(self, box: F64) -> F64:
        """The box (4 or 7,) that somebody sets who wants this one."""
        out = box.copy()
        if self.rng is None:
            return out
        slips = self.rng.random() < self.mistakes
        if len(box) == 4:
            out += self.rng.normal(scale=self.jitter_px, size=4)
            if slips:
                out += np.tile(self.slip_px * self._direction(), 2)
            middle = 0.5 * (out[:2] + out[2:])
            half = np.maximum(0.5 * (out[2:] - out[:2]), 1.0)
            return np.concatenate([middle - half, middle + half])
        out[:3] += self.rng.normal(scale=self.jitter_m / np.sqrt(3.0), size=3)
        out[YAW] += self.rng.normal(scale=self.jitter_rad)
        if slips:
            out[:2] += self.slip_m * self._direction()
        return out

    def _direction(self) -> F64:
        assert self.rng is not None
        angle = self.rng.uniform(-np.pi, np.pi)
        return np.array([np.cos(angle), np.sin(angle)])


def with_straight_lines(truth: TruthTrack, iou: float, hand: Hand) -> Work:
    """Keyframes at the first and the last frame and then at the worst, straight lines between them."""
    work = Work(np.zeros(len(truth.frame)))
    work.note(work.overlap, iou, 0.0)
    known: dict[int, F64] = {}
    for index in (0, len(truth.frame) - 1):
        known[index] = hand.draws(truth.box[index])
        work.note(paired_iou(_between(truth, known), truth.box), iou, KEYFRAME_S)
    while (at := worst(work.overlap, known, iou)) is not None and work.actions < 2 * len(truth.frame):
        known[at] = hand.draws(truth.box[at])
        work.note(paired_iou(_between(truth, known), truth.box), iou, KEYFRAME_S)
    return work


def _between(truth: TruthTrack, known: dict[int, F64]) -> F64:
    keys = sorted(known)
    values = np.array([known[key] for key in keys])
    if not truth.camera:
        values[:, YAW] = np.unwrap(values[:, YAW])
    frame = truth.frame.astype(np.float64)
    columns = [np.interp(frame, frame[keys], values[:, a]) for a in range(values.shape[1])]
    for column in columns if len(keys) == 1 else ():
        column[np.arange(len(column)) != keys[0]] = np.nan  # one keyframe is a box at its frame
    out: F64 = np.nan_to_num(np.stack(columns, axis=1))
    if not truth.camera:
        out[:, YAW] = yaw.wrap(out[:, YAW])
    return out


def worst(overlap: F64, known: dict[int, F64], iou: float) -> int | None:
    """Frame with the least overlap, of those without any the one furthest out; None if all are good.

    Where people set the box themselves, they see only that it is wrong if it is wrong altogether.
    """
    score = overlap.copy()
    keys = [key for key in known if overlap[key] >= OBVIOUS_IOU]
    score[keys] = 1.0
    if (score >= iou).all():
        return None
    outer = np.abs(np.arange(len(score)) - 0.5 * (len(score) - 1))
    return int(np.lexsort((-outer, score))[0])


class Editor:
    """Somebody who sees the truth and corrects one track with FleetLabel's edits.

    Attributes:
        object_id: the object that is to show the truth; None if there is none yet.
        known: index into the truth's frames -> box that was set there.
        work: what was done so far.
    """

    def __init__(self, labels: Labels, truth: TruthTrack, iou: float, hand: Hand) -> None:
        self.labels, self.truth, self.iou, self.hand = labels, truth, iou, hand
        self.object_id = truth.label_id
        self.known: dict[int, F64] = {}
        self.work = Work(np.zeros(0))
        self.work.note(self.overlap(), iou, 0.0)

    def overlap(self) -> F64:
        """(N,) of the labels as they are with the truth."""
        if self.object_id is None:
            return np.zeros(len(self.truth.frame))
        boxes = self.labels.now.boxes(self.object_id)
        if not self.truth.camera:
            return self.truth.overlaps(boxes.cuboids.frame.astype(np.int64), upright(boxes.cuboids))
        flat = boxes.pictures.get(self.truth.camera)
        if flat is None:
            return np.zeros(len(self.truth.frame))
        return self.truth.overlaps(flat.frame.astype(np.int64), flat.xyxy_px)

    def correct(self, index: int) -> None:
        """One action at a frame: takes in another of the machine's objects that shows this one, or sets the box."""
        seconds = KEYFRAME_S
        self.work.unlabelled += int(self.work.overlap[index] == 0.0)
        if self._take_in(index):
            seconds = COMMAND_S
        else:
            self._set(index)
        self.work.note(self.overlap(), self.iou, seconds)

    def _set(self, index: int) -> None:
        edits: list[Edit] = []
        object_id = self.object_id
        if object_id is None:
            object_id = self.labels.new_id()
            edits.append(CreateObject(object_id=object_id, class_name=self.truth.class_name))
        frame = int(self.truth.frame[index])
        self.known[index] = box = self.hand.draws(self.truth.box[index])
        values = [float(value) for value in box]
        if self.truth.camera:
            edges = (values[0], values[1], values[2], values[3])
            camera = self.truth.camera
            edits.append(SetKeyframe2D(object_id=object_id, frame=frame, camera=camera, xyxy_px=edges))
        else:
            x, y, z, length, width, height, heading = values
            size = (length, width, height)
            edits.append(
                SetKeyframe3D(
                    object_id=object_id, frame=frame, center_m=(x, y, z), yaw_rad=heading, size_lwh_m=size
                )
            )
        commit = self.labels.commit(edits, author=AUTHOR)
        self.object_id = dict(commit.new_ids).get(object_id, object_id)

    def _take_in(self, index: int) -> bool:
        """Whether there was such an object, and is part of this one now."""
        if self.object_id is None:
            return False
        frame = int(self.truth.frame[index])
        for part in self.truth.parts:
            if part not in self.labels.now.object_ids:
                continue
            alone = replace(self.truth, label_id=part, parts=())
            shown = Editor(self.labels, alone, self.iou, self.hand).work.overlap >= SAME_IOU[self.truth.task]
            helps = shown & (self.work.overlap < self.iou)
            if not helps[index] or helps.sum() < WORTH_TAKING_IN:
                continue
            merge = Merge(object_id=self.object_id, other_id=part)
            from_here = ChangeIdentity(object_id=part, other_id=self.object_id, frame=frame)
            if self._done(merge) or self._done(from_here):
                return True
        return False

    def _done(self, edit: Edit) -> bool:
        try:
            self.labels.commit([edit], author=AUTHOR)
        except EditError:
            return False
        return True


def with_oracle(labels: Labels, truth: TruthTrack, iou: float, hand: Hand) -> Work:
    """FleetLabel's edits, each at the frame that is worst, until all are good."""
    editor = Editor(labels, truth, iou, hand)
    while (index := worst(editor.work.overlap, editor.known, iou)) is not None:
        if editor.work.actions >= 2 * len(truth.frame):
            break
        editor.correct(index)
    return editor.work
