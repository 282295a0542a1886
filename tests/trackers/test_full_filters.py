"""Full-matrix filters against filterpy and scipy."""

from __future__ import annotations

import numpy as np
from filterpy.kalman import ExtendedKalmanFilter, KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from fleetlabel.trackers import filters

seeds = st.integers(0, 2**16)


def spread(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    root = rng.normal(0.0, 1.0, (n, d, d))
    return root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(d)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_linear_filters_agree_with_filterpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d, m = 3, 6, 2
    mean, covariance = rng.normal(0, 5, (n, d)), spread(rng, n, d)
    f, h, q, r = (
        rng.normal(0, 1, (d, d)),
        rng.normal(0, 1, (m, d)),
        spread(rng, 1, d)[0],
        spread(rng, 1, m)[0],
    )
    z = rng.normal(0, 5, (n, m))
    ahead = filters.predict(mean, covariance, f, q)
    after = filters.update(*ahead, z, h, r)
    distance = filters.mahalanobis2(*ahead, z, h, r)
    for i in range(n):
        kf = KalmanFilter(dim_x=d, dim_z=m)
        kf.x, kf.P, kf.F, kf.H, kf.Q, kf.R = mean[i], covariance[i], f, h, q, r
        kf.predict()
        kf.update(z[i])
        np.testing.assert_allclose(after[0][i], kf.x, atol=1e-9, rtol=1e-9)
        np.testing.assert_allclose(after[1][i], kf.P, atol=1e-9, rtol=1e-9)
        np.testing.assert_allclose(distance[i, i], kf.mahalanobis**2, rtol=1e-7)


@given(seeds, st.sampled_from([0.0, 1e-8, 0.3, -1.2]))
@settings(max_examples=30, deadline=None)
def test_driving_in_a_circle_is_the_integral_of_motion(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    state = np.array([*rng.normal(0, 5, 2), rng.uniform(-3, 3), rng.uniform(-5, 20), rate])

    def motion(_: float, s: np.ndarray) -> list[float]:
        return [s[3] * np.cos(s[2]), s[3] * np.sin(s[2]), s[4], 0.0, 0.0]

    exact = solve_ivp(motion, (0.0, 0.7), state, rtol=1e-11, atol=1e-11).y[:, -1]
    np.testing.assert_allclose(filters.turn(state[None], 0.7)[0], exact, atol=1e-8)
    jacobian = filters.turn_jacobian(state[None], 0.7)[0]
    step = 1e-5
    for k in range(5):
        nudge = step * np.eye(5)[k]
        numeric = (filters.turn((state + nudge)[None], 0.7) - filters.turn((state - nudge)[None], 0.7))[0] / (
            2 * step
        )
        np.testing.assert_allclose(jacobian[:, k], numeric, atol=1e-6)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_constant_turn_rate_agrees_with_filterpys_extended_filter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3
    mean = np.stack([rng.normal(0, 5, n), rng.normal(0, 5, n), rng.uniform(-3, 3, n), rng.uniform(0, 20, n),
                     rng.uniform(-0.5, 0.5, n)], axis=1)  # fmt: skip
    covariance, q, r = spread(rng, n, 5), 0.1 * spread(rng, 1, 5)[0], 0.2 * spread(rng, 1, 3)[0]
    h = np.eye(3, 5)
    ahead_mean, ahead_covariance = filters.predict_turn(mean, covariance, 0.1, q)
    z = ahead_mean[:, :3] + rng.normal(0, 0.3, (n, 3))
    angular = np.array([False, False, True])
    wrapped = z + np.array([0.0, 0.0, 2 * np.pi])
    after = filters.update(ahead_mean, ahead_covariance, wrapped, h, r, angular=angular)
    for i in range(n):
        kf = ExtendedKalmanFilter(dim_x=5, dim_z=3)
        kf.x, kf.P, kf.Q, kf.R = mean[i], covariance[i], q, r
        kf.F = filters.turn_jacobian(mean[i : i + 1], 0.1)[0]
        kf.predict_x = lambda u=0, kf=kf, i=i: setattr(kf, "x", filters.turn(mean[i : i + 1], 0.1)[0])
        kf.predict()
        innovation = lambda a, b: np.array([*(a - b)[:2], (a[2] - b[2] + np.pi) % (2 * np.pi) - np.pi])  # noqa: E731
        kf.update(z[i], lambda x: h, lambda x: h @ x, residual=innovation)
        difference = after[0][i] - kf.x
        difference[2] = (difference[2] + np.pi) % (2 * np.pi) - np.pi
        np.testing.assert_allclose(difference, 0.0, atol=1e-9)
        np.testing.assert_allclose(after[1][i], kf.P, atol=1e-9, rtol=1e-9)
