"""Labels at one moment, with their boxes: what the app shows, what a version saves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from fleetlabel.geometry.arrays import I64
from fleetlabel.labels.applying import apply_all
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.edits import SetKeyframe2D, SetKeyframe3D, touched
from fleetlabel.labels.following import cuboid_through_box, object_boxes
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.slips import slips
from fleetlabel.labels.solving import ObjectBoxes, Solver
from fleetlabel.labels.state import LabelState
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store.boxes import B

Cache = dict[int, tuple[LabelObject, ObjectBoxes]]


class Snapshot:
    """Labels at one moment: nothing here changes.

    Attributes:
        base: the version that people began with.
        state: what they said since.
        solver: makes boxes of both.
    """

    def __init__(
        self, base: BaseLabels, state: LabelState, solver: Solver, solved: Cache | None = None
    ) -> None:
        self.base = base
        self.state = state
        self.solver = solver
        self.solved: Cache = {} if solved is None else solved

    def __getitem__(self, object_id: int) -> LabelObject:
        """An object.

        Raises:
            EditError: there is none of that id.
        """
        return self.state[object_id]

    @cached_property
    def object_ids(self) -> I64:
        """Ids of all objects, ascending."""
        gone = np.array([key for key, item in self.state.objects.items() if item is None], dtype=np.int64)
        made = np.array([key for key, item in self.state.objects.items() if item is not None], dtype=np.int64)
        ids: I64 = np.union1d(np.setdiff1d(self.base.track_ids, gone), made)
        return ids

    def class_of(self, object_id: int, frame: int | None = None) -> str:
        """Class of an object, at a frame or where it begins."""
        return self.state.class_of(self[object_id], frame)

    def boxes(self, object_id: int) -> ObjectBoxes:
        """All boxes of an object, solved anew where people touched it."""
        item = self[object_id]
        kept = self.solved.get(object_id)
        if kept is None or kept[0] != item:
            kept = (item, object_boxes(self.base, item, self.solver, self.state.class_of(item)))
            self.solved[object_id] = kept
        return kept[1]

    def slips(self, object_id: int, camera: str = "") -> tuple[int, ...]:
        """Frames of keyframes, of the cuboid or in one camera's pictures, that may be slips of the hand."""
        item = self[object_id]
        return slips(self.base, item, self.solver, self.state.class_of(item), camera)

    def boxes3d(self, start: int = 0, stop: int | None = None, *, once: bool = False) -> Boxes3D:
        """Cuboids of all objects in the frames ``start:stop``.

        Args:
            once: nothing is kept for whoever reads these frames again, which is faster for a long pass over them.
        """
        end = self.base.n_frames if stop is None else stop
        mine = [self.boxes(item.object_id).cuboids for item in self.state if self._reaches(item, start, end)]
        return self._with_changed(self.base.frames3d(start, end, once), mine, start, end)

    def boxes2d(self, camera: str, start: int = 0, stop: int | None = None, *, once: bool = False) -> Boxes2D:
        """2D boxes of all objects in one camera's pictures of the frames ``start:stop``; see :meth:`boxes3d`."""
        end = self.base.n_frames if stop is None else stop
        mine = [self.boxes(item.object_id).pictures for item in self.state if self._reaches(item, start, end)]
        changed = [pictures[camera] for pictures in mine if camera in pictures]
        return self._with_changed(self.base.frames2d(camera, start, end, once), changed, start, end)

    def after(self, edits: Sequence[Edit]) -> Snapshot:
        """What the labels would be after edits, without saving anything: a preview.

        Raises:
            EditError: one of them cannot be done.
        """
        concerned = touched(edits)
        known = {object_id: kept for object_id, kept in self.solved.items() if object_id not in concerned}
        return Snapshot(self.base, apply_all(self.state, edits), self.solver, known)

    def box_edits(
        self,
        object_id: int,
        camera: str,
        frame: int,
        xyxy_px: tuple[float, float, float, float],
        amodal_xyxy_px: tuple[float, float, float, float] | None = None,
    ) -> tuple[SetKeyframe2D, *tuple[SetKeyframe3D, ...]]:
        """Edits that set an object's box in one picture, and move its cuboid along the ray if it has one there.

        Args:
            xyxy_px: of the visible part.
            amodal_xyxy_px: of the whole object within the picture, if that is more: then the cuboid goes by it.

        Raises:
            EditError: the camera does not see the cuboid.
        """
        edit = SetKeyframe2D(
            object_id=object_id, camera=camera, frame=frame, xyxy_px=xyxy_px, amodal_xyxy_px=amodal_xyxy_px
        )
        cuboids = self.boxes(object_id).cuboids
        if frame not in cuboids.frame:
            return (edit,)
        whole = edit.xyxy_px if edit.amodal_xyxy_px is None else edit.amodal_xyxy_px
        return (edit, cuboid_through_box(self.base, cuboids, camera, frame, whole))

    def _reaches(self, item: LabelObject, start: int, stop: int) -> bool:
        """Whether an object can have boxes in the frames ``start:stop``: those that cannot need no solving."""
        ends = [*item.poses, *(frame for _, frame in item.boxes)]
        for segment in item.segments:
            index = self.base.index(segment.camera)
            row = index.find(segment.track_id)
            if row is not None:
                ends.append(max(int(index.first[row]), segment.start))
                ends.append(min(int(index.last[row]), segment.stop - 1))
        return bool(ends) and min(ends) < stop and max(ends) >= start

    def _with_changed(self, whole: B, changed: list[B], start: int, end: int) -> B:
        """Boxes of the base version, with those of touched objects in the place of what they were."""
        ids = np.array(sorted(self.state.objects), dtype=np.int64)
        kept = whole.take(~np.isin(whole.track_id, ids)) if len(ids) else whole
        inside: list[B] = [b.take((b.frame >= start) & (b.frame < end)) for b in changed]
        return type(whole).concatenate([kept] + inside)  # noqa: RUF005 - one type for both
