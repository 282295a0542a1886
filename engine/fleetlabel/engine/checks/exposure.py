"""Pictures that show nothing or always the same: broken, blank, too dark, too bright, frozen.

Some pictures of each camera are looked at in small, evenly over the drive, each with the next one. Two in a row are the
same if their files are, or if they differ less than any two exposures do while the vehicle drives. Where a pair is the
same, the run of equal pictures is followed to both ends, by halving on the way to pairs that are known to differ. So a
freeze that lasts longer than the distance of the moments (about a second) is found, with its exact first frame, without
reading every picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict
from fleetlabel.engine.detect.picture import decode_picture
from fleetlabel.geometry.arrays import F64, I64, U8, Bool
from fleetlabel.model.errors import FleetLabelError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

_SMALL_PX = 160
_BLANK_CONTRAST = 3.0  # standard deviation of grey values, of 255
_DARK, _BRIGHT = 12.0, 243.0  # mean grey values
_LOST_SHARE = 0.6  # of a picture that is black or white
_SAME = 0.05  # mean difference of grey values: below any sensor's noise, even averaged over a block
_WARN_SHARE, _FAIL_SHARE = 0.02, 0.2  # of the pictures that are unfit


@dataclass(frozen=True, slots=True, eq=False)
class CameraHealth:
    """How a camera's pictures are.

    Attributes:
        frames: (N,) that were looked at.
        mean, contrast: (N,) grey values' mean and standard deviation.
        lost: (N,) share of pixels that are black or white.
        broken: (N,) whether it cannot be decoded.
        frozen: (first frame that shows an earlier picture, last one) of each run.
        small: pictures to show.
    """

    frames: I64
    mean: F64
    contrast: F64
    lost: F64
    broken: Bool
    frozen: tuple[tuple[int, int], ...]
    small: dict[int, U8] = field(default_factory=dict)

    @property
    def blank(self) -> Bool:
        """(N,) whether it shows nothing."""
        return ~self.broken & (self.contrast < _BLANK_CONTRAST)

    @property
    def exposed_wrong(self) -> Bool:
        """(N,) whether it is so dark or so bright that most of it is lost."""
        lost = (self.lost > _LOST_SHARE) | (self.mean < _DARK) | (self.mean > _BRIGHT)
        return ~self.broken & ~self.blank & lost

    def fit(self, frames: I64) -> Bool:
        """Which frames (F,) are worth a look: not frozen, and the nearest one looked at shows something."""
        fit = np.ones(len(frames), dtype=np.bool_)
        for first, last in self.frozen:
            fit &= (frames < first) | (frames > last)
        bad = self.broken | self.blank
        if bad.any():
            nearest = np.abs(self.frames[:, None] - frames[None, :]).argmin(axis=0)
            fit &= ~bad[nearest]
        return fit


class PictureHealth(Check):
    """Finds broken, blank, badly exposed and frozen pictures."""

    name = "pictures"
    looks_at = "blank, frozen, broken and badly exposed pictures"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        findings = [self._judged(inspection, name, health) for name, health in inspection.health.items()]
        return Checked(tuple(findings), lambda figure: _draw(figure, inspection))

    def _judged(self, inspection: Inspection, camera: str, health: CameraHealth) -> Finding:
        if not len(health.frames):
            return self.finding(camera, Verdict.UNKNOWN, "there are no pictures")
        values = {
            "mean_grey": float(np.nanmedian(health.mean)),
            "contrast": float(np.nanmedian(health.contrast)),
        }
        if health.frozen:
            first, last = health.frozen[0]
            n_frozen = sum(last - first + 1 for first, last in health.frozen)
            since = inspection.time_s(int(inspection.info.frame_timestamp_ns[first]))
            text = f"frozen from frame {first} ({since:.1f} s) to {last}: {n_frozen} pictures repeat an earlier one"
            found = values | {"first_frame": first, "last_frame": last, "frozen_frames": n_frozen}
            return self.finding(camera, Verdict.FAIL, text, found, "frozen")
        for fault, which, told in (
            ("broken", health.broken, "cannot be decoded"),
            ("blank", health.blank, "show nothing"),
            ("exposure", health.exposed_wrong, "are so dark or so bright that most of them is lost"),
        ):
            share = float(which.mean())
            if share >= _WARN_SHARE:
                verdict = Verdict.FAIL if share >= _FAIL_SHARE else Verdict.WARN
                first = int(health.frames[int(np.argmax(which))])
                text = f"{int(which.sum())} of {len(which)} pictures {told}, first in frame {first}"
                found = values | {"share_percent": 100 * share, "first_frame": first}
                return self.finding(camera, verdict, text, found, fault)
        text = f"mean grey {values['mean_grey']:.0f}, contrast {values['contrast']:.0f}, of 255"
        return self.finding(camera, Verdict.PASS, text, values)


def camera_health(inspection: Inspection, camera: str) -> CameraHealth:
    """Looks at some of a camera's pictures, in small."""
    there = inspection.frames_there(camera)
    reading = _Reading(inspection, camera, there)
    rows = inspection.spread(np.arange(len(there)))
    if not len(rows):
        nothing = np.empty(0)
        return CameraHealth(there, nothing, nothing, nothing, np.empty(0, np.bool_), ())
    small = [reading.small(int(row)) for row in rows]
    broken = np.array([one is None for one in small])
    mean = np.array([np.nan if one is None else float(one.mean()) for one in small])
    contrast = np.array([np.nan if one is None else float(one.std()) for one in small])
    lost = np.array([np.nan if one is None else float(np.mean((one < 4) | (one > 251))) for one in small])
    shown = {int(there[row]): one for row, one in zip(rows.tolist(), small, strict=True) if one is not None}
    keep = list(shown)[:: max(len(shown) // 6, 1)][:6]
    return CameraHealth(
        there[rows],
        mean,
        contrast,
        lost,
        broken,
        reading.frozen(rows),
        {frame: shown[frame] for frame in keep},
    )


class _Reading:
    """A camera's pictures by row: the n-th picture that is there."""

    def __init__(self, inspection: Inspection, camera: str, there: I64) -> None:
        self._inspection, self._camera, self._there = inspection, camera, there
        self._known: dict[int, U8 | None] = {}
        self._drives = np.zeros(len(there), dtype=np.bool_)
        times = inspection.recording.timestamp_ns(camera)[there]
        reached = inspection.reachable(times)
        self._drives[reached] = inspection.moving(times[reached])

    def small(self, row: int) -> U8 | None:
        """A picture, some 160 pixels wide and grey; None if it is broken."""
        if row not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            self._known[row] = self._read(row)
        return self._known[row]

    def _read(self, row: int) -> U8 | None:
        try:
            jpeg = self._inspection.recording.jpeg(self._camera, int(self._there[row]))
            rgb = decode_picture(jpeg, reduction=4).rgb
        except FleetLabelError:
            return None
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        height = max(round(grey.shape[0] * _SMALL_PX / grey.shape[1]), 1)
        return np.asarray(cv2.resize(grey, (_SMALL_PX, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def same(self, row: int, other: int) -> bool:
        """Whether two rows show one and the same exposure."""
        one, two = self.small(row), self.small(other)
        if one is None or two is None or one.shape != two.shape or float(one.std()) < _BLANK_CONTRAST:
            return False
        difference = float(np.mean(np.abs(one.astype(np.int16) - two)))
        return difference == 0.0 or (difference < _SAME and bool(self._drives[row] and self._drives[other]))

    def frozen(self, rows: I64) -> tuple[tuple[int, int], ...]:
        """Runs of frames that show an earlier picture; found at rows, followed to their ends."""
        last = len(self._there) - 1
        runs: list[tuple[int, int]] = []
        for row in rows.tolist():
            row = min(row, last - 1)
            if row < 0 or (runs and row <= runs[-1][1]) or not self.same(row, row + 1):
                continue
            low = runs[-1][1] + 1 if runs else 0
            first = self._end(row, low, -1)
            runs.append((first + 1, self._end(row + 1, last, 1)))
        return tuple((int(self._there[first]), int(self._there[end])) for first, end in runs)

    def _end(self, row: int, limit: int, step: int) -> int:
        """The last row towards a limit that still shows what ``row`` does, by doubling steps, then halving."""
        reach, known = 1, row
        while known != limit:
            trial = known + step * reach
            trial = max(trial, limit) if step < 0 else min(trial, limit)
            if self.same(row, trial):
                known, reach = trial, 2 * reach
            elif reach == 1:
                break
            else:
                reach = max(reach // 4, 1)
        return known


def _draw(figure: Figure, inspection: Inspection) -> None:
    cameras = list(inspection.health.items())
    columns = 6
    axes = figure.subplots(max(len(cameras), 1), columns + 1, squeeze=False)
    for row, (name, health) in zip(axes, cameras, strict=False):
        row[0].plot(health.frames, health.mean, label="mean")
        row[0].plot(health.frames, health.contrast, label="contrast")
        for first, last in health.frozen:
            row[0].axvspan(first, last, color="tab:red", alpha=0.3)
        row[0].set_ylim(0, 255)
        row[0].tick_params(labelsize=6)
        row[0].set_title(name, fontsize=8, loc="left", pad=2)
        for axis in row[1:]:
            axis.set_axis_off()
        for axis, (frame, small) in zip(row[1:], health.small.items(), strict=False):
            axis.imshow(small, cmap="gray", vmin=0, vmax=255)
            frozen = any(first <= frame <= last for first, last in health.frozen)
            axis.set_title(f"{frame}{' frozen' if frozen else ''}", fontsize=7, pad=2)
    axes[0][0].legend(fontsize=6)
