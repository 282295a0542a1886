"""Edits carried over to a better model's run: objects are matched by where they are, what does not fit is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.iou import bev_iou, iou_2d
from fleetlabel.labels.base import BaseLabels, is_evidence
from fleetlabel.labels.objects import FIRST_BORN_ID, Flag, LabelObject, Segment, joined_segments
from fleetlabel.labels.snapshot import Snapshot
from fleetlabel.labels.spans import Spans, runs_of
from fleetlabel.model.boxes import Boxes2D, Boxes3D

_LEAST_OVERLAP = 0.3  # of two boxes that can be of one object
_LEAST_SHARE = 0.5  # of the frames that two tracks share, in which they overlap
_SAME_OVERLAP = 0.8  # of boxes of which one was accepted, and so is the other
_KEYFRAME_OVERLAP = 0.5  # below, the new run contradicts a keyframe


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that people said and the new run contradicts, or has no place for.

    Attributes:
        object_id: as it was.
        new_id: as it is now; None if the object could not be carried over.
        frames: concerned; empty for the whole track.
        problem: in words.
    """

    object_id: int
    new_id: int | None
    frames: tuple[int, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """What becomes of people's objects on another base version.

    Attributes:
        images: objects on the new version; None for its tracks that are not objects of their own.
        new_ids: id as it was -> id as it is.
        misfits: what people should look at.
    """

    images: Mapping[int, LabelObject | None]
    new_ids: Mapping[int, int]
    misfits: tuple[Misfit, ...]


def carry_over(old: Snapshot, new: BaseLabels, first_id: int) -> CarriedOver:
    """People's objects of a snapshot on a new base version.

    An object takes the tracks of the new version that lie where it was, frame by frame, so that splits, merges and
    swapped identities carry over too. It takes the id of the track that it mostly is, if it was a machine's, and keeps
    its own if people made it.

    Args:
        first_id: from which on ids for objects without a track are free.
    """
    shares = {item.object_id: _shares(old, item, new) for item in old.state}
    gone = [
        object_id
        for object_id, item in old.state.objects.items()
        if item is None and object_id < FIRST_BORN_ID
    ]
    shares |= {object_id: _shares_of_deleted(old, object_id, new) for object_id in gone}
    segments = _segments(shares, new.n_frames)
    images: dict[int, LabelObject | None] = {}
    new_ids: dict[int, int] = {}
    misfits: list[Misfit] = []
    taken = {s for mine in segments.values() for s in mine}
    for item in old.state:
        mine = segments.get(item.object_id, ())
        if not mine and not item.poses and not item.boxes:
            misfits.append(
                Misfit(item.object_id, None, (), "the new run has no track there, so its edits are dropped")
            )
            continue
        new_id = _new_id(item, mine, set(images))
        if new_id is None:
            new_id, first_id = first_id, first_id + 1
        if not mine and item.segments:
            misfits.append(
                Misfit(item.object_id, new_id, (), "the new run has no track there: only keyframes are left")
            )
        classes = (
            item.classes if mine or item.classes else Spans(((0, new.n_frames, old.state.class_of(item)),))
        )
        carried = replace(item, object_id=new_id, segments=joined_segments(list(mine)), classes=classes)
        misfits += _contradictions(item, carried, new, shares[item.object_id])
        images[new_id] = _with_what_is_still_accepted(carried, shares[item.object_id])
        new_ids[item.object_id] = new_id
    for track_id in sorted({s.track_id for s in taken} - set(images)):
        images[track_id] = _rest(new, track_id, taken)
    return CarriedOver(images, new_ids, tuple(misfits))


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """Where one object and one track of the new version are the same thing, in one camera ("" cuboids).

    ``overlap`` is with the object as it was shown, ``closest`` with that or with the machine's boxes behind it: a slip
    of the hand must not make an object unrecognizable.
    """

    camera: str
    track_id: int
    frames: I64
    overlap: F64
    closest: F64


AnyBoxes = Boxes2D | Boxes3D


def _shares(old: Snapshot, item: LabelObject, new: BaseLabels) -> list[_Share]:
    boxes = old.boxes(item.object_id)
    shown: dict[str, AnyBoxes] = {"": boxes.cuboids, **boxes.pictures}
    return _shares_of(shown, _machine_boxes(old.base, item.segments), new)


def _shares_of_deleted(old: Snapshot, object_id: int, new: BaseLabels) -> list[_Share]:
    whole = old.state.pristine(object_id)
    boxes = _machine_boxes(old.base, whole.segments if whole else ())
    return _shares_of(boxes, boxes, new)


def _machine_boxes(base: BaseLabels, segments: tuple[Segment, ...]) -> dict[str, AnyBoxes]:
    blocks: dict[str, list[AnyBoxes]] = {}
    for segment in segments:
        blocks.setdefault(segment.camera, []).append(base.boxes_of(segment))
    return {camera: type(mine[0]).concatenate(mine) for camera, mine in blocks.items()}  # type: ignore[arg-type]


def _shares_of(
    shown: Mapping[str, AnyBoxes], machine: Mapping[str, AnyBoxes], new: BaseLabels
) -> list[_Share]:
    found: list[_Share] = []
    for camera in sorted({*shown, *machine}):
        mine = [boxes[camera] for boxes in (shown, machine) if camera in boxes and len(boxes[camera])]
        if not mine:
            continue
        start, stop = min(int(b.frame[0]) for b in mine), max(int(b.frame[-1]) for b in mine) + 1
        if camera:
            theirs: AnyBoxes = new.store.labels2d(new.name, camera, start, stop)
        else:
            theirs = new.store.labels3d(new.name, start, stop)
        theirs = theirs.take(theirs.track_id >= 0)
        overlap = _overlap(shown[camera], theirs) if camera in shown else np.zeros(len(theirs))
        closest = np.maximum(overlap, _overlap(machine[camera], theirs)) if camera in machine else overlap
        shared = np.isin(theirs.frame, np.concatenate([boxes.frame for boxes in mine]))
        for track_id in np.unique(theirs.track_id[closest >= _LEAST_OVERLAP]).tolist():
            rows = np.flatnonzero((theirs.track_id == track_id) & shared)
            hits = rows[closest[rows] >= _LEAST_OVERLAP]
            if len(hits) >= _LEAST_SHARE * len(rows):
                frames = theirs.frame[hits].astype(np.int64)
                found.append(_Share(camera, track_id, frames, overlap[hits], closest[hits]))
    return found


def _overlap(mine: AnyBoxes, theirs: AnyBoxes) -> F64:
    """(M,) overlap of each of their boxes with my box of its frame, 0 where I have none."""
    overlap = np.zeros(len(theirs))
    bounds = np.searchsorted(theirs.frame, np.stack([mine.frame, mine.frame + 1]))
    for row, (low, high) in enumerate(bounds.T.tolist()):
        if low == high:
            continue
        if isinstance(mine, Boxes2D) and isinstance(theirs, Boxes2D):
            overlap[low:high] = iou_2d(mine.xyxy_px[[row]], theirs.xyxy_px[low:high])[0]
        elif isinstance(mine, Boxes3D) and isinstance(theirs, Boxes3D):
            overlap[low:high] = bev_iou(_upright(mine)[[row]], _upright(theirs)[low:high])[0]
    return overlap


def _upright(boxes: Boxes3D) -> F64:
    return np.concatenate(
        [boxes.center_m, boxes.size_lwh_m, quaternion.yaw_of(boxes.q_wxyz)[:, None]], axis=1
    )


def _segments(shares: Mapping[int, list[_Share]], n_frames: int) -> dict[int, tuple[Segment, ...]]:
    """Pieces of new tracks by object: a track that is several objects one after the other is cut where it changes."""
    by_track: dict[tuple[str, int], dict[int, tuple[float, int]]] = {}
    for object_id, mine in shares.items():
        for share in mine:
            best = by_track.setdefault((share.camera, share.track_id), {})
            for frame, overlap in zip(share.frames.tolist(), share.closest.tolist(), strict=True):
                best[frame] = max(best.get(frame, (0.0, 0)), (overlap, object_id))
    segments: dict[int, list[Segment]] = {}
    for (camera, track_id), best in by_track.items():
        start, owner = 0, best[min(best)][1]
        for frame in sorted(best):
            if best[frame][1] != owner:
                segments.setdefault(owner, []).append(Segment(camera, track_id, start, frame))
                start, owner = frame, best[frame][1]
        segments.setdefault(owner, []).append(Segment(camera, track_id, start, n_frames))
    return {object_id: joined_segments(mine) for object_id, mine in segments.items()}


def _new_id(item: LabelObject, mine: tuple[Segment, ...], taken: set[int]) -> int | None:
    """Id on the new version; None if it needs a new one."""
    if item.object_id >= FIRST_BORN_ID:
        return item.object_id
    tracks = [segment.track_id for segment in mine if segment.track_id not in taken]
    return max(set(tracks), key=lambda track: (tracks.count(track), -track)) if tracks else None


def _rest(new: BaseLabels, track_id: int, taken: set[Segment]) -> LabelObject | None:
    """What is left of a track of which other objects took pieces."""
    left: list[Segment] = []
    for camera in new.cameras_of(track_id):
        position = 0
        mine = sorted(s for s in taken if (s.camera, s.track_id) == (camera, track_id))
        for segment in mine:
            left.append(Segment(camera, track_id, position, segment.start))
            position = segment.stop
        left.append(Segment(camera, track_id, position, new.n_frames))
    rest = LabelObject(track_id, joined_segments(left))
    return rest if any(len(new.boxes_of(segment)) for segment in rest.segments) else None


def _contradictions(
    item: LabelObject, carried: LabelObject, new: BaseLabels, shares: list[_Share]
) -> list[Misfit]:
    """Keyframes that the new run's boxes are far from, and frames where it sees what people said is absent."""
    misfits = []
    for camera in carried.cameras:
        overlap = {
            frame: value
            for share in shares
            if share.camera == camera
            for frame, value in zip(share.frames.tolist(), share.overlap.tolist(), strict=True)
        }
        seen: set[int] = set()
        for segment in carried.segments:
            if segment.camera == camera:
                boxes = new.boxes_of(segment)
                seen.update(boxes.frame[is_evidence(boxes)].tolist())
        where = f"in {camera}" if camera else "of the cuboid"
        off = [f for f in carried.keyframes(camera) if f in seen and overlap.get(f, 0.0) < _KEYFRAME_OVERLAP]
        if off:
            problem = f"the new run disagrees with keyframes {where}; they are kept"
            misfits.append(Misfit(item.object_id, carried.object_id, tuple(off), problem))
        absent = carried.flag(Flag.ABSENT, camera)
        contradicted = sorted(frame for frame in seen if absent.at(frame) is not None)
        if contradicted:
            problem = f"the new run sees it {where} where it was said to be absent; it stays absent"
            misfits.append(Misfit(item.object_id, carried.object_id, tuple(contradicted), problem))
    return misfits


def _with_what_is_still_accepted(carried: LabelObject, shares: list[_Share]) -> LabelObject:
    """Acceptance stands where the new run's boxes are the accepted ones in all but details."""
    changed = [share.frames[share.overlap < _SAME_OVERLAP] for share in shares]
    same = [share.frames[share.overlap >= _SAME_OVERLAP] for share in shares]
    still = np.setdiff1d(np.concatenate(same), np.concatenate(changed)) if shares else np.zeros(0, np.int64)
    accepted = carried.accepted
    kept = accepted.clip(0, 0)
    for start, stop in runs_of(still):
        for a, b, value in accepted.clip(start, stop):
            kept = kept.assign(a, b, value)
    return replace(carried, accepted=kept)
