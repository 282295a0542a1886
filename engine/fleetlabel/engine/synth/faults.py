"""Known faults: what may be broken in a drive on purpose, to test whatever claims to notice it.

The stored description (times, calibration, poses) stays what the vehicle believes; the data is made with the fault.
``info.source["injected"]`` says what was done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from fleetlabel.engine.synth.rig import rotation_of
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.model.errors import UsageError
from fleetlabel.model.sensors import Sensor, SensorKind


class FaultKind(StrEnum):
    """What can be broken."""

    CAMERA_OFFSET = "camera-offset"
    EXTRINSIC = "extrinsic"
    LOST_SWEEPS = "lost-sweeps"
    DROPPED_FRAMES = "dropped-frames"
    FROZEN = "frozen"
    POSE_JUMP = "pose-jump"
    POSE_DRIFT = "pose-drift"


@dataclass(frozen=True, slots=True)
class _Form:
    """How a fault is written: whose it is (None: the vehicle's), its unit as a pattern, limits, and an example."""

    of: tuple[SensorKind, ...]
    pattern: str
    scale: float
    limits: tuple[float, float]
    example: str
    effect: str


_NUMBER = r"(-?\d+(?:\.\d+)?)"
_FORMS: Mapping[FaultKind, _Form] = {
    FaultKind.CAMERA_OFFSET: _Form(
        (SensorKind.CAMERA,), f"{_NUMBER}ms", 1e-3, (-0.5, 0.5), "camera-offset:front=50ms",
        "pictures are taken this much later than their timestamps say",
    ),
    FaultKind.EXTRINSIC: _Form(
        (SensorKind.CAMERA, SensorKind.LIDAR), f"{_NUMBER}deg", 1.0, (-20.0, 20.0), "extrinsic:lidar=0.5deg",
        "the sensor is turned by this angle from where its calibration says, about an axis drawn from the seed",
    ),
    FaultKind.LOST_SWEEPS: _Form(
        (SensorKind.LIDAR,), f"{_NUMBER}%", 0.01, (0.0, 1.0), "lost-sweeps:lidar=5%",
        "this share of its sweeps is missing",
    ),
    FaultKind.DROPPED_FRAMES: _Form(
        (SensorKind.CAMERA,), f"{_NUMBER}%", 0.01, (0.0, 1.0), "dropped-frames:back=5%",
        "this share of its pictures is missing",
    ),
    FaultKind.FROZEN: _Form(
        (SensorKind.CAMERA,), r"from:(\d+)", 1.0, (0.0, 1e9), "frozen:front_left=from:40",
        "from this frame on the camera repeats its picture, with timestamps that go on",
    ),
    FaultKind.POSE_JUMP: _Form(
        (), f"{_NUMBER}m", 1.0, (-100.0, 100.0), "pose-jump=0.5m",
        "half-way through the drive the believed position jumps sideways by this much, for good",
    ),
    FaultKind.POSE_DRIFT: _Form(
        (), f"{_NUMBER}%", 0.01, (-0.2, 0.2), "pose-drift=1%",
        "the believed position drifts sideways by this share of the way driven",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is broken.

    Attributes:
        kind: what.
        sensor: whose it is, None for a fault of the vehicle's poses.
        amount: seconds, degrees, shares, a frame or metres, as the kind has it.
    """

    kind: FaultKind
    sensor: str | None
    amount: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with what it does in words."""
        return {
            "kind": self.kind.value,
            "sensor": self.sensor,
            "amount": self.amount,
            "effect": _FORMS[self.kind].effect,
        }


def parse_fault(text: str) -> Fault:
    """The fault that ``KIND:SENSOR=AMOUNT`` or ``KIND=AMOUNT`` describes.

    Raises:
        UsageError: it does not; says what there is.
    """
    match = re.fullmatch(r"([a-z-]+)(?::([^=]+))?=(.+)", text.strip())
    if match is None or match[1] not in [kind.value for kind in FaultKind]:
        raise UsageError(f"--inject {text!r} is no fault; write one of {_examples()}")
    kind, sensor = FaultKind(match[1]), match[2]
    form = _FORMS[kind]
    if (sensor is None) is not (not form.of):
        need = "needs a sensor" if form.of else "belongs to the vehicle, not to a sensor"
        raise UsageError(f"--inject {text!r}: {kind.value} {need}; write for example --inject {form.example}")
    number = re.fullmatch(form.pattern, match[3])
    if number is None:
        raise UsageError(
            f"--inject {text!r}: {match[3]!r} is no amount of {kind.value}; write for example --inject {form.example}"
        )
    amount = float(number[1]) * form.scale
    low, high = form.limits
    if not low <= amount <= high:
        unit = form.pattern.removeprefix(_NUMBER)
        raise UsageError(
            f"--inject {text!r} is out of range; {kind.value} goes from {low / form.scale:g} to "
            f"{high / form.scale:g} {unit if _NUMBER in form.pattern else 'frames'}"
        )
    return Fault(kind, sensor, amount)


def _examples() -> str:
    return ", ".join(form.example for form in _FORMS.values())


class Faults:
    """The faults of a drive, asked by what they do.

    Raises:
        UsageError: a fault is of a sensor that the vehicle does not have, or that cannot have it, or two are alike.
    """

    def __init__(self, faults: Sequence[Fault], sensors: Sequence[Sensor], seed: int) -> None:
        self._by_place = {(fault.kind, fault.sensor): fault.amount for fault in faults}
        self._seed = seed
        self._number = {sensor.name: number for number, sensor in enumerate(sensors)}
        kinds = {sensor.name: sensor.kind for sensor in sensors}
        for fault in faults:
            of = _FORMS[fault.kind].of
            fitting = [name for name, kind in kinds.items() if kind in of]
            if of and fault.sensor not in fitting:
                raise UsageError(
                    f"--inject {fault.kind.value}:{fault.sensor}: the vehicle has no such sensor that could have this "
                    f"fault; it has {fitting}"
                )
        if len(self._by_place) < len(faults):
            raise UsageError("--inject names the same fault of the same sensor twice; leave one out")

    def camera_offset_ns(self, camera: str) -> int:
        """How much later its pictures are taken than their timestamps say."""
        return round(self._by_place.get((FaultKind.CAMERA_OFFSET, camera), 0.0) * 1e9)

    def ego_from_sensor(self, sensor: Sensor) -> F64:
        """Where a sensor truly is (4, 4)."""
        angle = np.radians(self._by_place.get((FaultKind.EXTRINSIC, sensor.name), 0.0))
        axis = self._random(FaultKind.EXTRINSIC, sensor.name).normal(size=3)
        turned = sensor.ego_from_sensor.copy()
        turned[:3, :3] @= rotation_of(angle * axis / np.linalg.norm(axis))
        return turned

    def missing(self, sensor: str, frame: int) -> bool:
        """Whether a sensor's picture or sweep of a frame is missing."""
        for kind in (FaultKind.LOST_SWEEPS, FaultKind.DROPPED_FRAMES):
            share = self._by_place.get((kind, sensor))
            if share is not None:
                return bool(self._random(kind, sensor, frame).random() < share)
        return False

    def frame_shown(self, camera: str, frame: int) -> int:
        """The frame whose picture a camera gives at a frame."""
        return min(frame, int(self._by_place.get((FaultKind.FROZEN, camera), frame)))

    def believed(self, world_from_ego: F64, timestamp_ns: I64, middle_ns: int) -> F64:
        """Poses (T, 7) that the vehicle believes where these are its true ones.

        Args:
            timestamp_ns: (T,) of the poses.
            middle_ns: when the pose jumps.
        """
        believed = world_from_ego.copy()
        for kind, share in (
            (FaultKind.POSE_JUMP, (timestamp_ns >= middle_ns).astype(np.float64)),
            (FaultKind.POSE_DRIFT, _way_m(world_from_ego)),
        ):
            heading = self._random(kind, None).uniform(-np.pi, np.pi)
            sideways = self._by_place.get((kind, None), 0.0) * np.array([np.cos(heading), np.sin(heading)])
            believed[:, :2] += share[:, None] * sideways
        return believed

    def _random(self, kind: FaultKind, sensor: str | None, frame: int = 0) -> np.random.Generator:
        number = -1 if sensor is None else self._number[sensor]
        return np.random.default_rng([self._seed, 103, list(FaultKind).index(kind), number + 1, frame])


def _way_m(world_from_ego: F64) -> F64:
    """Way driven (T,) up to each pose."""
    steps = np.linalg.norm(np.diff(world_from_ego[:, :3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])
