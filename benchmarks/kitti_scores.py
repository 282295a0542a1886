"""Scores of tracks against a KITTI tracking folder's ground truth, with KITTI's ignore rules.

Similarity is IoU in the picture for 2D results and IoU of cuboids for 3D results. HOTA, MOTA, IDF1 and
identity switches are TrackEval's; sAMOTA is AB3DMOT's. All in percent, counts apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from fleetlabel.geometry.arrays import F64, I32, I64
from fleetlabel.trackers.metrics import (
    KITTI_DISTRACTORS,
    Clear,
    Hota,
    Identity,
    ScoredSequence,
    Sequence,
    amota,
    clear,
    drop_ignored,
    hota,
    identity,
    kitti_ignorable,
    pairs_by_iou_2d,
    pairs_by_iou_3d,
)
from kitti_folder import Folder, cuboids_from_kitti

AMOTA_THRESHOLDS = (0.25, 0.5, 0.7)


class Tracked(Protocol):
    """Tracks of one sequence, sorted by frame."""

    @property
    def frame(self) -> I32: ...
    @property
    def track_id(self) -> I64: ...
    @property
    def xyxy_px(self) -> F64: ...
    @property
    def cuboid(self) -> F64: ...
    @property
    def score(self) -> F64: ...


def score(
    folder: Folder,
    results: Mapping[str, Tracked],
    task: str,
    cls: str,
    *,
    with_amota: bool = True,
    every: int = 1,
) -> dict[str, float]:
    """All scores over all sequences, by the names that the benchmark prints; of every so many frames only."""
    scenes = [
        scored_sequence(folder, sequence, result, task, cls, every) for sequence, result in results.items()
    ]
    seen = [drop_ignored(scene.sequence, scene.ignorable) for scene in scenes]
    higher = Hota.combine([hota(sequence) for sequence in seen]).scores()
    counts = Clear.combine([clear(sequence) for sequence in seen])
    same = Identity.combine([identity(sequence) for sequence in seen])
    out = {name: 100.0 * higher[name] for name in ("hota", "deta", "assa", "loca")}
    out |= {"mota": 100.0 * counts.mota, "idf1": 100.0 * same.idf1, "idsw": counts.idsw, "frag": counts.frag}
    if with_amota:
        out |= {f"samota_{at:g}": 100.0 * amota(scenes, at).samota for at in AMOTA_THRESHOLDS}
    return out


def scored_sequence(
    folder: Folder, sequence: str, result: Tracked, task: str, cls: str, every: int
) -> ScoredSequence:
    """Truth and predictions of one sequence, paired by similarity, truth of every so many frames only."""
    rows = [line.split() for line in folder.label_path(sequence).read_text().splitlines() if line.strip()]
    rows = [row for row in rows if int(row[0]) % every == 0]
    rows.sort(key=lambda row: int(row[0]))
    names = np.array([row[2] for row in rows])
    numbers = np.array([row[:2] + row[3:17] for row in rows], dtype=np.float64)
    truth = numbers[np.isin(names, (cls, *KITTI_DISTRACTORS[cls]))]
    regions = numbers[names == "DontCare"]
    if task == "2d":
        pairs = pairs_by_iou_2d(truth[:, 0], truth[:, 5:9], result.frame, result.xyxy_px)
    else:
        pairs = pairs_by_iou_3d(truth[:, 0], cuboids_from_kitti(truth[:, 9:16]), result.frame, result.cuboid)
    ignorable = kitti_ignorable(
        cls,
        truth_class=names[np.isin(names, (cls, *KITTI_DISTRACTORS[cls]))],
        truncation=truth[:, 2],
        occlusion=truth[:, 3],
        prediction_frame=result.frame,
        prediction_xyxy=result.xyxy_px,
        region_frame=regions[:, 0],
        region_xyxy=regions[:, 5:9],
    )
    whole = Sequence(
        truth[:, 0].astype(np.int64),
        truth[:, 1].astype(np.int64),
        result.frame.astype(np.int64),
        result.track_id,
        pairs,
    )
    return ScoredSequence(whole, ignorable, result.score)
