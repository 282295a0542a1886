"""Fixed-interval smoothing (Rauch, Tung and Striebel, 1965) of many tracks, each number of a box on its own.

Samples of all tracks lie one after the other, in order of time within a track; ``ptr`` marks where each
begins.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel

DIFFUSE = 1e3  # start of a position, in measurement standard deviations: it says nothing


@kernel
def smooth(
    ptr: I64, time_s: F64, measured: F64, spread: F64, scale: F64, noise: F64, mean: F64, var: F64
) -> None:
    """Fill ``mean`` (K, 2, D) and ``var`` (K, 3, D) of K samples.

    ``measured`` (K, D) counts where ``spread`` (K,), a factor on the measurement noise, is finite. ``scale``
    (K,) multiplies the rows of ``noise`` (T, 4, D), track by track: measurement, start velocity, random walk,
    acceleration, all standard deviations. Angles have to be unwrapped.
    """
    d = measured.shape[1]
    longest = 0
    for track in range(len(ptr) - 1):
        longest = max(longest, ptr[track + 1] - ptr[track])
    ahead = np.empty(
        (longest, 5)
    )  # predicted position, velocity and their covariance, of one number of one track
    for track in range(len(ptr) - 1):
        first, last = ptr[track], ptr[track + 1]
        for a in range(d):
            _filter(first, last, a, time_s, measured, spread, scale, noise[track], mean, var, ahead)
            _back(first, last, a, time_s, mean, var, ahead)


@kernel
def _filter(
    first: int, last: int, a: int, time_s: F64, measured: F64, spread: F64, scale: F64, noise: F64,
    mean: F64, var: F64, ahead: F64,
) -> None:  # fmt: skip
    x, v, pxx, pxv, pvv = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(first, last):
        if k == first:
            x, v, pxv = measured[k, a], 0.0, 0.0
            pxx = (DIFFUSE * scale[k] * noise[0, a]) ** 2
            pvv = (scale[k] * noise[1, a]) ** 2
        else:
            t = time_s[k] - time_s[k - 1]
            walk, kick = (scale[k] * noise[2, a]) ** 2, (scale[k] * noise[3, a]) ** 2
            x += t * v
            pxx += t * (2.0 * pxv + t * pvv) + walk * t + kick * t * t * t / 3.0
            pxv += t * pvv + kick * t * t / 2.0
            pvv += kick * t
        i = k - first
        ahead[i, 0], ahead[i, 1], ahead[i, 2], ahead[i, 3], ahead[i, 4] = x, v, pxx, pxv, pvv
        if np.isfinite(spread[k]):
            total = pxx + (spread[k] * scale[k] * noise[0, a]) ** 2
            innovation = measured[k, a] - x
            gain, gain_velocity = pxx / total, pxv / total
            x += gain * innovation
            v += gain_velocity * innovation
            pvv -= gain_velocity * pxv
            pxv -= gain * pxv
            pxx -= gain * pxx
        mean[k, 0, a], mean[k, 1, a] = x, v
        var[k, 0, a], var[k, 1, a], var[k, 2, a] = pxx, pxv, pvv


@kernel
def _back(first: int, last: int, a: int, time_s: F64, mean: F64, var: F64, ahead: F64) -> None:
    for k in range(last - 2, first - 1, -1):
        t = time_s[k + 1] - time_s[k]
        i = k + 1 - first
        pxx, pxv, pvv = var[k, 0, a], var[k, 1, a], var[k, 2, a]
        qxx, qxv, qvv = ahead[i, 2], ahead[i, 3], ahead[i, 4]
        determinant = qxx * qvv - qxv * qxv
        # gain = P F' / predicted; a number that cannot move (no velocity, no walk) has a singular prediction.
        cxx, cxv = pxx + t * pxv, pxv
        cvx, cvv = pxv + t * pvv, pvv
        if determinant > 1e-12 * qxx * qvv:
            gxx, gxv = (cxx * qvv - cxv * qxv) / determinant, (cxv * qxx - cxx * qxv) / determinant
            gvx, gvv = (cvx * qvv - cvv * qxv) / determinant, (cvv * qxx - cvx * qxv) / determinant
        else:
            gxx, gxv, gvx, gvv = (cxx / qxx if qxx > 0.0 else 0.0), 0.0, 0.0, 0.0
        dx, dv = mean[k + 1, 0, a] - ahead[i, 0], mean[k + 1, 1, a] - ahead[i, 1]
        mean[k, 0, a] += gxx * dx + gxv * dv
        mean[k, 1, a] += gvx * dx + gvv * dv
        sxx, sxv, svv = var[k + 1, 0, a] - qxx, var[k + 1, 1, a] - qxv, var[k + 1, 2, a] - qvv
        var[k, 0, a] = pxx + gxx * (gxx * sxx + gxv * sxv) + gxv * (gxx * sxv + gxv * svv)
        var[k, 1, a] = pxv + gxx * (gvx * sxx + gvv * sxv) + gxv * (gvx * sxv + gvv * svv)
        var[k, 2, a] = pvv + gvx * (gvx * sxx + gvv * sxv) + gvv * (gvx * sxv + gvv * svv)


@kernel
def unwrap_axis(ptr: I64, yaw_rad: F64, seen: I64, out: F64) -> None:
    """Headings modulo pi made continuous within each track; samples with ``seen`` < 0 repeat the one before.

    The samples before the first detection of a track take its heading.
    """
    for track in range(len(ptr) - 1):
        first, last = ptr[track], ptr[track + 1]
        current = 0.0
        for k in range(first, last):
            if seen[k] >= 0:
                current = yaw_rad[k]
                break
        for k in range(first, last):
            if seen[k] >= 0:
                turn = yaw_rad[k] - current
                current += turn - np.pi * np.floor(turn / np.pi + 0.5)
            out[k] = current


@kernel
def log_likelihood(
    ptr: I64, time_s: F64, measured: F64, spread: F64, scale: F64, noise: F64, dof: float
) -> float:
    """How likely measurements (K,) of one number are under ``noise`` (4,), the first of each track apart.

    Innovations count as Student-t, so that a few wrong detections do not decide.
    """
    total_likelihood = 0.0
    for track in range(len(ptr) - 1):
        seen = 0
        x, v, pxx, pxv, pvv = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(ptr[track], ptr[track + 1]):
            if k == ptr[track]:
                x, v, pxv = measured[k], 0.0, 0.0
                pxx, pvv = (DIFFUSE * scale[k] * noise[0]) ** 2, (scale[k] * noise[1]) ** 2
            else:
                t = time_s[k] - time_s[k - 1]
                walk, kick = (scale[k] * noise[2]) ** 2, (scale[k] * noise[3]) ** 2
                x += t * v
                pxx += t * (2.0 * pxv + t * pvv) + walk * t + kick * t * t * t / 3.0
                pxv += t * pvv + kick * t * t / 2.0
                pvv += kick * t
            if not np.isfinite(spread[k]):
                continue
            total = pxx + (spread[k] * scale[k] * noise[0]) ** 2
            innovation = measured[k] - x
            if seen > 0:
                total_likelihood -= 0.5 * np.log(total) + 0.5 * (dof + 1.0) * np.log1p(
                    innovation * innovation / (total * dof)
                )
            seen += 1
            gain, gain_velocity = pxx / total, pxv / total
            x += gain * innovation
            v += gain_velocity * innovation
            pvv -= gain_velocity * pxv
            pxv -= gain * pxv
            pxx -= gain * pxx
    return total_likelihood
