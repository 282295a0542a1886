"""Label versions' cuboids in a camera's pictures."""

from __future__ import annotations

from fleetlabel.geometry.arrays import I64
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.model.projection import Projected, project_at
from fleetlabel.store import SequenceStore


def project_labels(store: SequenceStore, boxes: Boxes3D, camera: str) -> Projected:
    """Where world cuboids are in the pictures of their frames, each moved along its track to the exposure."""
    exposed_ns = exposure_ns(store, camera)[boxes.frame]
    return project_at(store.info.sensor(camera), store.info.trajectory, boxes, exposed_ns)


def exposure_ns(store: SequenceStore, camera: str) -> I64:
    """(F,) time of every frame's picture; of the frame itself where there is no picture."""
    return store.camera(camera).timestamp_ns
