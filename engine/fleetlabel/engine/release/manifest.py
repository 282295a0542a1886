"""The manifest of a release: a small JSON file that names, by content, everything that a data set is made of.

The same stores and the same question give the same bytes, so a manifest may lie beside training code in version
control. It names drives by the names of their stores and holds no path; it is sealed by its own hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.root import RELEASES
from fleetlabel.model.errors import CorruptStoreError, StoreNotFoundError, UsageError
from fleetlabel.store.object_path import place_of

_SCHEMA = 1
_SEAL = "sha256"


@dataclass(frozen=True, slots=True)
class ReleasedDrive:
    """A drive in a release.

    Attributes:
        split: that it belongs to.
        group: name of the drive after which the group is called that is never parted.
        place: what its way is known in: the Earth, a map; None if its log does not say where it was.
        frames: of the drive.
        labels: label version.
        input_sha256, labels_sha256: of the store's sensors, poses and calibration, and of that version.
        boxes: ``cuboids`` and ``pictures``: number of boxes by class, as they are in the release.
        ignored: regions to ignore, of either kind.
    """

    split: str
    group: str
    place: str | None
    frames: int
    labels: str
    input_sha256: str
    labels_sha256: str
    boxes: Mapping[str, Mapping[str, int]]
    ignored: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A frozen data set.

    Attributes:
        name: of the release.
        after: name and hash of the release whose splits it keeps to.
        asked: which drives were asked for, in the words of ``fleetlabel find``; only what was said.
        classes: what labels of the release count as, in this order; boxes of others are not in it.
        ignored_classes: further ones that only regions to ignore have.
        min_score: boxes with a lower one are not in it.
        seed, shares, place_m: of the splits; shares by split, in their order.
        drives: by name.
        earlier: split by name of drives of earlier releases that are not in this one.
    """

    name: str
    after: Mapping[str, str] | None
    asked: Mapping[str, Any]
    classes: tuple[str, ...]
    ignored_classes: tuple[str, ...]
    min_score: float
    seed: int
    shares: Mapping[str, float]
    place_m: float
    drives: Mapping[str, ReleasedDrive]
    earlier: Mapping[str, str] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, str]:
        """Split of every drive that this release or one before it has."""
        return {**self.earlier, **{name: drive.split for name, drive in self.drives.items()}}

    def in_split(self, split: str) -> dict[str, ReleasedDrive]:
        """Drives of a split, by name."""
        return {name: drive for name, drive in self.drives.items() if drive.split == split}

    def to_bytes(self) -> bytes:
        """Content of the file."""
        plain = {"fleetlabel_release": _SCHEMA, **asdict(self)}
        return json.dumps(plain | {_SEAL: _seal(plain)}, indent=1).encode() + b"\n"

    @property
    def sha256(self) -> str:
        """What names it by its content."""
        return _seal({"fleetlabel_release": _SCHEMA, **asdict(self)})


def read_manifest(path: Path) -> Manifest:
    """A manifest from its file.

    Raises:
        StoreNotFoundError: there is none.
        UsageError: it is no manifest, or one of a newer FleetLabel.
        CorruptStoreError: it was changed since it was written.
    """
    try:
        document = json.loads(place_of(path).read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise StoreNotFoundError(
            f"{path} is no release; `fleetlabel release create ROOT NAME` makes ROOT/{RELEASES}/NAME.json"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no manifest of a release ({error})") from error
    if not isinstance(document, dict) or document.get("fleetlabel_release") != _SCHEMA:
        raise UsageError(f"{path} is no manifest of a release that this FleetLabel reads (schema {_SCHEMA})")
    seal = document.pop(_SEAL, None)
    if seal != _seal(document):
        raise CorruptStoreError(
            f"{path} was changed since it was written; restore it, or make another release"
        )
    del document["fleetlabel_release"]
    drives = {name: ReleasedDrive(**drive) for name, drive in document.pop("drives").items()}
    document |= {name: tuple(document[name]) for name in ("classes", "ignored_classes")}
    return Manifest(**document, drives=drives)


def store_of(root: Path, drive: str) -> Path:
    """The store of a drive, by its name in a manifest."""
    store = root / f"{drive}.zarr"
    return store if store.exists() else root / drive


def manifests_of(root: Path) -> dict[str, Manifest]:
    """All releases of a fleet, by name."""
    folder = place_of(root) / RELEASES
    files = sorted(folder.iterdir()) if folder.is_dir() else ()
    found = [read_manifest(file) for file in files if file.name.endswith(".json")]
    return {manifest.name: manifest for manifest in found}


def newest(releases: Mapping[str, Manifest]) -> Manifest | None:
    """The release that no other one came after; None if there is no release.

    Raises:
        UsageError: there are several.
    """
    followed = {one.after["name"] for one in releases.values() if one.after is not None}
    heads = [one for name, one in releases.items() if name not in followed]
    if len(heads) > 1:
        names = ", ".join(one.name for one in heads)
        raise UsageError(
            f"nothing came after the releases {names} yet; say whose splits are kept with --after, or draw anew with "
            "--anew"
        )
    return heads[0] if heads else None


def _seal(document: Mapping[str, Any]) -> str:
    # In the order of the file: that of splits and classes says something.
    return hashlib.sha256(json.dumps(document, allow_nan=False).encode()).hexdigest()
