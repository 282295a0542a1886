"""Filters and smoother against filterpy, assignment against scipy, brute force where it is small."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import KalmanFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fleetlabel.geometry.arrays import F64
from fleetlabel.trackers.config import Tracker2DConfig, Tracker3DConfig
from fleetlabel.trackers.kernels import assignment, online, smoothing


def filterpy_trace(
    start_std: F64, dt: F64, noise: F64, measured: F64, seen: Any, *, update_first: bool
) -> tuple[KalmanFilter, list[F64], list[F64], list[F64], list[F64]]:
    """filterpy's full-matrix filter over all numbers of a box at once; the state is (position...,
    velocity...).

    Returns the filter and its means, covariances, transitions and process noises, step by step.
    """
    d = measured.shape[1]
    kf = KalmanFilter(dim_x=2 * d, dim_z=d)
    kf.H, kf.R = np.concatenate([np.eye(d), np.zeros((d, d))], axis=1), np.diag(noise[0] ** 2)
    kf.x, kf.P = (
        np.concatenate([measured[0], np.zeros(d)]),
        np.diag(np.concatenate([start_std, noise[1]]) ** 2),
    )
    kf.F, kf.Q = np.eye(2 * d), np.zeros((2 * d, 2 * d))
    if update_first:
        kf.update(measured[0])
    trace = [(kf.x.copy(), kf.P.copy(), kf.F, kf.Q)]
    for k in range(1, len(measured)):
        kf.F = np.block([[np.eye(d), dt[k] * np.eye(d)], [np.zeros((d, d)), np.eye(d)]])
        kf.Q = np.kron(Q_continuous_white_noise(2, dt[k], 1.0), np.diag(noise[3] ** 2))
        kf.Q[:d, :d] += np.diag(noise[2] ** 2 * dt[k])
        kf.predict()
        if seen[k]:
            kf.update(measured[k])
        trace.append((kf.x.copy(), kf.P.copy(), kf.F, kf.Q))
    means, covariances, transitions, noises = (list(column) for column in zip(*trace, strict=True))
    return kf, means, covariances, transitions, noises


@given(seed=st.integers(0, 2**16), dims=st.sampled_from([4, 7]))
@settings(max_examples=40, deadline=None)
def test_the_decoupled_filter_is_filterpys_joint_filter(seed: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.05, 2.0, (4, dims))
    measured = 50.0 + np.cumsum(rng.normal(0.0, 0.3, (15, dims)), axis=0)
    if dims == 7:
        measured[:, 6] = rng.uniform(-0.5, 0.5, 15)
        noise[1:, 6] *= 0.1
    dt, seen = rng.uniform(0.02, 0.5, 15), rng.random(15) < 0.7
    _, means, covariances, _, _ = filterpy_trace(noise[0], dt, noise, measured, seen, update_first=False)
    mean, var = np.zeros((2, dims)), np.zeros((3, dims))
    mean[0], var[0], var[2] = measured[0], noise[0] ** 2, noise[1] ** 2
    for k in range(15):
        if k > 0:
            online.predict(mean, var, noise, 1.0, dt[k])
            if seen[k]:
                online.correct(mean, var, noise, 1.0, measured[k])
        x, p = means[k], covariances[k]
        np.testing.assert_allclose(mean.reshape(-1), x, atol=1e-9)
        np.testing.assert_allclose(var[0], np.diag(p)[:dims], atol=1e-9)
        np.testing.assert_allclose(var[2], np.diag(p)[dims:], atol=1e-9)
        np.testing.assert_allclose(var[1], np.diag(p[:dims, dims:]), atol=1e-9)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_the_smoother_is_filterpys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, dims = 12, 3
    noise = rng.uniform(0.05, 2.0, (4, dims))
    measured = np.cumsum(rng.normal(0.0, 0.3, (n, dims)), axis=0)
    dt, seen = rng.uniform(0.02, 0.5, n), rng.random(n) < 0.7
    seen[0] = True
    start_std = smoothing.DIFFUSE * noise[0]
    kf, *trace = filterpy_trace(start_std, dt, noise, measured, seen, update_first=True)
    xs, ps, fs, qs = (np.array(column) for column in trace)
    x, p, _, _ = kf.rts_smoother(xs, ps, fs, qs)
    mean, var = np.zeros((n, 2, dims)), np.zeros((n, 3, dims))
    smoothing.smooth(
        np.array([0, n]),
        np.cumsum(dt),
        measured,
        np.where(seen, 1.0, np.inf),
        np.ones(n),
        noise[None],
        mean,
        var,
    )
    np.testing.assert_allclose(mean.reshape(n, -1), x, atol=1e-9, rtol=1e-9)
    np.testing.assert_allclose(var[:, 0], np.diagonal(p, axis1=1, axis2=2)[:, :dims], atol=1e-9, rtol=1e-9)
    np.testing.assert_allclose(var[:, 2], np.diagonal(p, axis1=1, axis2=2)[:, dims:], atol=1e-9, rtol=1e-9)


@given(seed=st.integers(0, 2**16), parts=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_predicting_in_steps_is_predicting_at_once(seed: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    noise = Tracker3DConfig().noise()
    mean, var = rng.normal(0, 3, (2, 7)), rng.uniform(0.5, 2, (3, 7))
    mean[0, 6] = mean[1, 6] = var[1, :] = 0.0
    once_mean, once_var = mean.copy(), var.copy()
    online.predict(once_mean, once_var, noise, 1.0, 0.6)
    for _ in range(parts):
        online.predict(mean, var, noise, 1.0, 0.6 / parts)
    np.testing.assert_allclose(mean, once_mean, atol=1e-9)
    np.testing.assert_allclose(var, once_var, atol=1e-9)


def test_a_shrinking_box_never_turns_inside_out() -> None:
    mean, var = np.array([[50.0, 50.0, 10.0, 10.0], [0.0, 0.0, -90.0, -90.0]]), np.ones((3, 4))
    online.predict(mean, var, Tracker2DConfig().noise(), 10.0, 1.0)
    assert (mean[0, 2:] >= 1.0).all()


@given(seed=st.integers(0, 2**16), n=st.integers(1, 9), m=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_assignment_is_as_cheap_as_scipys(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = min(n, m), max(n, m)
    cost = np.round(rng.normal(0, 3, (n, m)), 1)  # rounded: many ties
    columns = assignment.assign(cost)
    assert len(np.unique(columns)) == n
    assert cost[np.arange(n), columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())


@given(seed=st.integers(0, 2**16), n=st.integers(1, 12), m=st.integers(1, 12), density=st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_sparse_matching_is_as_heavy_as_the_dense_one(seed: int, n: int, m: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    edge = rng.random((n, m)) < density
    weight = np.where(edge, np.round(rng.uniform(0.1, 1.0, (n, m)), 1), 0.0)
    left, right = np.nonzero(edge)
    partner = np.empty(n, dtype=np.int64)
    assignment.match(n, m, left, right, np.ascontiguousarray(weight[left, right]), len(left), partner)
    picked = np.flatnonzero(partner >= 0)
    assert len(np.unique(partner[picked])) == len(picked) and edge[picked, partner[picked]].all()
    assert weight[picked, partner[picked]].sum() == pytest.approx(
        weight[linear_sum_assignment(-weight)].sum()
    )


SCRIPT = """
import sys, hashlib
if {block}: sys.modules['numba'] = None
import numpy as np
from fleetlabel.geometry.compiled import HAVE_NUMBA
from fleetlabel.trackers import Tracker2D, Tracker3D, smooth_tracks_3d
from fleetlabel.trackers.testing import random_detections_2d, random_detections_3d
assert HAVE_NUMBA != {block}
digest = hashlib.sha256()
times, found = random_detections_2d(5, 15, 6)
rows = Tracker2D().run(times, found)
digest.update(rows.track_id.tobytes() + rows.detection.tobytes())
times, found = random_detections_3d(5, 15, 6)
rows = Tracker3D().run(times, found)
digest.update(rows.track_id.tobytes() + rows.detection.tobytes())
rows = smooth_tracks_3d(rows, times, found)
digest.update(rows.track_id.tobytes() + np.round(rows.center_m, 6).tobytes())
print(digest.hexdigest())
"""


def test_without_numba_the_result_is_the_same() -> None:
    def run(block: bool) -> str:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT.format(block=block)], capture_output=True, text=True, check=True
        ).stdout

    assert run(True) == run(False)
