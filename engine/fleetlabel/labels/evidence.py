"""What speaks against a machine's boxes: signals from detections, neighbours, other views and the track's own course.

Signals are numbers of about 0 (nothing) to 1, one row per box of the base version and one column per name in
:data:`SIGNALS`. What they are worth is said by ``fleetlabel.labels.ranking``.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.box_tables import Table, tables_of
from fleetlabel.labels.in_pictures import InPictures, in_pictures
from fleetlabel.labels.objects import LabelObject

# Signal -> what it says in words.
SIGNALS: dict[str, str] = {
    "unseen": "nothing was detected here",
    "weak": "detections are weak",
    "scattered": "the box lies off its detection",
    "resized": "detections disagree about the size",
    "rough": "detections jump",
    "switch": "it may be another object from here on",
    "sparse": "few detections around here",
    "border": "the track begins or ends here",
    "short": "a short track",
    "off_size": "an unusual size for its class",
    "mismatch": "picture and cuboid disagree",
    "alone": "seen in one kind of sensor only",
    "crowded": "another object is close",
    "far": "far away or small",
    "few_points": "few lidar points",
}

_AROUND = 10  # rows on each side that tell how dense detections are
_BEFORE = 3  # rows on each side of a suspected switch of identities
_UNUSUAL = 1.0  # times the usual jumps, what speaks for another object has to exceed
_SHORT, _BORDER = 10.0, 3.0  # frames
_MET_IOU = 0.3  # of a box and a projection that may show one thing
_FAR_M, _SMALL_PX = 20.0, 50.0
_CROWD_M = 10.0  # nothing further away crowds a box
_SURE_LOGIT, _LOGITS = 6.0, 10.0


class View:
    """Evidence about the boxes of one camera, or about cuboids (camera "")."""

    def __init__(self, evidence: Evidence, camera: str) -> None:
        self.evidence = evidence
        self.camera = camera
        self.table = evidence.tables[camera]

    def rows_of(self, item: LabelObject) -> I64:
        """Rows of the table that an object is made of, by frame; one per frame."""
        parts = []
        for segment in item.segments:
            if segment.camera == self.camera:
                first, last = segment.track_id << 32 | segment.start, segment.track_id << 32 | segment.stop
                low, high = np.searchsorted(self.table.key, (first, last))
                parts.append(np.arange(low, high))
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        _, once = np.unique(self.table.frame[rows], return_index=True)
        found: I64 = rows[once]
        return found

    def signals(self, rows: I64, group: I64) -> F64:
        """(M, K) signals of rows of the table.

        Args:
            group: (M,) ascending: rows of one number are one object, by frame.
        """
        t = self.table
        fill = _nearest_seen(t.seen[rows], group)
        first, last = np.searchsorted(group, group), np.searchsorted(group, group, side="right") - 1
        place = np.arange(len(rows))
        frame = t.frame[rows]
        to_border = np.minimum(frame - frame[first], frame[last] - frame) if len(rows) else frame
        course = np.where(np.isfinite(t.found[rows][fill]), t.found[rows][fill], t.box[rows])
        rough, switch = _jumps(course, place, first, last)
        crowded = self._row_signals["crowded"][rows]
        timely = {
            "weak": self._row_signals["weak"][rows][fill],
            "scattered": self._row_signals["scattered"][rows][fill],
            "resized": self._row_signals["resized"][rows][fill],
            "rough": rough,
            "switch": switch * (0.5 + 0.5 * crowded),
            "sparse": 1.0 - _mean_around(t.seen[rows].astype(np.float64), place, first, last),
            "border": np.exp(-to_border / _BORDER),
            "short": np.exp(-(last - first) / _SHORT),
        }
        columns = [timely[name] if name in timely else self._row_signals[name][rows] for name in SIGNALS]
        return np.stack(columns, axis=1) if len(rows) else np.zeros((0, len(SIGNALS)))

    @cached_property
    def _row_signals(self) -> dict[str, F64]:
        """Signals that do not depend on which object a row belongs to, by name, (N,) each."""
        t = self.table
        solid = not self.camera
        off, resized = (_off_solid if solid else _off_flat)(t.found, t.box)
        score = np.clip(t.score, 1e-4, 1.0 - 1e-4)
        logit = np.log(score) - np.log1p(-score)
        mismatch, alone = self._mismatch()
        points = np.log10(np.maximum(t.n_points, 0) + 1.0)
        return {
            "unseen": (~t.seen).astype(np.float64),
            "weak": np.nan_to_num(np.clip((_SURE_LOGIT - logit) / _LOGITS, 0.0, 1.0), nan=1.0),
            "scattered": np.nan_to_num(np.clip(off, 0.0, 1.0)),
            "resized": np.nan_to_num(np.clip(resized, 0.0, 1.0)),
            "off_size": self._off_size(),
            "mismatch": mismatch,
            "alone": alone,
            "crowded": _crowding_solid(t) if solid else _crowding_flat(t),
            "far": self._distance(),
            "few_points": np.where(t.n_points >= 0, np.clip(1.0 - 0.5 * points, 0.0, 1.0), 0.0),
        }

    def _off_size(self) -> F64:
        """Logarithm of size, or of the shape in pictures, off what is usual for the class in this sequence."""
        t = self.table
        if self.camera:
            extent = np.maximum(t.box[:, 2:] - t.box[:, :2], 1.0)
            measure = np.log(extent[:, :1] / extent[:, 1:])
        else:
            measure = np.log(t.box[:, 3:6])
        off = np.zeros(len(t))
        for kind in np.unique(t.class_id):
            mine = t.class_id == kind
            off[mine] = np.abs(measure[mine] - np.median(measure[mine], axis=0)).sum(axis=1)
        return np.clip(off, 0.0, 1.0)

    def _distance(self) -> F64:
        if self.camera:
            height = np.maximum(self.table.box[:, 3] - self.table.box[:, 1], 1.0)
            return np.asarray(np.clip(np.log(_SMALL_PX / height), -1.5, 1.5))
        base = self.evidence.base
        known = base.store.info.trajectory.timestamp_ns
        world_from_ego = base.store.info.trajectory.at(np.clip(base.times(""), known[0], known[-1]))
        away = np.linalg.norm(self.table.box[:, :2] - world_from_ego[self.table.frame, :2, 3], axis=1)
        return np.asarray(np.clip(np.log(np.maximum(away, 1e-3) / _FAR_M), -1.5, 1.5))

    # --- pictures and cuboids -----------------------------------------------------------------------------------------

    def _mismatch(self) -> tuple[F64, F64]:
        """How ill boxes of one kind fit the other kind, and which have no counterpart; 0 without other kinds."""
        n = len(self.table)
        if self.camera:
            solid = "" in self.evidence.tables and len(self.evidence.tables[""]) > 0
            best = self.evidence.in_pictures(self.camera).flat if solid else np.ones(n)
            expected = np.ones(n, dtype=np.bool_)
        else:
            best, expected = np.zeros(n), np.zeros(n, dtype=np.bool_)
            for camera in self.evidence.tables:
                if camera and len(self.evidence.tables[camera]):
                    shown = self.evidence.in_pictures(camera)
                    best, expected = np.maximum(best, shown.solid), np.logical_or(expected, shown.expected)
        met = best >= _MET_IOU
        return np.where(met, 1.0 - best, 0.0), np.where(expected & ~met, 1.0, 0.0)


class Evidence:
    """All there is to say about the boxes of a base version.

    Attributes:
        tables: boxes by camera, "" for cuboids.
    """

    def __init__(self, base: BaseLabels) -> None:
        self.base = base
        self.tables = tables_of(base)
        self._pictures: dict[str, InPictures] = {}

    def in_pictures(self, camera: str) -> InPictures:
        """Cuboids and one camera's boxes held against one another."""
        if camera not in self._pictures:
            solid, flat = self.tables[""], self.tables[camera]
            self._pictures[camera] = in_pictures(
                self.base, camera, solid.frame, solid.box, solid.velocity_mps, flat.frame, flat.box
            )
        return self._pictures[camera]


# --- over time --------------------------------------------------------------------------------------------------------


def _nearest_seen(seen: Bool, group: I64) -> I64:
    """(M,) for each row the nearest row of its group that was seen; itself if there is none."""
    n = len(seen)
    place = np.arange(n)
    before = np.maximum.accumulate(np.where(seen, place, -1)) if n else place
    after = np.minimum.accumulate(np.where(seen, place, n)[::-1])[::-1] if n else place
    has_before = (before >= 0) & (group[np.maximum(before, 0)] == group)
    has_after = (after < n) & (group[np.minimum(after, n - 1)] == group)
    to_before, to_after = (
        np.where(has_before, place - before, n + 1),
        np.where(has_after, after - place, n + 1),
    )
    nearest = np.where(to_after < to_before, after, before)
    found: I64 = np.where(has_before | has_after, nearest, place)
    return found


def _mean_around(values: F64, place: I64, first: I64, last: I64) -> F64:
    """(M,) mean of the rows around each, within its group."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    low, high = np.maximum(place - _AROUND, first), np.minimum(place + _AROUND, last) + 1
    return np.asarray((total[high] - total[low]) / (high - low))


def _jumps(course: F64, place: I64, first: I64, last: I64) -> tuple[F64, F64]:
    """(M,) how much each row is off the middle of its neighbours, and how ill what follows fits what came before.

    Both are in the object's own width. For the second, where the rows before lead to is compared with where those
    after come from, and the sizes of both; where detections jump all the time, one more jump says little.
    """
    solid = course.shape[1] == 7
    middle = course[:, :2] if solid else 0.5 * (course[:, :2] + course[:, 2:])
    extent = course[:, 3:6] if solid else np.maximum(course[:, 2:] - course[:, :2], 1.0)
    width = extent[:, 1] if solid else extent.mean(axis=1)
    rough, switch = np.zeros(len(course)), np.zeros(len(course))
    i = np.flatnonzero((place > first) & (place < last))
    rough[i] = np.linalg.norm(middle[i - 1] - 2.0 * middle[i] + middle[i + 1], axis=1) / width[i]
    i = np.flatnonzero((place - _BEFORE >= first) & (place + _BEFORE - 1 <= last))
    slope_before = (middle[i - 1] - middle[i - _BEFORE]) / (_BEFORE - 1)
    slope_after = (middle[i + _BEFORE - 1] - middle[i]) / (_BEFORE - 1)
    gap = np.linalg.norm(middle[i] - middle[i - 1] - 0.5 * (slope_before + slope_after), axis=1) / width[i]
    changed = np.zeros(len(i))
    for step in range(_BEFORE):
        changed += np.abs(np.log(extent[i + step] / extent[i - 1 - step])).sum(axis=1) / _BEFORE
    rough = np.clip(rough, 0.0, 1.0)
    usual = _mean_around(rough, place, first, last)[i]
    switch[i] = np.clip(0.5 * gap - _UNUSUAL * usual, 0.0, 1.0) * np.clip(changed, 0.0, 1.0)
    return rough, switch


# --- between boxes ----------------------------------------------------------------------------------------------------


def _off_solid(found: F64, box: F64) -> tuple[F64, F64]:
    """How far cuboids are apart in shares of their extents, and the logarithm of how their sizes differ."""
    cos, sin = np.cos(box[:, 6]), np.sin(box[:, 6])
    dx, dy, dz = (found[:, :3] - box[:, :3]).T
    along, across = np.abs(cos * dx + sin * dy) / box[:, 3], np.abs(cos * dy - sin * dx) / box[:, 4]
    resized = np.abs(np.log(found[:, 3:6] / box[:, 3:6])).sum(axis=1)
    return along + across + np.abs(dz) / box[:, 5], resized


def _off_flat(found: F64, box: F64) -> tuple[F64, F64]:
    extent = np.maximum(box[:, 2:] - box[:, :2], 1.0)
    off = np.abs(found - box).reshape(-1, 2, 2).sum(axis=1) / extent
    resized = np.abs(np.log(np.maximum(found[:, 2:] - found[:, :2], 1.0) / extent))
    return 0.5 * off.sum(axis=1), resized.sum(axis=1)


def _crowding_solid(table: Table) -> F64:
    """1 where the nearest other object is within two metres, falling to 0 within some metres more."""
    if len(table) < 2:
        return np.zeros(len(table))
    points = np.concatenate([table.box[:, :2], 1e4 * table.frame[:, None]], axis=1)
    away = np.asarray(_tree(points).query(points, k=2, distance_upper_bound=_CROWD_M)[0])[:, 1]
    return np.asarray(np.exp(-0.5 * np.maximum(away - 2.0, 0.0)))


def _tree(points: F64) -> cKDTree:
    """Built without sorting: what is asked of it once is cheaper than a good tree."""
    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def _crowding_flat(table: Table) -> F64:
    """Share of each box that the box with the nearest middle covers."""
    if len(table) < 2:
        return np.zeros(len(table))
    box = table.box
    points = np.concatenate([0.5 * (box[:, :2] + box[:, 2:]), 1e6 * table.frame[:, None]], axis=1)
    near = np.asarray(_tree(points).query(points, k=2)[1])
    other = np.where(near[:, 0] == np.arange(len(box)), near[:, 1], near[:, 0])
    same = table.frame[other] == table.frame
    sides = np.minimum(box[:, 2:], box[other, 2:]) - np.maximum(box[:, :2], box[other, :2])
    covered = np.prod(np.maximum(sides, 0.0), axis=1) / np.maximum(
        np.prod(box[:, 2:] - box[:, :2], axis=1), 1.0
    )
    return np.where(same, np.clip(covered, 0.0, 1.0), 0.0)
