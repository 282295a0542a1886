"""Synthetic drives: a street with traffic and the sensors that see it, with exactly known truth."""

from __future__ import annotations

from fleetlabel.engine.synth.drive import SyntheticDrive, open_drive
from fleetlabel.engine.synth.drive_config import SynthConfig
from fleetlabel.engine.synth.faults import Fault, FaultKind, parse_fault
from fleetlabel.engine.synth.making import stream_drive, write_drive
from fleetlabel.engine.synth.world_config import Daylight, WorldConfig

__all__ = [
    "Daylight",
    "Fault",
    "FaultKind",
    "SynthConfig",
    "SyntheticDrive",
    "WorldConfig",
    "open_drive",
    "parse_fault",
    "stream_drive",
    "write_drive",
]
