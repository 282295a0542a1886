"""What differs between two releases: drives, splits, label versions, and their boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.certificate import match
from fleetlabel.engine.release.labels import ReleasedLabels
from fleetlabel.engine.release.manifest import Manifest, store_of
from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore

# What lies further apart is not the same object, but one that went and one that came.
_SAME_M = 2.0
_SAME_IOU = 0.3
# What is moved by less is as it was.
_EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A drive whose labels differ between two releases.

    Attributes:
        was, now: label versions.
        boxes: ``cuboids`` and ``pictures`` -> class -> ``added``, ``removed``, ``changed`` -> boxes. Changed are those
            of the same object and frame that have another place, size, heading or class; by the class that they have
            now. Identities do not count: two runs number the same objects differently.
        problem: why they cannot be compared box by box, if so.
    """

    was: str
    now: str
    boxes: Mapping[str, Mapping[str, Mapping[str, int]]]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one release has otherwise than another.

    Attributes:
        added, removed: drives, with their split.
        moved: drive -> split that it was in, and the one that it is in.
        relabelled: drive -> what became of its labels.
        sensors: drives whose sensors, poses or calibration are not what they were.
        settings: what else differs, in words.
    """

    added: Mapping[str, str]
    removed: Mapping[str, str]
    moved: Mapping[str, tuple[str, str]]
    relabelled: Mapping[str, Relabelled]
    sensors: tuple[str, ...]
    settings: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(
            self.added or self.removed or self.moved or self.relabelled or self.sensors or self.settings
        )


def compare(
    was: Manifest,
    now: Manifest,
    roots: tuple[Path, Path],
    on_drive: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compares two releases, and box by box the labels of drives in both whose labels differ.

    Args:
        roots: folders of the stores of either.
        on_drive: called after each drive that was compared box by box.
    """
    both = [name for name in now.drives if name in was.drives]
    filters = (was.classes, was.ignored_classes, was.min_score) != (
        now.classes,
        now.ignored_classes,
        now.min_score,
    )
    relabelled = {}
    for name in both:
        one, two = was.drives[name], now.drives[name]
        if one.labels_sha256 != two.labels_sha256 or filters:
            found = _relabelled(name, (was, now), roots)
            if found.boxes or found.problem or one.labels_sha256 != two.labels_sha256:
                relabelled[name] = found
            on_drive()
    return Comparison(
        {name: drive.split for name, drive in now.drives.items() if name not in was.drives},
        {name: drive.split for name, drive in was.drives.items() if name not in now.drives},
        {
            name: (was.drives[name].split, now.drives[name].split)
            for name in both
            if was.drives[name].split != now.drives[name].split
        },
        relabelled,
        tuple(name for name in both if was.drives[name].input_sha256 != now.drives[name].input_sha256),
        tuple(_settings(was, now)),
    )


def differences(was: Manifest, now: Manifest) -> list[str]:
    """What differs between two manifests, in words, without reading any store."""
    told = [f"{name} is new" for name in now.drives if name not in was.drives]
    told += [f"{name} is gone" for name in was.drives if name not in now.drives]
    for name, two in now.drives.items():
        one = was.drives.get(name)
        if one is None:
            continue
        if one.labels_sha256 != two.labels_sha256:
            told.append(
                f"{name} has labels {two.labels} in the place of {one.labels}"
                if one.labels != two.labels
                else f"labels {one.labels} of {name} have other content"
            )
        if one.input_sha256 != two.input_sha256:
            told.append(f"{name} has other sensor data")
        if one.split != two.split:
            told.append(f"{name} is in {two.split}, was in {one.split}")
        if one.group != two.group:
            told.append(f"{name} is joined with {two.group}, was with {one.group}")
    return [*told, *_settings(was, now)]


def _settings(was: Manifest, now: Manifest) -> list[str]:
    told = []
    for what in ("asked", "classes", "ignored_classes", "min_score", "shares", "seed", "place_m"):
        one, two = getattr(was, what), getattr(now, what)
        if one != two:
            told.append(f"{what.replace('_', ' ')}: {_plain(two)}, was {_plain(one)}")
    return told


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_plain(one)}" for name, one in value.items()) or "nothing"
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, tuple | list) else str(value)


# --- boxes ----------------------------------------------------------------------------------------------------------


def _relabelled(name: str, releases: tuple[Manifest, Manifest], roots: tuple[Path, Path]) -> Relabelled:
    was, now = (release.drives[name].labels for release in releases)
    try:
        labels = [
            ReleasedLabels(SequenceStore.open(store_of(root, name)), version, release, name)
            for root, version, release in zip(roots, (was, now), releases, strict=True)
        ]
        return Relabelled(was, now, _changes(labels[0], labels[1]))
    except (OSError, ValueError) as error:
        return Relabelled(was, now, {}, str(error))


def _changes(was: ReleasedLabels, now: ReleasedLabels) -> dict[str, dict[str, dict[str, int]]]:
    counts: dict[str, dict[str, Counter[str]]] = {}
    cameras = sorted({*was.labelled_cameras, *now.labelled_cameras})

    def read(start: int, stop: int) -> tuple[Boxes, ...]:
        solid = [labels.cuboids(start, stop) for labels in (was, now)]
        flat = [labels.pictures(camera, start, stop) for camera in cameras for labels in (was, now)]
        return (*solid, *flat)

    for found in now.read_blocks(read, 0, min(was.n_frames, now.n_frames)):
        for one, two in zip(found[::2], found[1::2], strict=True):
            kind = counts.setdefault("cuboids" if isinstance(one, Boxes3D) else "pictures", {})
            for what, classes in _compared(one, two).items():
                for class_name, count in classes.items():
                    kind.setdefault(class_name, Counter())[what] += count
    return {
        kind: {name: dict(sorted(changes.items())) for name, changes in sorted(classes.items())}
        for kind, classes in counts.items()
        if classes
    }


def _compared(was: Boxes, now: Boxes) -> dict[str, Counter[str]]:
    """Boxes by class that were added, removed, changed."""
    partner = match(now, was, by_identity=False)
    rows = np.flatnonzero(partner >= 0)
    rows = rows[_same_object(now.take(rows), was.take(partner[rows]))]
    changed = _moved(now.take(rows), was.take(partner[rows]))
    changed |= now.class_labels()[rows] != was.class_labels()[partner[rows]]
    added, removed = np.ones(len(now), dtype=np.bool_), np.ones(len(was), dtype=np.bool_)
    added[rows], removed[partner[rows]] = False, False
    return {
        "added": Counter(now.class_labels()[added].tolist()),
        "removed": Counter(was.class_labels()[removed].tolist()),
        "changed": Counter(now.class_labels()[rows[changed]].tolist()),
    }


def _same_object(a: Boxes, b: Boxes) -> Bool:
    if isinstance(a, Boxes2D) and isinstance(b, Boxes2D):
        return np.asarray(_overlap(a.xyxy_px, b.xyxy_px) >= _SAME_IOU)
    assert isinstance(a, Boxes3D) and isinstance(b, Boxes3D)
    return np.asarray(np.linalg.norm(a.center_m - b.center_m, axis=1) <= _SAME_M)


def _moved(a: Boxes, b: Boxes) -> Bool:
    if isinstance(a, Boxes2D) and isinstance(b, Boxes2D):
        return np.asarray(np.abs(a.xyxy_px - b.xyxy_px).max(axis=1, initial=0.0) > _EXACT)
    assert isinstance(a, Boxes3D) and isinstance(b, Boxes3D)
    return np.asarray(np.abs(a.corners_m() - b.corners_m()).max(axis=(1, 2), initial=0.0) > _EXACT)


def _overlap(a: F64, b: F64) -> F64:
    """Intersection over union (N,) of the boxes of each row of (N, 4)."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    whole = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.asarray(shared / np.maximum(whole, np.finfo(np.float64).tiny))
