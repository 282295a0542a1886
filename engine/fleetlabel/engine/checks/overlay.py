"""Pictures with the lidar's edges laid over them: as calibrated, and as they fit best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection


def draw_pairs(figure: Figure, inspection: Inspection) -> None:
    """One picture of each camera with the lidar that it was measured against, and what was measured."""
    pairs = [pair for pair in inspection.pairs if pair.shown is not None and pair.estimate is not None]
    columns = min(max(len(pairs), 1), 3)
    axes = figure.subplots(-(-max(len(pairs), 1) // columns), columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for axis, pair in zip(axes, pairs, strict=False):
        shown, estimate = pair.shown, pair.estimate
        assert shown is not None and estimate is not None
        axis.imshow(shown.grey, cmap="gray", vmin=0, vmax=255, aspect="equal")
        for pixels, colour, size in ((shown.calibrated_px, "tab:red", 3.0), (shown.fitted_px, "lime", 1.0)):
            axis.plot(
                pixels[:, 0] - 0.5, pixels[:, 1] - 0.5, ".", color=colour, markersize=size, markeredgewidth=0
            )
        height, width = shown.grey.shape
        axis.set_xlim(0, width)
        axis.set_ylim(height, 0)
        turn = np.degrees(np.linalg.norm(estimate.rotation_rad))
        late = "time unknown" if np.isnan(estimate.late_s) else f"{1e3 * estimate.late_s:+.0f} ms"
        title = f"{pair.camera} to {pair.lidar}, {shown.time_s:.1f} s: {turn:.2f} deg, {late}"
        axis.set_title(title, fontsize=7, loc="left", pad=2)
    figure.suptitle("edges of the lidar: red as calibrated, green as they fit best", fontsize=8)
