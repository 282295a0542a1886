"""Why a box is where it is: the detections, keyframes, model, parameters and people behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetlabel.labels.labels import Labels
from fleetlabel.labels.objects import LabelObject, Segment
from fleetlabel.labels.records import Record
from fleetlabel.model.boxes import Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import EditError
from fleetlabel.store.runs import open_run

_NEIGHBOURS = 2  # keyframes on each side that are told


@dataclass(frozen=True, slots=True)
class Reason:
    """Everything behind one box.

    Attributes:
        object_id, frame, camera: which box; camera "" is the cuboid.
        box: what it is (centre, size and heading, or edges), its class, source and score.
        detection: the machine's detection at this frame that it was made from, None if there is none.
        keyframes: frames nearby at which people set it, the nearest first.
        slips: frames of keyframes of the object that all else contradicts: perhaps a slip of the hand.
        tracks: of the base version that the object is made of there.
        solver: what filled in between keyframes; None if the box is the base version's own.
        runs: stage -> identity (model, parameters, algorithm version) of the machine runs behind the base version.
        records: what people did to the object, in order, without what was taken back.
    """

    object_id: int
    frame: int
    camera: str
    box: dict[str, Any]
    detection: dict[str, Any] | None
    keyframes: tuple[int, ...]
    slips: tuple[int, ...]
    tracks: tuple[Segment, ...]
    solver: str | None
    runs: dict[str, Any]
    records: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "object_id": self.object_id,
            "frame": self.frame,
            "camera": self.camera or None,
            "box": self.box,
            "detection": self.detection,
            "keyframes": list(self.keyframes),
            "slips": list(self.slips),
            "tracks": [{"track_id": s.track_id, "start": s.start, "stop": s.stop} for s in self.tracks],
            "solver": self.solver,
            "runs": self.runs,
            "records": [record.to_json() for record in self.records],
        }


def explain(labels: Labels, object_id: int, frame: int, camera: str = "") -> Reason:
    """Why an object's box at a frame is what it is.

    Args:
        camera: of a 2D box; "" for the cuboid.

    Raises:
        EditError: there is no such box; says where the object has some.
    """
    item, boxes = labels.now[object_id], labels.now.boxes(object_id)
    rows = boxes.pictures.get(camera) if camera else boxes.cuboids
    row = np.flatnonzero(rows.frame == frame) if rows is not None else np.zeros(0, dtype=np.int64)
    if rows is None or not len(row):
        frames = [] if rows is None or not len(rows) else [int(rows.frame[0]), int(rows.frame[-1])]
        where = f"from frame {frames[0]} to {frames[1]}" if frames else "at no frame"
        raise EditError(
            f"object {object_id} has no {f'box in {camera}' if camera else 'cuboid'} at frame {frame}; it has "
            f"them {where}"
        )
    one = rows.take(row)
    near = sorted(item.keyframes(camera), key=lambda key: (abs(key - frame), key))[: 2 * _NEIGHBOURS]
    records = [r for r in labels.history.of_object(object_id) if labels.history.is_in_effect(r.sequence)]
    return Reason(
        object_id=object_id,
        frame=frame,
        camera=camera,
        box=_described(one),
        detection=_detection(labels, item, camera, one),
        keyframes=tuple(near),
        slips=labels.now.slips(object_id, camera),
        tracks=tuple(s for s in item.segments if s.camera == camera and s.start <= frame < s.stop),
        solver=labels.solver.version if camera in boxes.solved else None,
        runs=_runs(labels),
        records=tuple(r for r in records if r.undoes is None and r.redoes is None),
    )


def _described(box: Boxes2D | Boxes3D) -> dict[str, Any]:
    common = {
        "class": str(box.class_labels()[0]),
        "source": Source(int(box.source[0])).name.lower(),
        "score": round(float(box.score[0]), 4),
    }
    if isinstance(box, Boxes2D):
        amodal = box.amodal_xyxy_px[0]
        return common | {
            "xyxy_px": box.xyxy_px[0].tolist(),
            "amodal_xyxy_px": amodal.tolist() if np.isfinite(amodal).all() else None,
        }
    pose = {"center_m": box.center_m, "size_lwh_m": box.size_lwh_m, "q_wxyz": box.q_wxyz}
    return common | {name: column[0].tolist() for name, column in pose.items()}


def _detection(
    labels: Labels, item: LabelObject, camera: str, box: Boxes2D | Boxes3D
) -> dict[str, Any] | None:
    if box.detection[0] < 0 or not item.segments:
        return None
    base = labels.now.base
    found = base.detections2d(camera, box) if isinstance(box, Boxes2D) else base.detections3d(box)
    own = base.version.provenance.get("runs", {}).get("detect" if camera else "lift") is not None
    if not own:  # no run made the base version: the box of the base version is all there is
        blocks = [base.boxes_of(s) for s in item.segments if s.camera == camera]
        found = next(
            (b.take(b.frame == box.frame[0]) for b in blocks if (b.frame == box.frame[0]).any()), found
        )
    return {"row": int(box.detection[0]), **_described(found)} if len(found) else None


def _runs(labels: Labels) -> dict[str, Any]:
    provenance = labels.now.base.version.provenance
    runs = provenance.get("runs")
    if not runs:
        return {"labels": dict(provenance)}
    opened = {stage: open_run(labels.store, stage, run_id) for stage, run_id in runs.items()}
    return {stage: {"run": run.run_id, **run.identity} for stage, run in opened.items()}
