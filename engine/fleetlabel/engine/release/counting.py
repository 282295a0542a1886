"""What each drive brings into a release: labels, their hash, and boxes by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.exchange import StoredLabels
from fleetlabel.engine.fleet.catalogue import Answer
from fleetlabel.geometry.arrays import Bool
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.model.ontology import CLASSES
from fleetlabel.store import SequenceStore, labels_hash


@dataclass(frozen=True, slots=True)
class Counted:
    """What a drive has for a release.

    Attributes:
        frames: of the drive.
        labels, labels_sha256: label version, and its content.
        boxes: ``cuboids`` and ``pictures``: number of boxes by class, regions to ignore apart.
        ignored: regions to ignore by class.
    """

    frames: int
    labels: str
    labels_sha256: str
    boxes: Mapping[str, Counter[str]]
    ignored: Counter[str]


def count_drives(
    answer: Answer, labels: str | None, min_score: float, on_drive: Callable[[], None]
) -> tuple[dict[str, Counted], dict[str, str]]:
    """What each drive that was found has, and why some have nothing, by name.

    Args:
        labels: label version; None for each drive's newest.
        on_drive: called after each drive.
    """
    counted = {}
    left_out = {name: f"cannot be read: {problem}" for name, problem in answer.unreadable.items()}
    left_out |= dict.fromkeys(answer.placeless, "does not say where on Earth it was")
    left_out = {name.removesuffix(".zarr"): why for name, why in left_out.items()}
    for found in answer.found:
        store = SequenceStore.open(found.store)
        try:
            version = store.latest_labels() if labels is None else store.labels(labels)
        except StoreNotFoundError:
            left_out[found.entry.name] = "has no labels" if labels is None else f"has no labels {labels}"
        else:
            counted[found.entry.name] = _count(store, version.name, min_score)
        on_drive()
    return counted, left_out


def classes_of(
    drives: Iterable[Counted], asked: tuple[str, ...], before: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes of a release in their order, and further ones that only regions to ignore have.

    Args:
        asked: what they are to be; none: all that there are.
        before: of the release before, whose numbers stay.
    """
    found, ignored = Counter[str](), Counter[str]()
    for drive in drives:
        for counts in drive.boxes.values():
            found.update(counts)
        ignored.update(drive.ignored)
    classes = tuple(dict.fromkeys(asked or (*before, *_in_order(found))))
    return classes, tuple(name for name in _in_order(ignored) if name not in classes)


def _count(store: SequenceStore, version: str, min_score: float) -> Counted:
    boxes: dict[str, Counter[str]] = {"cuboids": Counter(), "pictures": Counter()}
    ignored = Counter[str]()
    for _, cuboids, pictures in StoredLabels(store, version).blocks():
        some: list[tuple[str, Boxes]] = [("cuboids", cuboids), *(("pictures", p) for p in pictures.values())]
        for kind, block in some:
            ignored.update(_by_class(block, block.ignore))
            boxes[kind].update(_by_class(block, ~block.ignore & (block.score >= np.float32(min_score))))
    return Counted(store.info.n_frames, version, labels_hash(store, version), boxes, ignored)


def _by_class(boxes: Boxes, rows: Bool) -> dict[str, int]:
    counts = np.bincount(boxes.class_id[rows], minlength=len(boxes.class_names)).tolist()
    return {name: count for name, count in zip(boxes.class_names, counts, strict=True) if count}


def _in_order(names: Iterable[str]) -> list[str]:
    """Our classes as the ontology has them, then others by name."""
    return sorted(names, key=lambda name: (CLASSES.index(name) if name in CLASSES else len(CLASSES), name))
