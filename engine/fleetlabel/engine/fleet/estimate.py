"""What a fleet will take, told before it starts, from a few of its drives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetlabel.engine.fleet.root import Member
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.model.sensors import SensorKind

_LOOKED_AT = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """Before a fleet starts.

    Attributes:
        sequences: that are to be labelled.
        frames, pictures: about how many they have.
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
        try:
            info = open_sequence(member.drive.source, member.drive.sequence).info
        except (FleetLabelError, OSError):
            continue
        frames.append(info.n_frames)
        pictures.append(info.n_frames * len(info.of_kind(SensorKind.CAMERA)))
        n_bytes.append(_bytes_of(member, info.n_frames))
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


def _bytes_of(member: Member, n_frames: int) -> int:
    """Size of a drive log; of one that holds several sequences, the share of this one's files."""
    total = mine = 0
    for path, _, names in os.walk(member.drive.source):
        size = sum(Path(path, name).lstat().st_size for name in names)
        total += size
        if member.drive.sequence in Path(path).parts:
            mine += size
    return mine or total


def _scaled(samples: Sequence[int], count: int) -> int:
    return round(sum(samples) / len(samples) * count) if samples else 0
