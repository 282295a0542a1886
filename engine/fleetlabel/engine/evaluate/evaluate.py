"""Evaluation of a label version against ground truth."""

from __future__ import annotations

from fleetlabel.engine.evaluate import kitti_rules, visible_rules
from fleetlabel.engine.evaluate.report import Report
from fleetlabel.engine.evaluate.truth import MIN_POINTS
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.sequence import GROUND_TRUTH


def evaluate(
    store: SequenceStore,
    version: str,
    ground_truth: str = GROUND_TRUTH,
    *,
    rules: str = "visible",
    min_points: int = MIN_POINTS,
) -> Report:
    """Measures a label version.

    Args:
        rules: ``visible``: objects that a sensor could see; ``kitti``: KITTI's, as TrackEval and AB3DMOT
            count.
        min_points: lidar points that an object needs to count by the visible rules.

    Raises:
        UsageError: the rules are unknown, or need what the ground truth does not have.
        StoreNotFoundError: there is no such label version.
    """
    store.labels(version)
    store.labels(ground_truth)
    if rules == "kitti":
        sections = kitti_rules.score_store(store, version, ground_truth)
        headline = {
            f"{row.cls} {title} {name}": row.values[name]
            for title, rows in sections.items()
            for row in rows
            for name in ("hota", "mota", "idf1")
        }
        return Report(
            store.info.name, version, ground_truth, rules, kitti_rules.STATEMENT, headline, sections
        )
    if rules == "visible":
        return visible_rules.report(store, version, ground_truth, min_points)
    raise UsageError(f"--rules {rules} is unknown; choose visible or kitti")
