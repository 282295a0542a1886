"""What can be set about the whole-sequence pass. Times are seconds, noise is standard deviations, scores are
0-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothConfig:
    """Linking, claiming and false-track removal, common to 2D and 3D.

    Attributes:
        claim_score: free detections from here on may be claimed by a track that passes through them.
        claim_gate: least similarity of such a claim (IoU in 2D, generalised IoU in 3D).
        extend_s: how far beyond its first and last detection a track looks for detections to claim, per
            round.
        rounds: how often claiming and linking are repeated.
        link_gap_s: longest gap that linking bridges.
        link_reach: how far apart two tracks to be linked may be in the middle of the gap, in box sizes in 2D
            and metres in 3D.
        link_gate: largest squared Mahalanobis distance per number of the box.
        class_penalty: added to the distance and taken off the similarity where classes differ.
        fill_gap_s: longest gap that is filled with interpolated boxes.
        fill_lone_frames: the same, in frames, beside a detection that has no other of its track so near. Those are
            often of two objects that crossed the same place, one after the other.
        min_detections: tracks with fewer detections are dropped.
        min_mean_score: tracks whose detections score less on average are dropped.
        min_evidence: tracks whose scores add up to less are dropped.
        std_factor: by how much stated standard deviations exceed the smoother's, which takes a detector's
            errors to be independent from frame to frame. All of ``std_...`` are fitted together, so that
            90 % intervals hold 90 % of the truth for every class; see ``uncertainty``.
        std_share: of the extent of the box along an axis, what a detector's lasting offset adds.
        std_unseen: by how much lasting offsets are larger where there is no detection.
        outlier_dof: degrees of freedom of the Student-t that detections are taken to follow; low ignores
            outliers.

    """

    claim_score: float
    claim_gate: float
    extend_s: float
    rounds: int
    link_gap_s: float
    link_reach: float
    link_gate: float
    class_penalty: float
    fill_gap_s: float
    fill_lone_frames: int
    min_detections: int
    min_mean_score: float
    min_evidence: float
    outlier_dof: float
    std_factor: float
    std_share: float
    std_unseen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Smooth2DConfig(SmoothConfig):
    """Boxes in pictures; noise is in box sizes and only the start from which it is fitted to the
    detections.

    Attributes:
        std_jitter: lasting offset of an edge, in standard deviations of the detections' jitter.

    """

    claim_score: float = 0.3
    claim_gate: float = 0.5
    extend_s: float = 0.5
    rounds: int = 2
    link_gap_s: float = 3.0
    link_reach: float = 0.7
    link_gate: float = 4.0
    class_penalty: float = 0.3
    fill_gap_s: float = 3.0
    fill_lone_frames: int = 3
    min_detections: int = 2
    min_mean_score: float = 0.4
    min_evidence: float = 1.5
    outlier_dof: float = 5.0
    std_factor: float = 2.5
    std_share: float = 0.029
    std_unseen: float = 1.75
    std_jitter: float = 1.8
    measurement_std: float = 0.05
    start_velocity_std: float = 1.0
    acceleration_std: float = 0.5

    def noise(self) -> F64:
        """(4, 4): measurement, start velocity, random walk, acceleration; per number of the box cx, cy, w,
        h.
        """
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
class Smooth3DConfig(SmoothConfig):
    """Cuboids in metres; noise is only the start from which it is fitted to the detections.

    Attributes:
        stationary_speed_mps: an object slower than this on average, and that never leaves
            ``stationary_radius_m`` by more than noise explains, stands still and gets one pose.
        ego_drift: how far the ego poses themselves wander, in metres per root second; parked objects then
            seem to wander with them. 0 for poses as good as the boxes: parked objects get one pose.
        size_quantile: of the detections' sizes, by weight, that becomes the size of the object; partly seen
            objects look too small, so more than the median may be right.
        moving_m: objects that travel further than this show their heading by their motion.
        std_ground_m: lasting offset of a centre in the ground plane, that even the smallest object may have.
        std_height_m: the same in height.

    """

    claim_score: float = 0.05
    claim_gate: float = -0.2
    extend_s: float = 0.5
    rounds: int = 3
    link_gap_s: float = 5.0
    link_reach: float = 2.0
    link_gate: float = 6.0
    class_penalty: float = 0.3
    fill_gap_s: float = 3.0
    fill_lone_frames: int = 3
    min_detections: int = 3
    min_mean_score: float = 0.5
    min_evidence: float = 2.0
    outlier_dof: float = 5.0
    reach_m: float = 4.0
    position_std_m: float = 0.3
    size_std_m: float = 0.3
    yaw_std_rad: float = 0.15
    start_speed_std_mps: float = 10.0
    acceleration_std: float = 2.0
    yaw_rate_std: float = 0.3
    stationary_speed_mps: float = 0.5
    stationary_radius_m: float = 1.0
    ego_drift: float = 0.0
    size_quantile: float = 0.5
    moving_m: float = 3.0
    std_factor: float = 2.4
    std_share: float = 0.025
    std_unseen: float = 1.55
    std_ground_m: float = 0.045
    std_height_m: float = 0.01

    def noise(self) -> F64:
        """(4, 7): measurement, start velocity, random walk, acceleration; per number x, y, z, l, w, h,
        yaw.
        """
        one = np.ones(3)
        return np.array(
            [
                [*self.position_std_m * one, *self.size_std_m * one, self.yaw_std_rad],
                [*self.start_speed_std_mps * one, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, *0.01 * one, self.yaw_rate_std],
                [*self.acceleration_std * one, 0.0, 0.0, 0.0, 0.0],
            ]
        )
