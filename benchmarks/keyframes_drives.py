"""Drives with ground truth, labelled by the pipeline: what the simulated annotator of ``keyframes.py`` works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetlabel.engine.ingest import list_sequences
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.iou import iou_2d, iou_3d
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.ontology import canonical
from fleetlabel.store import SequenceStore
from fleetlabel.store.sequence import GROUND_TRUTH

SHORTEST_FRAMES = 10
SAME_IOU = {"2d": 0.5, "3d": 0.25}  # of a machine's box and the truth that it shows
_ROWS = 8  # that are compared at once: overlaps off the diagonal are computed in vain


@dataclass(frozen=True, slots=True, eq=False)
class TruthTrack:
    """One object's ground truth.

    Attributes:
        class_name: as FleetLabel calls it.
        camera: whose pictures the boxes are in; "" for cuboids.
        frame: (N,) int64 ascending.
        box: (N, 4) xyxy_px, or (N, 7) x y z length width height yaw in the world.
        label_id: of the machine's object that shows it most; None if there is none.
        parts: ids of the other objects of the machine that show it somewhere, most frames first.
    """

    class_name: str
    camera: str
    frame: I64
    box: F64
    label_id: int | None
    parts: tuple[int, ...]

    @property
    def task(self) -> str:
        """``2d`` or ``3d``."""
        return "2d" if self.camera else "3d"

    def overlaps(self, frame: I64, box: F64) -> F64:
        """(N,) overlap of boxes (M, 4 or 7), at most one per frame (M,) ascending, with the truth at its frames."""
        out = np.zeros(len(self.frame))
        there = np.flatnonzero(np.isin(self.frame, frame))
        mine = np.searchsorted(frame, self.frame[there])
        out[there] = paired_iou(box[mine], self.box[there])
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """A labelled drive: its store, the machine's label version in it, and the truth."""

    store: SequenceStore
    labels: str
    truth: tuple[TruthTrack, ...]


def drives(
    data: Path, work: Path, task: str, cls: str, sequences: Sequence[str] | None = None
) -> Iterator[Drive]:
    """Every drive of a folder, labelled once: stores in ``work`` are used again.

    Args:
        data: laid out like KITTI tracking with others' detections in ``det2d_rrc`` and ``det3d_pointrcnn``, or drives
            with pictures and sweeps, such as synthetic ones, that the bundled detector labels.
        task: ``2d`` or ``3d``.
        cls: as the ground truth calls it.
        sequences: names of those to take; all by default.
    """
    flat, solid = data / "det2d_rrc", data / "det3d_pointrcnn"
    others = {"detections2d": flat, "detections3d": solid} if flat.exists() else {"model": "synthetic"}
    folders = [data] if flat.exists() else sorted(path.parent for path in data.glob("**/rig.yaml")) or [data]
    for folder in folders:
        for sequence in list_sequences(folder):
            if sequences and sequence not in sequences:
                continue
            settings = {"out": work / f"{folder.name}-{sequence}.zarr", "existing": Existing.RESUME}
            config = RunConfig.model_validate({**settings, **others, "sequence": sequence, "workers": 1})
            outcome = pipeline.run(folder, config)
            assert outcome.labels is not None
            yield _drive(SequenceStore.open(outcome.store), outcome.labels, task, cls)


def upright(boxes: Boxes3D) -> F64:
    """(N, 7) x y z length width height yaw."""
    heading = quaternion.yaw_of(boxes.q_wxyz)[:, None]
    return np.concatenate([boxes.center_m, boxes.size_lwh_m, heading], axis=1)


def paired_iou(a: F64, b: F64) -> F64:
    """(N,) overlaps of rows of boxes (N, 4) in pictures or (N, 7) upright cuboids."""
    if not len(a):
        return np.zeros(0)
    overlap = iou_2d if a.shape[1] == 4 else iou_3d
    blocks = [np.diag(overlap(a[i : i + _ROWS], b[i : i + _ROWS])) for i in range(0, len(a), _ROWS)]
    return np.concatenate(blocks)


def _drive(store: SequenceStore, labels: str, task: str, cls: str) -> Drive:
    version, true = store.labels(labels), store.labels(GROUND_TRUTH)
    truth: list[TruthTrack] = []
    for camera in true.cameras if task == "2d" else ("",):
        found, wanted = (
            (store.labels2d(name, camera) if camera else store.labels3d(name))
            for name in (labels, GROUND_TRUTH)
        )
        names = [name.lower() for name in wanted.class_names]
        if cls.lower() not in names:
            continue
        mine = (wanted.class_id == names.index(cls.lower())) & (wanted.track_id >= 0) & ~wanted.ignore
        truth += _tracks(camera, canonical(cls) or cls, found, wanted.take(mine), task)
    return Drive(store, version.name, tuple(truth))


def _tracks(
    camera: str, class_name: str, found: Boxes2D | Boxes3D, wanted: Boxes2D | Boxes3D, task: str
) -> list[TruthTrack]:
    """Truth with the machine's objects that show it: an object is the first choice of one truth at most."""
    machine, true = _boxes(found), _boxes(wanted)
    votes: Counter[tuple[int, int]] = Counter()
    overlap = iou_2d if camera else iou_3d
    for frame in np.unique(wanted.frame).tolist():
        a, b = (slice(*np.searchsorted(boxes.frame, (frame, frame + 1))) for boxes in (found, wanted))
        for i, j in np.argwhere(overlap(machine[a], true[b]) >= SAME_IOU[task]).tolist():
            votes[int(found.track_id[a][i]), int(wanted.track_id[b][j])] += 1
    ranked = sorted(votes, key=lambda pair: (-votes[pair], pair))
    first: dict[int, int] = {}
    for label_id, truth_id in ranked:
        if truth_id not in first and label_id not in first.values():
            first[truth_id] = label_id
    out = []
    for truth_id in np.unique(wanted.track_id).tolist():
        rows = np.flatnonzero(wanted.track_id == truth_id)
        if len(rows) >= SHORTEST_FRAMES:
            best = first.get(truth_id)
            parts = tuple(i for i, j in ranked if j == truth_id and i != best and i not in first.values())
            frame = wanted.frame[rows].astype(np.int64)
            out.append(TruthTrack(class_name, camera, frame, true[rows], best, parts))
    return out


def _boxes(boxes: Boxes2D | Boxes3D) -> F64:
    return upright(boxes) if isinstance(boxes, Boxes3D) else boxes.xyxy_px
