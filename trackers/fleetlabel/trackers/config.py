"""What can be set about online tracking. Times are seconds, noise is standard deviations.

Scores are probabilities that a detection is right; see :func:`calibrate` for detectors that mean something
else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.trackers.kernels.online import Life


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """Association and life cycle, common to 2D and 3D.

    Attributes:
        high_score: detections from here on are associated first, with every track.
        low_score: weaker ones down to here are offered to tracks that are left over and were seen lately.
        birth_score: an unmatched detection from here on starts a track.
        confirm_evidence: a track gets its id once its scores add up to this; until then it is not reported.
        high_gate: least similarity (IoU in 2D, generalised IoU in 3D) of a match in the first stage.
        low_gate: the same in the second stage, for weak detections.
        rebirth_gate: the same in the third stage, which picks up lost tracks with grown boxes.
        rebirth_buffer: by how much of its size a box is grown on each side in the third stage.
        class_penalty: taken off the similarity of a track and a detection of another class; 3 forbids the
            match.
        max_coast_s: how long a confirmed track is kept without a detection.
        low_coast_s: how long after its last detection a track still takes weak ones.
        tentative_coast_s: how long an unconfirmed track is kept without a detection.
        borrow_weight: a new track starts with the mean velocity of those around it; this is what standing
            still weighs in that mean, where one track alike weighs 1.
        report_coast_s: how long after its last detection a track is still reported, as coasted.

    """

    high_score: float
    low_score: float
    birth_score: float
    confirm_evidence: float
    high_gate: float
    low_gate: float
    rebirth_gate: float
    rebirth_buffer: float
    class_penalty: float
    max_coast_s: float
    low_coast_s: float
    tentative_coast_s: float
    borrow_weight: float
    report_coast_s: float = 0.0

    def life(self, reach_m: float = 0.0) -> Life:
        """Give the numbers that the kernel takes."""
        return Life(
            high_score=float(self.high_score), low_score=float(self.low_score), birth_score=float(self.birth_score),
            confirm_evidence=float(self.confirm_evidence), high_gate=float(self.high_gate),
            low_gate=float(self.low_gate), rebirth_gate=float(self.rebirth_gate),
            rebirth_buffer=float(self.rebirth_buffer), reach_m=float(reach_m),
            class_penalty=float(self.class_penalty), max_coast_s=float(self.max_coast_s),
            low_coast_s=float(self.low_coast_s), tentative_coast_s=float(self.tentative_coast_s),
            report_coast_s=float(self.report_coast_s), borrow_weight=float(self.borrow_weight),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker2DConfig(TrackerConfig):
    """Boxes in pictures. All noise is in box sizes (the square root of the area) and so fits near and far.

    Attributes:
        measurement_std: of the detector's centre and size.
        start_velocity_std: per second, of a new track.
        acceleration_std: per second and root second, how fast velocity wanders.

    """

    high_score: float = 0.44
    low_score: float = 0.04
    birth_score: float = 0.55
    confirm_evidence: float = 0.5
    high_gate: float = 0.2
    low_gate: float = 0.4
    rebirth_gate: float = 0.2
    rebirth_buffer: float = 0.3
    class_penalty: float = 0.3
    max_coast_s: float = 6.0
    low_coast_s: float = 0.25
    tentative_coast_s: float = 0.15
    borrow_weight: float = 0.01
    measurement_std: float = 0.05
    start_velocity_std: float = 2.0
    acceleration_std: float = 0.8

    def noise(self) -> F64:
        """(4, 4): measurement, start velocity, random walk, acceleration; per number cx, cy, w, h."""
        ones = np.ones(4)
        return np.array(
            [
                self.measurement_std * ones,
                self.start_velocity_std * ones,
                0.0 * ones,
                self.acceleration_std * ones,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracker3DConfig(TrackerConfig):
    """Cuboids in metres.

    Attributes:
        reach_m: a detection further than this from where a track is expected is never its own; while the
            speed of a track is unknown, twice its standard deviation comes on top.
        position_std_m: of the detector's centre.
        size_std_m: of the detector's size.
        yaw_std_rad: of the detector's heading.
        start_speed_std_mps: of a new track.
        acceleration_std: metres per second and root second, how fast velocity wanders.
        yaw_rate_std: radians per root second, how fast headings wander.

    """

    high_score: float = 0.4
    low_score: float = 0.02
    birth_score: float = 0.3
    confirm_evidence: float = 0.9
    high_gate: float = -0.5
    low_gate: float = 0.2
    rebirth_gate: float = -0.6
    rebirth_buffer: float = 0.3
    class_penalty: float = 0.3
    max_coast_s: float = 3.0
    low_coast_s: float = 0.25
    tentative_coast_s: float = 0.15
    report_coast_s: float = 0.1
    borrow_weight: float = 0.1
    reach_m: float = 3.0
    position_std_m: float = 0.3
    size_std_m: float = 0.3
    yaw_std_rad: float = 0.1
    start_speed_std_mps: float = 5.0
    acceleration_std: float = 4.0
    yaw_rate_std: float = 0.3

    def noise(self) -> F64:
        """(4, 7): measurement, start velocity, random walk, acceleration; per x, y, z, l, w, h, yaw."""
        one = np.ones(3)
        return np.array(
            [
                [*self.position_std_m * one, *self.size_std_m * one, self.yaw_std_rad],
                [*self.start_speed_std_mps * one, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, *0.01 * one, self.yaw_rate_std],
                [*self.acceleration_std * one, 0.0, 0.0, 0.0, 0.0],
            ]
        )
