"""One identity per object: what is in pictures takes the id of the cuboid track that its detections went into."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fleetlabel.geometry.arrays import I64, AnyArray
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import Table
from fleetlabel.trackers.metrics import pairs_by_iou_2d

_SAME_OBJECT_IOU = 0.5


def link_tracks(boxes2d: Mapping[str, Boxes2D], boxes3d: Boxes3D, lifted: Table) -> dict[str, Boxes2D]:
    """The 2D boxes with ids shared with the cuboids; 2D tracks without a cuboid get ids above all of those.

    Each frame in which a cuboid track was made from a detection that a 2D track owns is a vote for the pair. Pairs
    are taken by votes; a cuboid track never gets two boxes in one picture.

    Args:
        boxes2d: by camera; ``detection`` counts the detections of the box's frame in its camera.
        boxes3d: ``detection`` counts the rows of the box's frame in ``lifted``.
        lifted: table of the lift stage; its ``detection_by_camera`` says what each row was made from.
    """
    next_id = int(boxes3d.track_id.max(initial=0)) + 1
    linked = {}
    for camera, boxes in boxes2d.items():
        votes = _votes(boxes, boxes3d, camera, lifted)
        new_id = _assign(boxes, votes)
        tracks = np.unique(boxes.track_id)
        free = tracks[[track not in new_id for track in tracks.tolist()]]
        first = np.array(
            [int(boxes.frame[np.argmax(boxes.track_id == track)]) for track in free], dtype=np.int64
        )
        for track in free[np.lexsort((free, first))].tolist():
            new_id[track] = next_id
            next_id += 1
        renamed = np.array([new_id[track] for track in tracks.tolist()], dtype=np.int64)
        linked[camera] = (
            boxes.replace(track_id=renamed[np.searchsorted(tracks, boxes.track_id)]) if len(boxes) else boxes
        )
    return linked


def add_lost(
    linked: Mapping[str, Boxes2D], found: Mapping[str, Boxes2D], boxes3d: Boxes3D, lifted: Table
) -> dict[str, Boxes2D]:
    """The 2D boxes with those detections that only the cuboid tracks kept.

    What passes a side camera crosses half of the picture between two frames, too far for a tracker that sees nothing
    but the picture; in the world it moves as anything else does. A detection that went into a cuboid track, whose
    object has no box in that picture yet, is that object's box, unless a box of another track lies in its place.

    Args:
        linked: by camera, as :func:`link_tracks` returns them.
        found: by camera, what the detector found, by frame.
        boxes3d: ``detection`` counts the rows of the box's frame in ``lifted``.
        lifted: table of the lift stage; its ``detection_by_camera`` says what each row was made from.
    """
    complete = {}
    for camera, boxes in linked.items():
        frame, member, track3d = _members(boxes3d, camera, lifted)
        owned = boxes.detection >= 0
        lost = ~np.isin(_key(frame, member), _key(boxes.frame[owned], boxes.detection[owned]))
        lost &= ~np.isin(_key(frame, track3d), _key(boxes.frame, boxes.track_id))
        frame, member, track3d = frame[lost], member[lost], track3d[lost]
        extra = found[camera].take(np.searchsorted(found[camera].frame, frame) + member)
        extra = extra.replace(track_id=track3d, detection=member.astype(np.int32))
        pairs = pairs_by_iou_2d(extra.frame, extra.xyxy_px, boxes.frame, boxes.xyxy_px)
        doubled = pairs.truth[pairs.similarity >= _SAME_OBJECT_IOU]
        complete[camera] = Boxes2D.concatenate([boxes, extra.take(~np.isin(np.arange(len(extra)), doubled))])
    return complete


def _members(boxes3d: Boxes3D, camera: str, lifted: Table) -> tuple[I64, I64, I64]:
    """Frame, detection in that frame of the camera, and cuboid track, of detections that went into cuboid tracks."""
    cameras = lifted.attributes.get("cameras", [])
    matched = np.flatnonzero(boxes3d.detection >= 0)
    if camera not in cameras or not len(matched):
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    part = lifted.read(columns=("detection_by_camera",))
    frame = boxes3d.frame[matched].astype(np.int64)
    lift_row = part.offsets[frame] + boxes3d.detection[matched]
    member = part.flat["detection_by_camera"][lift_row, cameras.index(camera)].astype(np.int64)
    seen = member >= 0
    return frame[seen], member[seen], boxes3d.track_id[matched][seen].astype(np.int64)


def _votes(boxes: Boxes2D, boxes3d: Boxes3D, camera: str, lifted: Table) -> I64:
    """(V, 3) rows: votes, 2D track, 3D track; most votes first."""
    frame, member, track3d = _members(boxes3d, camera, lifted)
    owned = np.flatnonzero(boxes.detection >= 0)
    if not len(frame) or not len(owned):
        return np.empty((0, 3), dtype=np.int64)
    wanted = _key(frame, member)
    keys = _key(boxes.frame[owned], boxes.detection[owned])
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    hit = keys[order][place] == wanted
    if not hit.any():
        return np.empty((0, 3), dtype=np.int64)
    pairs = np.stack([boxes.track_id[owned][order][place[hit]], track3d[hit]], axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    ranked = np.lexsort((unique[:, 1], unique[:, 0], -count))
    return np.concatenate([count[ranked, None], unique[ranked]], axis=1).astype(np.int64)


def _assign(boxes: Boxes2D, votes: I64) -> dict[int, int]:
    """2D track -> 3D track, by descending votes, each 3D track at most once in a frame."""
    assigned: dict[int, int] = {}
    frames: dict[int, set[int]] = {}
    for _, track2d, track3d in votes.tolist():
        if track2d in assigned:
            continue
        mine = set(boxes.frame[boxes.track_id == track2d].tolist())
        taken = frames.setdefault(track3d, set())
        if not taken & mine:
            assigned[track2d] = track3d
            taken |= mine
    return assigned


def _key(frame: AnyArray, row: AnyArray) -> I64:
    return frame.astype(np.int64) << 32 | row.astype(np.int64)
