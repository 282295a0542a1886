"""What a fleet will take, told before it starts, from a few of its drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fleetlabel.engine.fleet.root import Member
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import buckets
from fleetlabel.store.object_path import ObjectPath

_LOOKED_AT = 5
_PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Before a fleet starts.

    Attributes:
        sequences: that are to be labelled.
        frames, pictures: about how many they have; 0 if that is not known before drives are copied from object storage.
        n_bytes: about how much their drive logs hold, and their stores will: data is kept as it comes.
        detect_s: about how long detection alone takes on these workers; None if it is not measured or not needed.
    """

    sequences: int
    frames: int
    pictures: int
    n_bytes: int
    detect_s: float | None


def estimate(
    members: Sequence[Member], config: RunConfig, settled: SettledDetector | None, slots: int
) -> Estimate:
    """Extrapolates from a few drives, spread over the fleet; those that cannot be read count as the others."""
    frames, pictures, n_bytes = [], [], []
    for member in members[:: max(1, len(members) // _LOOKED_AT)][:_LOOKED_AT]:
        files = _files_of(member)
        if isinstance(member.drive.source, ObjectPath):  # opening it would copy it here
            pictures.append(sum(PurePath(key).suffix.lower() in _PICTURES for key, _ in files))
        else:
            try:
                info = open_sequence(member.drive.source, member.drive.sequence).info
            except (FleetLabelError, OSError):
                continue
            frames.append(info.n_frames)
            pictures.append(info.n_frames * len(info.of_kind(SensorKind.CAMERA)))
        n_bytes.append(sum(size for _, size in files))
    per_picture_ms = _ms_per_picture(config, settled)
    all_pictures = _scaled(pictures, len(members))
    return Estimate(
        sequences=len(members),
        frames=_scaled(frames, len(members)),
        pictures=all_pictures,
        n_bytes=_scaled(n_bytes, len(members)),
        detect_s=None if per_picture_ms is None else all_pictures * per_picture_ms / 1e3 / max(slots, 1),
    )


def _ms_per_picture(config: RunConfig, settled: SettledDetector | None) -> float | None:
    if settled is None or settled.choice.ms_per_input is None:
        return None
    columns, rows = config.detect.tiles
    inputs = 1 if (columns, rows) == (1, 1) else columns * rows + 1
    return settled.choice.ms_per_input * inputs


def _files_of(member: Member) -> list[tuple[str, int]]:
    """Name and size of a drive log's files; of one that holds several sequences, of this one's, if they can be told."""
    source = member.drive.source
    if isinstance(source, ObjectPath):
        files = [(key[len(source.key) :], size) for key, size, _ in buckets.below(source.bucket, source.key)]
    else:
        files = [
            (str(path.relative_to(source)), path.lstat().st_size)
            for path in source.rglob("*")
            if path.is_file()
        ]
    mine = [file for file in files if member.drive.sequence in PurePath(file[0]).parts]
    return mine or files


def _scaled(samples: Sequence[int], count: int) -> int:
    return round(sum(samples) / len(samples) * count) if samples else 0
