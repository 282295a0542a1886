"""Batched Kalman filters with full covariance matrices, for models whose numbers do not decouple.

The trackers themselves run on decoupled (position, velocity) pairs, see ``kernels.online``; these serve
motion in a curve, Mahalanobis gates, and anyone who brings their own model. N filters run in step, all arrays
float64.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, Bool

X, Y, HEADING, SPEED, TURN_RATE = range(5)
STRAIGHT = 1e-6  # rad/s below which a curve is computed as a straight line


def predict(mean: F64, covariance: F64, transition: F64, process_noise: F64) -> tuple[F64, F64]:
    """One linear step of N filters: mean (N, D), covariance (N, D, D); matrices (D, D) or (N, D, D)."""
    ahead = np.einsum("...ij,nj->ni", transition, mean)
    return ahead, transition @ covariance @ np.swapaxes(transition, -1, -2) + process_noise


def update(
    mean: F64, covariance: F64, measured: F64, observation: F64, noise: F64, *, angular: Bool | None = None
) -> tuple[F64, F64]:
    """Correct N filters with measurements (N, M); observation (M, D), noise (M, M) or (N, M, M).

    ``angular`` (M,) marks measured angles, whose innovation takes the short arc. Joseph form: the covariance
    stays symmetric and positive.
    """
    innovation = measured - mean @ observation.T
    if angular is not None:
        innovation = np.where(angular, yaw.wrap(innovation), innovation)
    total = observation @ covariance @ observation.T + noise
    gain = np.swapaxes(np.linalg.solve(total, observation @ covariance), -1, -2)
    rest = np.eye(mean.shape[1]) - gain @ observation
    spread = rest @ covariance @ np.swapaxes(rest, -1, -2) + gain @ noise @ np.swapaxes(gain, -1, -2)
    return mean + np.einsum("nij,nj->ni", gain, innovation), spread


def mahalanobis2(
    mean: F64, covariance: F64, measured: F64, observation: F64, noise: F64, *, angular: Bool | None = None
) -> F64:
    """Squared Mahalanobis distances (N, K) of N filters to K measurements (K, M), innovation noise
    included.
    """
    innovation = measured[None] - (mean @ observation.T)[:, None]
    if angular is not None:
        innovation = np.where(angular, yaw.wrap(innovation), innovation)
    total = observation @ covariance @ observation.T + noise
    solved = np.linalg.solve(total[:, None], innovation[..., None])[..., 0]
    return np.asarray(np.einsum("nkm,nkm->nk", innovation, solved), dtype=np.float64)


def predict_turn(mean: F64, covariance: F64, elapsed_s: float, process_noise: F64) -> tuple[F64, F64]:
    """One step of N constant-turn-rate-and-speed filters (extended Kalman filter).

    Args:
        mean: (N, 5) x, y in metres, heading in radians, speed along it in m/s, turn rate in rad/s.
        covariance: (N, 5, 5).
        elapsed_s: seconds; may be negative.
        process_noise: (5, 5) covariance added for the step.

    Returns:
        mean and covariance; headings are wrapped.
    """
    jacobian = turn_jacobian(mean, elapsed_s)
    ahead = turn(mean, elapsed_s)
    ahead[:, HEADING] = yaw.wrap(ahead[:, HEADING])
    return ahead, jacobian @ covariance @ np.swapaxes(jacobian, -1, -2) + process_noise


def turn(mean: F64, elapsed_s: float) -> F64:
    """States (N, 5) after driving on along their circles for ``elapsed_s`` seconds, headings not wrapped."""
    heading, speed, rate = mean[:, HEADING], mean[:, SPEED], mean[:, TURN_RATE]
    # The chord of the arc: its direction is the heading half way, its length shrinks by sinc of half the
    # turn.
    half = 0.5 * rate * elapsed_s
    chord = speed * elapsed_s * np.sinc(half / np.pi)
    ahead = mean.copy()
    ahead[:, X] += chord * np.cos(heading + half)
    ahead[:, Y] += chord * np.sin(heading + half)
    ahead[:, HEADING] = heading + rate * elapsed_s
    return ahead


def turn_jacobian(mean: F64, elapsed_s: float) -> F64:
    """Derivative (N, 5, 5) of :func:`turn` by the state."""
    heading, speed, rate = mean[:, HEADING], mean[:, SPEED], mean[:, TURN_RATE]
    t, half = elapsed_s, 0.5 * mean[:, TURN_RATE] * elapsed_s
    sinc = np.sinc(half / np.pi)
    small = np.abs(rate) < STRAIGHT
    safe = np.where(small, 1.0, half)
    sinc_slope = np.where(small, -half / 3.0, (np.cos(safe) - np.sin(safe) / safe) / safe)
    cos, sin = np.cos(heading + half), np.sin(heading + half)
    jacobian = np.tile(np.eye(5), (len(mean), 1, 1))
    jacobian[:, X, HEADING], jacobian[:, Y, HEADING] = -speed * t * sinc * sin, speed * t * sinc * cos
    jacobian[:, X, SPEED], jacobian[:, Y, SPEED] = t * sinc * cos, t * sinc * sin
    jacobian[:, X, TURN_RATE] = speed * t * (0.5 * t) * (sinc_slope * cos - sinc * sin)
    jacobian[:, Y, TURN_RATE] = speed * t * (0.5 * t) * (sinc_slope * sin + sinc * cos)
    jacobian[:, HEADING, TURN_RATE] = t
    return jacobian
