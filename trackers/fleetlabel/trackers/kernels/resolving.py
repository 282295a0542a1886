"""The likeliest course of one object through detections that err in the same way for a while, and keyframes.

Each number of a box moves with a velocity that is pushed at random; a detection is off by noise and by a bias that
fades (Ornstein and Uhlenbeck, 1930); a keyframe is exact. Kalman filter forwards, modified Bryson-Frazier smoother
backwards (Bierman, 1973): no matrix is ever inverted. In the ground plane, two numbers go together, since noise and
bias are the object's own: along and across its heading.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, Bool
from fleetlabel.geometry.compiled import kernel

# Numbers of ``noise``, which are standard deviations per root second but for the last two.
ACCELERATION, WALK, START_VELOCITY, FADE_S = 0, 1, 2, 3


@kernel
def course(
    time_s: F64, measured: F64, seen: Bool, spread: F64, turn: F64, bias_std: F64, key: F64, is_key: Bool,
    key_std: float, scale: F64, noise: F64, mean: F64, var: F64,
) -> float:  # fmt: skip
    """Fill ``mean`` (K, D) and ``var`` (K, D) of K samples, D = 1 or 2; returns the log likelihood of all that counts.

    Empty ones (0, D) are not filled, which spares half of the time where only the likelihood is asked for.

    ``measured`` (K, D) counts where ``seen`` (K,); its noise ``spread`` (K, D) and bias ``bias_std`` (K, D) are along
    axes turned by ``turn`` (K,). ``key`` (K, D) counts where ``is_key`` (K,). ``scale`` (K,) multiplies the motion's
    ``noise`` (4,).
    """
    n, d = measured.shape
    m = (
        3 * d
    )  # state: position, velocity, and bias as a share of ``bias_std``, one number of a box after the other
    x, p = np.zeros(m), np.zeros((m, m))
    gain, row = np.zeros((n, 2 * d, m)), np.zeros((n, 2 * d, m))
    innovation, total = np.zeros((n, 2 * d)), np.zeros((n, 2 * d))
    states, covariances = np.empty((n, m)), np.empty((n, m, m))
    likelihood = 0.0
    for i in range(d):
        x[i] = measured[0, i] if seen[0] or not is_key[0] else key[0, i]
        p[i, i] = (1e3 * scale[0] * noise[WALK]) ** 2 + 1e4 * scale[0] ** 2
        p[d + i, d + i] = (scale[0] * noise[START_VELOCITY]) ** 2
        p[2 * d + i, 2 * d + i] = 1.0
    for k in range(n):
        if k > 0:
            _predict(time_s[k] - time_s[k - 1], scale[k], noise, d, x, p)
        for j in range(2 * d):
            i = j % d
            if j < d:
                if not seen[k]:
                    continue
                if d == 1:
                    row[k, j, 0] = 1.0
                    value = measured[k, 0]
                else:
                    along = np.cos(turn[k]) if i == 0 else -np.sin(turn[k])
                    across = np.sin(turn[k]) if i == 0 else np.cos(turn[k])
                    row[k, j, 0], row[k, j, 1] = along, across
                    value = along * measured[k, 0] + across * measured[k, 1]
                row[k, j, 2 * d + i] = bias_std[k, i]
                variance = spread[k, i] ** 2
            else:
                if not is_key[k]:
                    continue
                row[k, j, i] = 1.0
                value, variance = key[k, i], key_std**2
            likelihood += _update(value, variance, row[k, j], x, p, gain[k, j], innovation[k], total[k], j)
        states[k], covariances[k] = x, p
    if len(mean):
        _smooth(time_s, noise, d, row, gain, innovation, total, states, covariances, mean, var)
    return likelihood


@kernel
def _predict(t: float, scale: float, noise: F64, d: int, x: F64, p: F64) -> None:
    m = 3 * d
    fade = np.exp(-t / noise[FADE_S])
    for i in range(d):
        x[i] += t * x[d + i]
        x[2 * d + i] *= fade
    for i in range(d):  # p = F p F', first the rows, then the columns
        for j in range(m):
            p[i, j] += t * p[d + i, j]
            p[2 * d + i, j] *= fade
    for i in range(d):
        for j in range(m):
            p[j, i] += t * p[j, d + i]
            p[j, 2 * d + i] *= fade
    kick, walk = (scale * noise[ACCELERATION]) ** 2, (scale * noise[WALK]) ** 2
    for i in range(d):
        p[i, i] += walk * t + kick * t * t * t / 3.0
        p[i, d + i] += kick * t * t / 2.0
        p[d + i, i] += kick * t * t / 2.0
        p[d + i, d + i] += kick * t
        p[2 * d + i, 2 * d + i] += 1.0 - fade * fade


@kernel
def _update(
    value: float, variance: float, row: F64, x: F64, p: F64, gain: F64, innovation: F64, total: F64, j: int
) -> float:
    m = len(x)
    off, s = value, variance
    for a in range(m):
        off -= row[a] * x[a]
        ph = 0.0
        for b in range(m):
            ph += p[a, b] * row[b]
        gain[a] = ph
        s += row[a] * ph
    for a in range(m):
        gain[a] /= s
    for a in range(m):
        x[a] += gain[a] * off
        for b in range(a + 1):
            p[a, b] -= gain[a] * gain[b] * s
            p[b, a] = p[a, b]
    innovation[j], total[j] = off, s
    return float(-0.5 * (np.log(s) + off * off / s))


@kernel
def _smooth(
    time_s: F64, noise: F64, d: int, row: F64, gain: F64, innovation: F64, total: F64, states: F64,
    covariances: F64, mean: F64, var: F64,
) -> None:  # fmt: skip
    """Backwards: ``pull`` and ``grip`` are what the measurements after a sample say of it."""
    n, m = states.shape
    pull, grip = np.zeros(m), np.zeros((m, m))
    folded = np.zeros(m)
    for k in range(n - 1, -1, -1):
        for i in range(d):
            mean[k, i], var[k, i] = states[k, i], covariances[k, i, i]
            for a in range(m):
                mean[k, i] -= covariances[k, i, a] * pull[a]
                for b in range(m):
                    var[k, i] -= covariances[k, i, a] * grip[a, b] * covariances[k, b, i]
            var[k, i] = max(var[k, i], 0.0)
        for j in range(2 * d - 1, -1, -1):
            s = total[k, j]
            if s == 0.0:
                continue
            h, g = row[k, j], gain[k, j]
            weight, bend = innovation[k, j] / s, 1.0 / s
            for a in range(m):
                weight += g[a] * pull[a]
                folded[a] = 0.0
                for b in range(m):
                    folded[a] += grip[a, b] * g[b]
            for a in range(m):
                bend += g[a] * folded[a]
            for a in range(m):
                pull[a] -= h[a] * weight
                for b in range(m):
                    grip[a, b] += h[a] * h[b] * bend - h[a] * folded[b] - folded[a] * h[b]
        if k > 0:  # back over the step: F' pull, F' grip F
            t = time_s[k] - time_s[k - 1]
            fade = np.exp(-t / noise[FADE_S])
            for i in range(d):
                pull[d + i] += t * pull[i]
                pull[2 * d + i] *= fade
            for i in range(d):
                for a in range(m):
                    grip[d + i, a] += t * grip[i, a]
                    grip[2 * d + i, a] *= fade
            for i in range(d):
                for a in range(m):
                    grip[a, d + i] += t * grip[a, i]
                    grip[a, 2 * d + i] *= fade
