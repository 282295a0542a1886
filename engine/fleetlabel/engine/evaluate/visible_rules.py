"""The project's own rules: objects that a sensor could see, by class and distance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fleetlabel.engine.evaluate.boxes2d import UNHIDDEN, load_pictures, score_2d
from fleetlabel.engine.evaluate.boxes3d import load_predicted3d, score_3d
from fleetlabel.engine.evaluate.lift_scores import load_lifted, score_lift
from fleetlabel.engine.evaluate.report import Report, Scores
from fleetlabel.engine.evaluate.truth import MIN_HEIGHT_PX, Truth, load_truth
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.ontology import CLASSES
from fleetlabel.store import SequenceStore

Range = tuple[float, float]
NEAR: Range = (0.0, 40.0)
CLOSE: Range = (0.0, 10.0)
RANGES_M: tuple[Range, ...] = (NEAR, CLOSE, (10.0, 20.0), (20.0, 40.0), (40.0, 80.0))
# What to look at first: class, and for each section which scores at which range.
_HEADLINE_CLASS = "car"
_HEADLINE: tuple[tuple[str, Range, tuple[str, ...]], ...] = (
    ("3D", NEAR, ("ap_2m", "recall_at_p0.75", "hota", "mota", "idf1")),
    ("2D", NEAR, ("recall", "precision", "ap_50", "hota", "mota", "idf1")),
    ("lift", NEAR, ("ap_2m", "within_1m", "within_0.5m", "yaw_median_deg", "yaw_under_8deg")),
    ("lift", CLOSE, ("within_1m",)),
)


def report(store: SequenceStore, version: str, ground_truth: str, min_points: int) -> Report:
    """Scores of a label version over the objects that a sensor could see."""
    truth = load_truth(store, ground_truth, min_points)
    predicted = load_predicted3d(store, version, truth)
    pictures, lifted = load_pictures(store, version, truth), load_lifted(store, version, truth)
    sections: dict[str, tuple[Scores, ...]] = {}
    if store.labels(version).has_boxes3d:
        sections["3D"] = _rows(truth.name[truth.visible], lambda c, span: score_3d(truth, predicted, c, span))
    if pictures is not None:
        sections["2D"] = _rows(pictures.name[pictures.visible], lambda c, span: score_2d(pictures, c, span))
    if lifted is not None:
        found = truth.name[lifted.truth[truth.visible[lifted.truth]]]
        sections["lift"] = _rows(found, lambda c, span: score_lift(truth, lifted, c, span))
    return Report(
        sequence=store.info.name,
        labels=version,
        ground_truth=ground_truth,
        rules="visible",
        statement=_statement(truth),
        headline=_headline(sections),
        sections=sections,
    )


def _rows(names: AnyArray, score: Callable[[str, Range], dict[str, float]]) -> tuple[Scores, ...]:
    """Scores of every class that occurs, ours first, at every range where it occurs."""
    found = set(names.tolist())
    classes = [*(name for name in CLASSES if name in found), *sorted(found - set(CLASSES))]
    rows = (Scores(cls, span, score(cls, span)) for cls in classes for span in RANGES_M)
    return tuple(row for row in rows if next(iter(row.values.values())))


def _headline(sections: Mapping[str, tuple[Scores, ...]]) -> dict[str, float]:
    headline: dict[str, float] = {}
    for section, span, names in _HEADLINE:
        for row in sections.get(section, ()):
            if row.cls == _HEADLINE_CLASS and row.range_m == span:
                place = f"{section} {row.cls} {span[0]:g}-{span[1]:g} m"
                headline |= {f"{place} {name}": row.values.get(name, np.nan) for name in names}
    return headline


def _statement(truth: Truth) -> tuple[str, ...]:
    points = f"at least {truth.min_points} lidar points in its cuboid and " if truth.has_points else ""
    lines = [
        f"Counted are objects with {points}a height of at least {MIN_HEIGHT_PX:g} px in a picture of the frame "
        "(2D: in that very picture); other objects and those outside of the range are ignored, with what matches them.",
        f"Unmatched predictions do not count outside of the range or under {MIN_HEIGHT_PX:g} px in every picture. "
        "Classes are compared by name in FleetLabel's vocabulary; range is horizontal, from the vehicle.",
        "3D: AP by horizontal centre distance as nuScenes; recall, precision, MOTA, IDF1 within 2 m; HOTA by "
        "1 - distance / 4 m, hota_iou by 3D IoU. 2D: IoU 0.5, all cameras together.",
    ]
    if not truth.has_points:
        lines.append("The drive has no lidar points, so the rule on points was not applied.")
    if not truth.labelled.all():
        lines.append(
            f"Counted are the {int(truth.labelled.sum())} frames of {len(truth.labelled)} that were labelled."
        )
    if truth.projected:
        lines.append(
            "2D truth is the box around each cuboid in the picture, the cuboid moved along its track from "
            "when its lidar points were measured to the exposure; "
            f"recall_unhidden is over objects of which other labelled objects hide less than {1 - UNHIDDEN:.0%} "
            "(estimated by rays)."
        )
    return tuple(lines)
