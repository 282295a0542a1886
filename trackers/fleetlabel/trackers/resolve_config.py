"""What can be set about solving a track around keyframes. Noise is standard deviations, times are seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseNoise:
    """How one number of a box moves, and how detections of it err; in metres, radians or, in 2D, box sizes.

    Attributes:
        acceleration: what pushes the velocity, per root second and second.
        walk: what moves the number itself, per root second.
        start_velocity: of an object about which nothing is known.
        jitter: error of a detection, anew in each frame.
        bias: error of a detection that it shares with those around it.
        fade_s: after this time such an error is down to 1/e.
        key: how far keyframes may lie off the course, for the hand and the ego poses are not steady either; they are
            put in exactly after it is solved.
    """

    acceleration: float
    walk: float
    start_velocity: float
    jitter: float
    bias: float
    fade_s: float
    key: float = 1e-3

    def motion(self, factor: float) -> F64:
        """(4,) as ``kernels.resolving`` takes it, with the motion so many times as strong; 0 stands still."""
        start = self.start_velocity if factor > 0.0 else 0.0
        return np.array([factor * self.acceleration, factor * self.walk, start, self.fade_s])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveConfig:
    """What 2D and 3D share.

    Attributes:
        sure_logit: log odds of the score at which detections err as ``CourseNoise`` says.
        jitter_per_logit: by what share jitter falls per unit of log odds above that.
        bias_per_jitter: power of that fall with which bias falls as well.
        outlier_dof: degrees of freedom of the Student-t that detections are taken to follow; low ignores outliers.
        motion_factors: how strong the motion of a track may be beside its class's; the likeliest is taken.
        bias_factors: the same of detections' bias: a detector may be wrong altogether about one object.
        jitter_factors: the same of their jitter: arms and legs are never still.
        motion_doubt, bias_doubt, jitter_doubt: how unlikely factors other than 1 are beforehand, per squared logarithm.
        linear_s: keyframes closer to each other than the first have a straight course between them, those further
            apart than the second have the solved one, and between them it is mixed.
    """

    sure_logit: float
    jitter_per_logit: float
    bias_per_jitter: float
    outlier_dof: float
    motion_factors: tuple[float, ...] = (0.2, 1.0, 4.0)
    bias_factors: tuple[float, ...] = (1.0,)
    jitter_factors: tuple[float, ...] = (1.0,)
    motion_doubt: float = 0.3
    bias_doubt: float = 1.0
    jitter_doubt: float = 1.0
    linear_s: tuple[float, float] = (0.2, 0.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve3DConfig(ResolveConfig):
    """Cuboids.

    Attributes:
        ground: of the centre along the box; ``across_jitter`` and ``across_bias`` are shares of it across the box.
        height: of the centre's height.
        heading: of yaw.
        stationary_doubt: how unlikely, as a log likelihood, it is beforehand that an object stands still throughout.
        facing_share: of what a detection is too long and too wide, this much is at the side that faces away, if the
            object's middle is at least ``facing_m`` further away along that axis.
        ground_share: of what it is too high, this much is at the top.
        far_m: where detections err 1.4 times as much as close by.
    """

    sure_logit: float = 5.0
    jitter_per_logit: float = 0.09
    bias_per_jitter: float = 0.8
    outlier_dof: float = 2.3
    motion_doubt: float = 0.6
    linear_s: tuple[float, float] = (0.6, 1.5)
    ground: CourseNoise = CourseNoise(
        acceleration=0.23, walk=0.018, start_velocity=20.0, jitter=0.053, bias=0.0384, fade_s=3.84, key=0.03
    )
    across_jitter: float = 1.2
    across_bias: float = 0.5
    height: CourseNoise = CourseNoise(
        acceleration=0.0192, walk=0.048, start_velocity=2.0, jitter=0.051, bias=0.03, fade_s=0.54, key=0.03
    )
    heading: CourseNoise = CourseNoise(
        acceleration=0.092, walk=0.04, start_velocity=1.0, jitter=0.0716, bias=0.0224, fade_s=6.1, key=0.03
    )
    stationary_doubt: float = 0.0
    facing_share: tuple[float, float] = (0.7, 0.3)
    facing_m: tuple[float, float] = (40.0, 6.0)
    ground_share: float = 0.31
    far_m: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve2DConfig(ResolveConfig):
    """Boxes in pictures; noise is in widths for left and right edges, in heights for upper and lower ones.

    Attributes:
        edge: of each edge.
        vertical: share of that for upper and lower edges.
        shake_px: motion is at least that of a box of this extent: cameras turn and shake, however small a box is.
    """

    sure_logit: float = 2.0
    jitter_per_logit: float = 0.1
    bias_per_jitter: float = 0.5
    outlier_dof: float = 3.0
    motion_factors: tuple[float, ...] = (0.2, 1.0, 4.0, 16.0)
    bias_factors: tuple[float, ...] = (1.0, 4.0, 16.0)
    jitter_factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    jitter_doubt: float = 0.3
    linear_s: tuple[float, float] = (0.2, 0.7)
    edge: CourseNoise = CourseNoise(
        acceleration=0.3, walk=0.0065, start_velocity=1.5, jitter=0.02, bias=0.015, fade_s=2.0, key=0.01
    )
    vertical: float = 1.5
    shake_px: float = 20.0
