"""Cuboids against cuboids: centre-distance AP, recall, precision, errors, and tracking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.projection import project_labels
from fleetlabel.engine.evaluate.truth import MIN_HEIGHT_PX, Truth, our_names, range_from_ego
from fleetlabel.geometry import quaternion, yaw
from fleetlabel.geometry.arrays import F64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes3D
from fleetlabel.store import SequenceStore
from fleetlabel.trackers.metrics import (
    Ignorable,
    Sequence,
    clear,
    counted_rows,
    detection_ap,
    greedy_matches,
    hota,
    identity,
    pairs_by_distance,
    pairs_by_iou_3d,
    pairs_within,
)

MATCH_M = 2.0
PRECISION = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Predicted3D:
    """Cuboids of a label version.

    Attributes:
        boxes: the cuboids.
        name: (P,) of str, our class names.
        range_m: (P,) horizontal distance from the vehicle.
        height_px: (P,) greatest height in any picture of the frame; infinite where no camera can tell.
    """

    boxes: Boxes3D
    name: AnyArray
    range_m: F64
    height_px: F64

    @property
    def tracked(self) -> bool:
        """Whether all have an identity."""
        return bool((self.boxes.track_id >= 0).all())


def load_predicted3d(store: SequenceStore, version: str, truth: Truth) -> Predicted3D:
    """Reads the cuboids of a version at the frames that were labelled; the truth's cameras tell how tall they look."""
    boxes = store.labels3d(version)
    return predicted3d(store, boxes.take(truth.labelled[boxes.frame]), tuple(truth.views))


def predicted3d(store: SequenceStore, boxes: Boxes3D, cameras: tuple[str, ...]) -> Predicted3D:
    """Cuboids with how far and how tall they look."""
    heights = [project_labels(store, boxes, camera).height_px for camera in cameras]
    height = np.max(heights, axis=0) if heights else np.full(len(boxes), np.inf)
    return Predicted3D(boxes, our_names(boxes), range_from_ego(store, boxes), height)


def score_3d(
    truth: Truth, predicted: Predicted3D, cls: str, range_m: tuple[float, float]
) -> dict[str, float]:
    """Scores of one class in a range.

    Truth outside of the range, or that no sensor could see, is ignored with what matches it; unmatched
    predictions outside of the range, or too small in every picture, do not count.
    """
    mine, theirs = np.flatnonzero(truth.name == cls), np.flatnonzero(predicted.name == cls)
    true, said = truth.boxes.take(mine), predicted.boxes.take(theirs)
    ignorable = Ignorable(
        ~truth.visible[mine] | _outside(truth.range_m[mine], range_m),
        (predicted.height_px[theirs] < MIN_HEIGHT_PX) | _outside(predicted.range_m[theirs], range_m),
    )
    score = said.score.astype(np.float64)
    curves = detection_ap(true.frame, true.center_m, said.frame, said.center_m, score, ignorable)
    recall, precision = curves[MATCH_M].at(-np.inf)
    scores: dict[str, float] = {"truth": curves[MATCH_M].n_truth}
    scores |= {f"ap_{limit:g}m": curve.average_precision() for limit, curve in curves.items()}
    scores |= {"recall": recall, "precision": precision}
    scores[f"recall_at_p{PRECISION:g}"] = curves[MATCH_M].best_recall(PRECISION)[0]
    scores |= _errors(true, said, score, ignorable)
    return scores | (_tracking(true, said, ignorable) if predicted.tracked else {})


def upright(boxes: Boxes3D) -> F64:
    """Cuboids (N, 7) x y z length width height yaw; those that lean are taken as upright."""
    return np.concatenate(
        [boxes.center_m, boxes.size_lwh_m, quaternion.yaw_of(boxes.q_wxyz)[:, None]], axis=1
    )


def yaw_error_deg(true_q: F64, said_q: F64) -> F64:
    """Angle (N,) between the axes of cuboids, front and back taken as the same, degrees."""
    turn = yaw.difference(quaternion.yaw_of(said_q), quaternion.yaw_of(true_q))
    return np.degrees(np.abs(yaw.wrap_half(turn)))


def _outside(range_m: F64, limits: tuple[float, float]) -> Bool:
    outside: Bool = (range_m < limits[0]) | (range_m >= limits[1])
    return outside


def _errors(true: Boxes3D, said: Boxes3D, score: F64, ignorable: Ignorable) -> dict[str, float]:
    """Median errors of the predictions that found an object within 2 m."""
    pairs = pairs_within(true.frame, true.center_m[:, :2], said.frame, said.center_m[:, :2], MATCH_M)
    taken = greedy_matches(pairs, score, len(true))
    hit = np.flatnonzero(taken >= 0)
    hit = hit[~ignorable.truth[taken[hit]]]
    if not len(hit):
        return {"center_error_m": np.nan, "yaw_error_deg": np.nan}
    error = np.linalg.norm(true.center_m[taken[hit], :2] - said.center_m[hit, :2], axis=1)
    angle = yaw_error_deg(true.q_wxyz[taken[hit]], said.q_wxyz[hit])
    return {"center_error_m": float(np.median(error)), "yaw_error_deg": float(np.median(angle))}


def _tracking(true: Boxes3D, said: Boxes3D, ignorable: Ignorable) -> dict[str, float]:
    """CLEAR and identity by centre distance (2 m), HOTA by centre distance (0 at 4 m) and by 3D IoU."""
    near = pairs_by_distance(true.frame, true.center_m, said.frame, said.center_m, 2 * MATCH_M)
    who = (
        *(true.frame.astype(np.int64), true.track_id),
        *(said.frame.astype(np.int64), said.track_id),
    )
    by_distance = Sequence(*who, near)
    counted = counted_rows(by_distance, ignorable)
    by_distance = by_distance.keep(*counted)
    overlap = pairs_by_iou_3d(true.frame, upright(true), said.frame, upright(said))
    by_iou = Sequence(*who, overlap).keep(*counted)
    moved = clear(by_distance)
    return {
        "hota": hota(by_distance).scores()["hota"],
        "hota_iou": hota(by_iou).scores()["hota"],
        "mota": moved.mota,
        "idf1": identity(by_distance).idf1,
        "idsw": moved.idsw,
        "frag": moved.frag,
    }
