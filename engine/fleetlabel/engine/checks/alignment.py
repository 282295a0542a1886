"""How a camera is turned, and its clock is off, against a lidar: edges of sweeps laid onto edges of pictures.

Unknown are a small rotation w of the camera (three angles) and a time t by which its pictures are taken later than they
say. A place on an edge of a sweep, carried into the world by the ego pose of its own time, is seen at the pixel

    u(w, t) = project( exp(-w) camera_from_ego  ego_from_world(T + t)  p )

A rotation moves all pixels much alike, whatever their depth and the speed; a time moves them by what the vehicle drives
and turns in it, near ones more than far ones, and not at all when it stands. That tells the two apart. The estimate
maximises the mean strength of the picture's edges at these pixels (Levinson & Thrun, 2013, with gradients in the place
of their transform), over all moments at once, from blurred pictures to sharp ones.

How sure it is: the sandwich covariance of that estimate (Huber, 1967), with the edges' pulls added up by places in the
world, because a lamp post that is seen a hundred times is still one lamp post. An unknown that the drive cannot tell
(a time, while the vehicle stands) is left out, and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from fleetlabel.engine.checks.lidar_edges import LidarEdges
from fleetlabel.engine.checks.picture_edges import LEVELS, edge_levels, strengths
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, U8, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor

TIME = 3  # index of the time among the unknowns
TURN, EVERYTHING = (0, 1, 2), (0, 1, 2, 3)
_UNITS: F64 = np.array([0.01, 0.01, 0.01, 0.05])  # of the search: radians and seconds
_BOUNDS: F64 = np.array([6.0, 6.0, 6.0, 2.0])  # of these: 3.4 degrees, 0.1 s
_LATEST_S = 0.12  # an edge that was measured longer before or after the picture is left out
_MARGIN_PX = 20.0
_TIME_STEP_S = 0.02
_ANGLE_STEP_RAD = 1e-4
_CLUSTER_M = 4.0
_LEAST_EDGES, _LEAST_CLUSTERS, _MOST_EDGES = 150, 12, 12_000
BLIND_S = 0.015  # less sure of a time than this, the data cannot tell it
_FLAT, _NOTHING_KNOWN = 1e-4, 1e3  # curvature by the largest one; variance in units of the search
_HESSIAN_STEPS: F64 = np.array([1e-3, 1e-3, 1e-3, 5e-3])


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One picture, and the edges of the sweep that goes with it.

    Attributes:
        timestamp_ns: of the picture.
        grey: (H, W) the picture, maybe smaller than it was taken.
        edges: of the sweep.
    """

    timestamp_ns: int
    grey: U8
    edges: LidarEdges


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What was found.

    Attributes:
        rotation_rad: (3,) by which the camera is turned from its calibration, as a vector in its own axes.
        late_s: how much later than they say pictures are taken; NaN if the data cannot tell.
        covariance: (4, 4) of these, in radians and seconds; NaN for what cannot be told.
        score: mean strength of the picture's edges at the lidar's.
        score_as_calibrated: the same without any correction.
        clearer: how sure it is that the pictures fit better than as calibrated, in standard deviations over places.
    """

    rotation_rad: F64
    late_s: float
    covariance: F64
    score: float
    score_as_calibrated: float
    clearer: float

    @property
    def tells_time(self) -> bool:
        """Whether the drive can tell the time."""
        sigma_s = float(np.sqrt(self.covariance[TIME, TIME]))
        return sigma_s <= BLIND_S  # not where it is NaN

    @property
    def unknowns(self) -> F64:
        """(4,) rotation and time."""
        return np.append(self.rotation_rad, self.late_s)


class Alignment:
    """The edges of one camera and one lidar at several moments.

    Attributes:
        n_edges: how many of the lidar's edges the camera sees.
    """

    def __init__(self, camera: Sensor, trajectory: Trajectory, moments: Sequence[Moment]) -> None:
        self._camera, self._trajectory = camera, trajectory
        self._times_ns = np.array([moment.timestamp_ns for moment in moments], dtype=np.int64)
        assert camera.camera is not None
        self._shrink = camera.camera.width_px / moments[0].grey.shape[1]
        self._world = np.concatenate([moment.edges.points_world for moment in moments])
        self._kind = np.concatenate([moment.edges.kind for moment in moments]).astype(np.int64)
        self._moment = np.repeat(np.arange(len(moments)), [len(moment.edges.kind) for moment in moments])
        measured = np.concatenate([moment.edges.timestamp_ns for moment in moments])
        soon = np.abs(measured - self._times_ns[self._moment]) <= _LATEST_S * 1e9
        pixel, seen = self._project(np.zeros(4))
        high = np.array(moments[0].grey.shape[::-1]) + _MARGIN_PX
        near = soon & seen & (pixel > -_MARGIN_PX).all(axis=1) & (pixel < high).all(axis=1)
        rows = np.flatnonzero(near)
        self._keep(rows[:: max(len(rows) // _MOST_EDGES, 1)])
        _, self._cluster = np.unique(
            np.floor(self._world / _CLUSTER_M).astype(np.int64), axis=0, return_inverse=True
        )
        self._cluster = self._cluster.reshape(-1)
        self.n_edges = len(self._world)
        if self.can_tell:
            pyramids = [edge_levels(moment.grey) for moment in moments]
            self._levels = [np.stack([pyramid[n] for pyramid in pyramids]) for n in range(len(LEVELS))]

    @property
    def can_tell(self) -> bool:
        """Whether there are edges enough, on things enough."""
        return self.n_edges >= _LEAST_EDGES and int(self._cluster.max()) + 1 >= _LEAST_CLUSTERS

    @property
    def moment_of_edge(self) -> I64:
        """(N,) each edge's moment."""
        return self._moment

    def estimate(self, free: tuple[int, ...] = EVERYTHING) -> Estimate:
        """The best fit, with the unknowns that are not free at zero."""
        self._linearise(np.zeros(4))
        return self._search(free)

    def within(self, edges: Bool, around: Estimate) -> Estimate | None:
        """The estimate from some of the edges (N,) alone, near another one; None if they are too few."""
        if edges.sum() < _LEAST_EDGES or len(np.unique(self._cluster[edges])) < _LEAST_CLUSTERS:
            return None
        start = np.nan_to_num(around.unknowns)
        free = TURN if np.isnan(around.late_s) else EVERYTHING
        self._linearise(start)
        best, score = self._climb(start, free, LEVELS[-2:], edges)
        return self._described(best, free, score, edges)

    def pixels(self, moment: int, estimate: Estimate | None) -> F64:
        """Where a moment's edges (N, 2) lie in its picture, as calibrated or as estimated."""
        unknowns = np.zeros(4) if estimate is None else np.nan_to_num(estimate.unknowns)
        uv, seen = self._project(unknowns)
        shown: F64 = uv[seen & (self._moment == moment)]
        return shown

    # --- search -------------------------------------------------------------------------------------------------------

    def _search(self, free: tuple[int, ...]) -> Estimate:
        everything = np.ones(self.n_edges, dtype=np.bool_)
        # From afar, and from the calibration: a blurred picture may lead astray what was right already.
        tried = [self._climb(np.zeros(4), free, LEVELS[skip:], everything) for skip in (0, 2)]
        best, score = max(tried, key=lambda one: one[1])
        self._linearise(best)
        best, score = self._climb(best, free, LEVELS[-1:], everything)
        return self._described(best, free, score, everything)

    def _climb(
        self, start: F64, free: tuple[int, ...], levels: Sequence[int], edges: Bool
    ) -> tuple[F64, float]:
        """The unknowns (4,) that gradients lead to, level by level, and the score there."""
        unknowns, chosen = start.copy(), list(free)
        score = 0.0
        for level in levels:

            def loss(x: F64, level: int = level) -> tuple[float, F64]:
                trial = unknowns.copy()
                trial[chosen] = x * _UNITS[chosen]
                value, pull = self._strength(trial, level, edges)
                return -float(value.mean()), -pull.mean(axis=0)[chosen] * _UNITS[chosen]

            found = minimize(
                loss, unknowns[chosen] / _UNITS[chosen], jac=True, method="L-BFGS-B",
                bounds=[(-_BOUNDS[one], _BOUNDS[one]) for one in chosen],
                options={"maxiter": 20, "ftol": 1e-6},
            )  # fmt: skip
            unknowns[chosen] = found.x * _UNITS[chosen]
            score = -float(found.fun)
        return unknowns, score

    def _strength(self, unknowns: F64, level: int, edges: Bool) -> tuple[F64, F64]:
        """The picture's edges (N,) at the lidar's, and their pulls (N, 4) on the unknowns."""
        return strengths(
            self._levels[LEVELS.index(level)], level, self._moment[edges], self._kind[edges],
            self._pixel[edges], self._jacobian[edges], unknowns - self._origin,
        )  # fmt: skip

    def _described(self, unknowns: F64, free: tuple[int, ...], score: float, edges: Bool) -> Estimate:
        chosen = list(free)
        zero, _ = self._strength(np.zeros(4), LEVELS[-1], edges)
        best, _ = self._strength(unknowns, LEVELS[-1], edges)
        covariance = np.full((4, 4), np.nan)
        covariance[np.ix_(chosen, chosen)] = self._covariance(unknowns, chosen, edges)
        late = float(unknowns[TIME]) if TIME in free else np.nan
        gain = np.bincount(self._cluster[edges], weights=best - zero)
        clearer = float(gain.sum() / max(np.sqrt(np.sum(gain**2)), 1e-12))
        return Estimate(unknowns[:3].copy(), late, covariance, score, float(zero.mean()), clearer)

    def _covariance(self, unknowns: F64, chosen: list[int], edges: Bool) -> F64:
        """The sandwich: inverse curvature, spread of the clusters' pulls, inverse curvature."""
        _, pull = self._strength(unknowns, LEVELS[-1], edges)
        n = len(pull)
        summed = np.zeros((int(self._cluster.max()) + 1, 4))
        np.add.at(summed, self._cluster[edges], pull)
        spread = (summed.T @ summed)[np.ix_(chosen, chosen)] / n**2
        curvature = np.zeros((4, 4))
        for one in chosen:
            step = np.zeros(4)
            step[one] = _HESSIAN_STEPS[one]
            ahead = self._strength(unknowns + step, LEVELS[-1], edges)[1].mean(axis=0)
            behind = self._strength(unknowns - step, LEVELS[-1], edges)[1].mean(axis=0)
            curvature[one] = -(ahead - behind) / (2 * _HESSIAN_STEPS[one])
        units = _UNITS[chosen]
        scaled = 0.5 * (curvature + curvature.T)[np.ix_(chosen, chosen)] * np.outer(units, units)
        value, vector = np.linalg.eigh(scaled)
        # Where the score is flat, or no peak at all, nothing is known.
        flat = value < _FLAT * max(float(value.max()), 1e-12)
        inverse = (vector[:, ~flat] / value[~flat]) @ vector[:, ~flat].T
        covariance: F64 = inverse @ (spread * np.outer(units, units)) @ inverse
        covariance += _NOTHING_KNOWN * (vector[:, flat] @ vector[:, flat].T)
        covariance *= np.outer(units, units)
        return covariance

    # --- geometry -----------------------------------------------------------------------------------------------------

    def _keep(self, edges: I64) -> None:
        self._world, self._kind, self._moment = self._world[edges], self._kind[edges], self._moment[edges]

    def _linearise(self, unknowns: F64) -> None:
        """Pixels (N, 2) and their derivatives (N, 2, 4) at some unknowns."""
        self._origin = unknowns.copy()
        self._pixel, seen = self._project(unknowns)
        self._jacobian = np.zeros((self.n_edges, 2, 4))
        for one in range(4):
            step = np.zeros(4)
            step[one] = _TIME_STEP_S if one == TIME else _ANGLE_STEP_RAD
            ahead, seen_ahead = self._project(unknowns + step)
            behind, seen_behind = self._project(unknowns - step)
            self._jacobian[:, :, one] = (ahead - behind) / (2 * step[one])
            seen = seen & seen_ahead & seen_behind
        self._pixel[~seen] = -1e6  # outside of all pictures
        self._jacobian[~seen] = 0.0

    def _project(self, unknowns: F64) -> tuple[F64, Bool]:
        """Pixels (N, 2) of the shrunken pictures, and whether the camera can see there."""
        times = self._times_ns + round(float(unknowns[TIME]) * 1e9)
        camera_from_world = se3.invert(self._trajectory.at(times) @ self._camera.ego_from_sensor)
        carry = camera_from_world[self._moment]
        points = np.einsum("nij,nj->ni", carry[:, :3, :3], self._world) + carry[:, :3, 3]
        assert self._camera.camera is not None
        uv, seen = self._camera.camera.project(points - np.cross(unknowns[:3], points))
        return uv / self._shrink, seen
