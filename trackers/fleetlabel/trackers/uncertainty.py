"""How sure smoothed boxes are: standard deviations whose 90 % intervals hold 90 % of the truth.

The smoother takes a detector's errors to be independent from frame to frame, and so is too sure of itself.
What a detector gets wrong in the same way all along a track is added: a share of the box's own size, and a
part that no averaging takes away. Where nothing was detected, that part is larger: something was in the way.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.trackers.offline_config import Smooth2DConfig, Smooth3DConfig, SmoothConfig
from fleetlabel.trackers.timeline import Timeline


def edge_std_px(line: Timeline, sample: I64, config: Smooth2DConfig) -> F64:
    """Standard deviations (N, 4) of the edges x1 y1 x2 y2 of samples of a 2D timeline, in pixels.

    The lasting part grows with the detections' own jitter, as fitted for the class: a detector that is unsure
    from frame to frame is also wrong for long.
    """
    jitter = line.noise[line.track[sample], 0] * line.scale[sample, None]
    lasting = (config.std_share * line.mean[sample, 0, 2:]) ** 2 + config.std_jitter**2 * _of_edges(jitter**2)
    std = _total(line, sample, config, _of_edges(line.var[sample, 0]), lasting)
    return np.concatenate([std, std], axis=1)


def center_std_m(line: Timeline, sample: I64, size_lwh_m: F64, config: Smooth3DConfig) -> F64:
    """Standard deviations (N, 3) of the centres along length, width and height, of boxes of a size (N, 3).

    The ground plane's two directions share one noise, so turning them into the box's axes changes nothing.
    """
    floor = np.array([config.std_ground_m, config.std_ground_m, config.std_height_m])
    lasting = (config.std_share * size_lwh_m) ** 2 + floor**2
    return _total(line, sample, config, line.var[sample, 0, :3], lasting)


def _of_edges(variance: F64) -> F64:
    """Variances (N, 2) of edges in x and y, from those (N, 4) of centre and size."""
    return variance[:, :2] + 0.25 * variance[:, 2:]


def _total(line: Timeline, sample: I64, config: SmoothConfig, smoothed: F64, lasting: F64) -> F64:
    unseen = np.where(line.detection[sample] >= 0, 1.0, config.std_unseen)[:, None]
    return np.sqrt(config.std_factor**2 * smoothed + unseen**2 * lasting)
