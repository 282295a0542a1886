"""All formats of drive logs, and which of them a folder or file is."""

from __future__ import annotations

from pathlib import Path

from fleetlabel.engine.ingest.argoverse2 import Argoverse2
from fleetlabel.engine.ingest.fetching import local_copy
from fleetlabel.engine.ingest.kitti_raw import KittiRaw
from fleetlabel.engine.ingest.kitti_tracking import KittiTracking
from fleetlabel.engine.ingest.mcap_log import McapLog
from fleetlabel.engine.ingest.nuscenes import NuScenes
from fleetlabel.engine.ingest.pandaset import PandaSet
from fleetlabel.engine.ingest.rig import RigFolder
from fleetlabel.engine.ingest.source import SequenceSource, SourceFormat
from fleetlabel.engine.ingest.waymo import Waymo
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.store.groups import read_group
from fleetlabel.store.object_path import ObjectPath, place_of

FORMATS: tuple[SourceFormat, ...] = (
    RigFolder(),
    PandaSet(),
    NuScenes(),
    Argoverse2(),
    McapLog(),
    Waymo(),
    KittiRaw(),
    KittiTracking(),
)


def recognise(path: Path) -> SourceFormat:
    """The format of a drive log, found by looking at the folder.

    Raises:
        SourceError: it is none that we know; says what was looked for and what is there.
    """
    path = place_of(path)
    if not path.exists():
        raise SourceError(f"{path} does not exist; give the folder of a drive log")
    candidate = _format_of(path)
    if candidate is not None:
        return candidate
    if not path.is_dir():
        raise SourceError(f"{path} is a file; give the folder of the drive log that it belongs to")
    if "schema" in (read_group(path) or {}):
        raise SourceError(
            f"{path} is a store that FleetLabel made, not a drive log; give the drive, or go on with the store by "
            "`fleetlabel prelabel`, `lift` and `track`"
        )
    raise SourceError(_not_recognised(path))


def is_drive_log(path: Path) -> bool:
    """Whether a folder or file looks like a drive log of one of the formats."""
    return _format_of(path) is not None


def _format_of(path: Path) -> SourceFormat | None:
    if path.is_dir():
        return next((candidate for candidate in FORMATS if candidate.matches(path)), None)
    if isinstance(path, ObjectPath) or not path.is_file():  # objects are copied by folders
        return None
    return next(
        (candidate for candidate in FORMATS if path.suffix and path.suffix == candidate.file_suffix), None
    )


def list_sequences(path: Path) -> tuple[str, ...]:
    """Names of the sequences in a drive log, sorted."""
    return recognise(path).list_sequences(place_of(path))


def open_sequence(path: Path, name: str | None = None) -> SequenceSource:
    """Opens a sequence of a drive log; reads metadata only. What is on object storage is copied here first.

    Args:
        name: which sequence; may be left out if there is only one.

    Raises:
        UsageError: there are several and none was named, or none of that name.
        SourceError: this is no drive log that we know, or its metadata cannot be read.
    """
    path = place_of(path)
    found = recognise(path)
    names = found.list_sequences(path)
    if name is None and len(names) > 1:
        raise UsageError(f"{path} has {len(names)} sequences: {', '.join(names)}; choose one with --sequence")
    if not names:
        raise SourceError(
            f"{path} looks like {found.name} but has no sequence in it; expected {found.looks_for}"
        )
    if name is not None and name not in names:
        raise UsageError(f"{path} has no sequence {name!r}; it has {', '.join(names)}")
    name = names[0] if name is None else name
    if isinstance(path, ObjectPath):
        path = local_copy(path, frozenset(names) - {name})
    return found.open_sequence(path, name)


def _not_recognised(path: Path) -> str:
    entries = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in path.iterdir())
    shown = ", ".join(entries[:12]) + (f" and {len(entries) - 12} more" if len(entries) > 12 else "")
    below = [
        f"{child} looks like {candidate.name}: give that folder"
        for child in sorted(entry for entry in path.iterdir() if entry.is_dir())[:50]
        for candidate in FORMATS
        if candidate.matches(child)
    ]
    looked_for = "; ".join(f"{candidate.name}: {candidate.looks_for}" for candidate in FORMATS)
    found = f"it has {shown}" if entries else "it is empty"
    return ". ".join(
        [f"{path} is no drive log that FleetLabel knows. Looked for {looked_for}. Found: {found}", *below[:1]]
    )
