"""A drive's labels as a release has them: its classes in its order, no weaker boxes, under the store's name."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from fleetlabel.engine.exchange import Drive, Labels, StoredLabels
from fleetlabel.engine.release.manifest import Manifest
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore

B = TypeVar("B", Boxes2D, Boxes3D)


class ReleasedLabels(Labels):
    """A label version of a store, cut down to what a release says.

    Regions to ignore stay, whatever their class and score: whoever trains must not take for background what may be
    an object.
    """

    def __init__(self, store: SequenceStore, version: str, release: Manifest, drive: str) -> None:
        self._stored, self._name = StoredLabels(store, version), drive
        self.class_names = (*release.classes, *release.ignored_classes)
        self.labelled_cameras = self._stored.labelled_cameras
        self._classes, self._min_score = release.classes, release.min_score

    @cached_property
    def drive(self) -> Drive:  # type: ignore[override]
        """See the base class; sequences of several logs may have one name, stores of a fleet never do."""
        drive = self._stored.drive
        return replace(drive, info=replace(drive.info, name=self._name))

    def pictures(self, camera: str, start: int, stop: int) -> Boxes2D:
        """See the base class."""
        return self._released(self._stored.pictures(camera, start, stop))

    def cuboids(self, start: int, stop: int) -> Boxes3D:
        """See the base class."""
        return self._released(self._stored.cuboids(start, stop))

    def _released(self, boxes: B) -> B:
        wanted = np.array([name in self._classes for name in boxes.class_names], dtype=np.bool_)
        kept = boxes.ignore.copy()
        if len(wanted):
            kept |= wanted[boxes.class_id] & (boxes.score >= np.float32(self._min_score))
        return boxes.take(kept).with_class_names(self.class_names)
