"""Freezing a data set: which drives, with which labels, in which splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.catalogue import Query, find
from fleetlabel.engine.fleet.root import RELEASES
from fleetlabel.engine.fleet.stores import is_fleet
from fleetlabel.engine.release.comparing import differences
from fleetlabel.engine.release.counting import classes_of, count_drives
from fleetlabel.engine.release.grouping import group_drives
from fleetlabel.engine.release.manifest import Manifest, ReleasedDrive, manifests_of, newest, store_of
from fleetlabel.engine.release.splits import Grouped, Moved, assign
from fleetlabel.model.errors import StoreError, StoreExistsError, UsageError
from fleetlabel.model.names import name_problem
from fleetlabel.store import SequenceStore, durable, labels_hash
from fleetlabel.store.object_path import place_of
from fleetlabel.store.pins import pin_labels, pins_of, unpin

SHARES: Mapping[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
PLACE_M = 50.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a release is to be of.

    Attributes:
        query: which drives; see ``fleetlabel find``.
        labels: label version; None for each drive's newest.
        classes: boxes of these, counted in this order; none: of all that there are.
        min_score: least score of a box.
        shares: of the splits; None for those of the release before, or ``SHARES``.
        seed: of the splits; likewise, or 0.
        place_m: drives that came so close to each other are not parted; 0: places do not matter; None likewise, or
            ``PLACE_M``.
    """

    query: Query = Query()
    labels: str | None = None
    classes: tuple[str, ...] = ()
    min_score: float = 0.0
    shares: Mapping[str, float] | None = None
    seed: int | None = None
    place_m: float | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """A release that was made, or had been made before just like this.

    Attributes:
        manifest: of it.
        path: of the manifest.
        repeated: it was there already.
        left_out: drive -> why it is not in it, of those that were asked for.
        unsaved: drives with edits of people that are in no label version, so not in the release.
        moved: drives that the release before had in another split.
    """

    manifest: Manifest
    path: Path
    repeated: bool
    left_out: Mapping[str, str]
    unsaved: tuple[str, ...]
    moved: Sequence[Moved]


def create(
    root: Path,
    name: str,
    asked: Asked,
    *,
    after: str | None = None,
    anew: bool = False,
    on_drive: Callable[[], None] | None = None,
) -> Created:
    """Freezes a release of a fleet's drives as ``ROOT/releases/NAME.json`` and pins what it uses in their stores.

    Args:
        after: release whose splits are kept; None for the newest.
        anew: no splits are kept.
        on_drive: called after each drive that was read.

    Raises:
        UsageError: the name cannot be used, no drive fits, or it is not clear whose splits are to be kept.
        StoreExistsError: there is a release of this name that is another one.
        StoreError: a store is being written, or damaged.
    """
    root = place_of(root)
    problem = name_problem(name)
    if problem:
        raise UsageError(f"a release cannot be named {name!r}: the name {problem}; choose another name")
    if not is_fleet(root):
        raise UsageError(f"{root} is no folder of stores; a release is made of several drives")
    releases = manifests_of(root)
    existing = releases.pop(name, None)
    before = _before(releases, existing, after, anew)
    place_m = asked.place_m if asked.place_m is not None else before.place_m if before else PLACE_M
    found = find(root, asked.query)
    counted, left_out = count_drives(found, asked.labels, asked.min_score, on_drive or (lambda: None))
    if not counted:
        some = "".join(f"; {drive}: {why}" for drive, why in list(left_out.items())[:3])
        raise UsageError(f"none of the {found.stores} drives in {root} is what was asked for{some}")
    classes, ignored_classes = classes_of(counted.values(), asked.classes, before.classes if before else ())
    # Drives that are not asked for join others as well: a later release may have them.
    members = group_drives(find(root, Query()).found, place_m)
    shares = asked.shares or (before.shares if before else SHARES)
    seed = asked.seed if asked.seed is not None else before.seed if before else 0
    earlier = before.splits if before else {}
    frames = {drive: one.frames for drive, one in counted.items()}
    grouped = [Grouped(member.name, member.group, frames.get(member.name, 0)) for member in members]
    splits, moved = assign(grouped, shares, seed, earlier)
    drives = {
        member.name: ReleasedDrive(
            split=splits[member.name],
            group=member.group,
            place=member.place,
            frames=one.frames,
            labels=one.labels,
            input_sha256=member.input_sha256,
            labels_sha256=one.labels_sha256,
            boxes={kind: {c: counts[c] for c in classes if counts[c]} for kind, counts in one.boxes.items()},
            ignored=one.ignored.total(),
        )
        for member in sorted(members, key=lambda member: member.name)
        if (one := counted.get(member.name)) is not None
    }
    manifest = Manifest(
        name=name,
        after={"name": before.name, "sha256": before.sha256} if before else None,
        asked=_said(asked),
        classes=classes,
        ignored_classes=ignored_classes,
        min_score=asked.min_score,
        seed=seed,
        shares=dict(shares),
        place_m=place_m,
        drives=drives,
        earlier={drive: earlier[drive] for drive in sorted(earlier) if drive not in drives},
    )
    path = root / RELEASES / f"{name}.json"
    if existing is None:
        _freeze(root, manifest, path)
    elif existing.to_bytes() != manifest.to_bytes():
        raise StoreExistsError(
            f"{path} is frozen, and is not what there is now: {'; '.join(differences(existing, manifest)[:5])}; "
            "choose another name"
        )
    unsaved = [one.entry.name for one in found.found if one.entry.review == "in-review"]
    return Created(
        manifest,
        path,
        existing is not None,
        left_out,
        tuple(drive for drive in unsaved if drive in drives),
        moved,
    )


def drop(root: Path, manifest: Manifest) -> None:
    """Takes a release away; what it used is needed by it no more.

    Raises:
        UsageError: another release came after it.
    """
    followers = [
        one.name for one in manifests_of(root).values() if (one.after or {}).get("name") == manifest.name
    ]
    if followers:
        raise UsageError(
            f"{', '.join(followers)} came after {manifest.name} and keeps its splits; drop that first"
        )
    for drive in manifest.drives:
        store = store_of(root, drive)
        if store.exists():
            unpin(store, manifest.name)
    durable.remove_files([root / RELEASES / f"{manifest.name}.json"])


def _before(
    releases: Mapping[str, Manifest], existing: Manifest | None, after: str | None, anew: bool
) -> Manifest | None:
    """The release whose splits are kept: the one that was named, that this one was made after before, or the newest."""
    if anew:
        return None
    if existing is not None and after is None:
        return releases.get(existing.after["name"]) if existing.after else None
    if after is None:
        return newest(releases)
    if after not in releases:
        raise UsageError(
            f"there is no release {after!r} to come after; there are {', '.join(releases) or 'none'}"
        )
    return releases[after]


def _said(asked: Asked) -> dict[str, Any]:
    """What was asked for, without what was left open."""
    query, default = asdict(asked.query), asdict(Query())
    said = {name: value for name, value in query.items() if value != default[name]}
    said |= {} if asked.labels is None else {"labels": asked.labels}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


def _freeze(root: Path, manifest: Manifest, path: Path) -> None:
    """Pins everything, then writes the manifest: whatever a manifest names is pinned."""
    pinned: list[Path] = []
    try:
        for name, drive in manifest.drives.items():
            store = SequenceStore.open(store_of(root, name))
            with store.writer_lock():  # nobody takes runs or labels away meanwhile
                if manifest.name in pins_of(store.root):
                    raise StoreError(
                        f"{store.root} is part of another release {manifest.name!r}, made in another folder; choose "
                        "another name"
                    )
                pin_labels(store.root, manifest.name, drive.labels)
                pinned.append(store.root)
                if labels_hash(store, drive.labels) != drive.labels_sha256:
                    raise StoreError(f"{store.root} was changed while it was read; make the release again")
        durable.make_folder(path.parent)
        durable.write_file(path, manifest.to_bytes())
    except BaseException:
        for root_of_store in pinned:
            unpin(root_of_store, manifest.name)
        raise
