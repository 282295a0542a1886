"""One cuboid per object: joins what several cameras, or several boxes of one camera, saw of it, and scores it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.lift import columns
from fleetlabel.engine.lift.assignment import as_boxes
from fleetlabel.engine.lift.frustum import Frusta
from fleetlabel.engine.lift.priors import PERSON, PriorTable
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import BEV, overlap_pair

SAME_OBJECT_IOU = 0.25
SAME_PERSON_M = 0.6
# What speaks against a fit of quality one half, and how fast quality falls around it.
MIDDLING = 40.0
SPREAD = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Objects of one frame, best score first.

    Attributes:
        row: (N,) detection (row of the frusta) whose cuboid stands for the object.
        class_id: (N,) by vote of all its detections.
        score, quality: (N,).
        member_ptr, member: all detections of each object, compressed rows.
    """

    row: I64
    class_id: I64
    score: F64
    quality: F64
    member_ptr: I64
    member: I64


def merge(fitted: F64, against: F64, frusta: Frusta, table: PriorTable, min_points: int) -> Merged:
    """Objects of the fitted rows (D, N_COLUMNS); ``against`` (D,) is what speaks against each fit."""
    quality = fit_quality(fitted, against)
    value = frusta.score * quality
    valid = (fitted[:, columns.POINTS] >= min_points) & np.isfinite(against)
    order = np.argsort(-value, kind="stable")
    order = order[valid[order]]
    owner = _objects(as_boxes(fitted), table.group[table.row[frusta.class_id]], order)
    first = order[_first_of_each(owner[order])]
    score, class_id = _fuse(
        value, frusta.score, frusta.view, frusta.class_id, order, owner, len(first), len(table.row)
    )
    best = np.argsort(-score, kind="stable")
    place = np.empty(len(best), dtype=np.int64)
    place[best] = np.arange(len(best))
    member = order[np.argsort(place[owner[order]], kind="stable")]
    counts = np.bincount(place[owner[order]], minlength=len(best))
    return Merged(
        row=first[best],
        class_id=class_id[best],
        score=score[best],
        quality=quality[first[best]],
        member_ptr=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.int64),
        member=member,
    )


def fit_quality(fitted: F64, against: F64) -> F64:
    """How well cuboids explain points and pictures, (D,) in [0, 1]: a falling function of what speaks against them.

    A few points prove little, so few points lower it as well.
    """
    support = fitted[:, columns.POINTS] / (fitted[:, columns.POINTS] + 4.0)
    return np.where(np.isfinite(against), support / (1.0 + np.exp((against - MIDDLING) / SPREAD)), 0.0)


def _first_of_each(labels: I64) -> I64:
    """Positions where labels 0, 1, 2, ... first appear; they appear in that order."""
    return np.unique(labels, return_index=True)[1]


@kernel
def _objects(boxes: F64, group: I64, order: I64) -> I64:
    """Object (D,) that each detection belongs to, -1 for those not in ``order``; numbered by their best detection."""
    owner = np.full(len(boxes), -1, dtype=np.int64)
    leads = np.empty(len(order), dtype=np.int64)
    n = 0
    scratch = np.empty((4, 16, 2))
    for position in range(len(order)):
        a = order[position]
        for k in range(n):
            b = leads[k]
            if group[a] != group[b]:
                continue
            if group[a] == PERSON:
                same = (boxes[a, 0] - boxes[b, 0]) ** 2 + (boxes[a, 1] - boxes[b, 1]) ** 2 < SAME_PERSON_M**2
            else:
                same = overlap_pair(boxes[a], boxes[b], BEV, scratch) > SAME_OBJECT_IOU
            if same:
                owner[a] = k
                break
        if owner[a] < 0:
            owner[a] = n
            leads[n] = a
            n += 1
    return owner


@kernel
def _fuse(
    value: F64,
    detector: F64,
    view: I64,
    class_id: I64,
    order: I64,
    owner: I64,
    n_objects: int,
    n_classes: int,
) -> tuple[F64, I64]:
    """Score and class of each object: pictures are independent witnesses, boxes of one picture are not."""
    score, best_class = np.empty(n_objects), np.empty(n_objects, dtype=np.int64)
    n_views = 0
    for d in order:
        n_views = max(n_views, view[d] + 1)
    for k in range(n_objects):
        seen = np.zeros(n_views)
        votes = np.zeros(n_classes)
        for d in order:
            if owner[d] == k:
                seen[view[d]] = max(seen[view[d]], value[d])
                votes[class_id[d]] += detector[d]
        missed = 1.0
        for v in range(n_views):
            missed *= 1.0 - seen[v]
        score[k] = 1.0 - missed
        best_class[k] = np.argmax(votes)
    return score, best_class
