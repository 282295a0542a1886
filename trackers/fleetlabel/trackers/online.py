"""What the 2D and the 3D tracker share: the state that is kept and handed on, errors about the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from fleetlabel.geometry.arrays import F64, I32, I64, AnyArray
from fleetlabel.trackers.kernels import online

AnyColumn = TypeVar("AnyColumn", bound=NDArray[Any])


@dataclass(slots=True)
class OnlineState:
    """Everything a tracker remembers between frames; see ``kernels.online`` for the layout."""

    mean: F64
    var: F64
    real: F64
    whole: I64
    clock: I64

    @classmethod
    def start(cls, dimensions: int) -> OnlineState:
        """No tracks yet; the first id is 1."""
        return cls(
            mean=np.zeros((0, 2, dimensions)),
            var=np.zeros((0, 3, dimensions)),
            real=np.zeros((0, 4)),
            whole=np.zeros((0, 5), dtype=np.int64),
            clock=np.array([1, 0, 0], dtype=np.int64),
        )

    def move_on(self, mean: F64, var: F64, real: F64, whole: I64, clock: I64) -> None:
        """Take over what the kernel made of it."""
        self.mean, self.var, self.real, self.whole, self.clock = mean, var, real, whole, clock

    def to_arrays(self) -> dict[str, AnyArray]:
        """Copies of all of it, by name."""
        return {name: getattr(self, name).copy() for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray], dimensions: int) -> OnlineState:
        """The state that :meth:`to_arrays` gave.

        Raises:
            ValueError: an array is missing, or has another shape or dtype than the state of this tracker.

        """
        blank = cls.start(dimensions)
        columns = {}
        for name in cls.__slots__:
            expected: AnyArray = getattr(blank, name)
            if name not in arrays:
                raise ValueError(
                    f"tracker state lacks {name!r}; expected {list(cls.__slots__)}, found {sorted(arrays)}"
                )
            found = np.asarray(arrays[name])
            fits = found.shape[1:] == expected.shape[1:] and found.ndim == expected.ndim
            if not fits or found.dtype != expected.dtype or (name == "clock" and len(found) != 3):
                raise ValueError(
                    f"tracker state {name!r} is {found.dtype} {found.shape}, expected {expected.dtype} (n, "
                    f"{expected.shape[1:]}); was it saved by a tracker of the same kind?"
                )
            columns[name] = found.copy(order="C")
        if len({len(columns[name]) for name in ("mean", "var", "real", "whole")}) != 1:
            raise ValueError(
                f"tracker state has tracks {[len(c) for c in columns.values()]}, expected equal lengths"
            )
        return cls(**columns)


def plain_times(timestamp_ns: AnyArray) -> I64:
    """Times (F,) int64 as kernels take them."""
    return kernel_ready(np.asarray(timestamp_ns, dtype=np.int64).reshape(-1))


def kernel_ready(column: AnyColumn) -> AnyColumn:
    """The column, copied where it is read-only or scattered: kernels are compiled once, for ordinary arrays."""
    return column if column.flags.carray else column.copy(order="C")


def refuse(state: OnlineState, timestamp_ns: I64, frame: I32, box: F64, score: F64) -> NoReturn:
    """Raise the error of a chunk that the kernel did not take.

    Raises:
        ValueError: times that do not ascend, frames outside the chunk, numbers that are not finite, or boxes
            without extent.

    """
    check_detections(len(check_times(timestamp_ns, state)), frame, box, score)
    raise AssertionError("the kernel refused a chunk that passes all checks; please report this")


def check_times(timestamp_ns: I64, state: OnlineState | None = None) -> I64:
    """Times (F,) as int64, strictly ascending and later than what the state has seen; else ValueError."""
    times = np.array(timestamp_ns, dtype=np.int64).reshape(-1)
    stuck = times[1:] <= times[:-1]
    if stuck.any():
        row = int(stuck.argmax()) + 1
        what = "the same time as" if times[row] == times[row - 1] else "a time before"
        raise ValueError(
            f"frame {row} has {what} frame {row - 1} ({times[row]} ns, {times[row - 1]} ns); expected timestamps that "
            "strictly ascend: drop duplicates and sort the frames before tracking"
        )
    if (
        state is not None
        and len(times)
        and state.clock[online.STARTED]
        and times[0] <= state.clock[online.CLOCK_NS]
    ):
        raise ValueError(
            f"frame 0 has time {times[0]} ns, not later than the last tracked frame ({state.clock[online.CLOCK_NS]} "
            "ns); expected time to go forward: feed each frame once and in order, or reset() for a new sequence"
        )
    return times


def check_detections(n_frames: int, frame: I32, box: F64, score: F64) -> I64:
    """Offsets (F + 1,) of the rows of each frame; ValueError for frames out of range and unusable numbers."""
    if len(frame) and (int(frame[0]) < 0 or int(frame[-1]) >= n_frames):
        raise ValueError(
            f"detections have frames {frame[0]}..{frame[-1]}, expected 0..{n_frames - 1}: frames count from the first "
            "timestamp of the chunk"
        )
    finite = np.isfinite(box).all(axis=1) & np.isfinite(score)
    if not bool(finite.all()):
        row = int(np.argmin(finite))
        raise ValueError(
            f"detection {row} (frame {frame[row]}) is not finite: box {box[row].tolist()}, score {score[row]}; "
            "drop such detections before tracking"
        )
    size = box[:, 2:4] if box.shape[1] == 4 else box[:, 3:6]
    solid = (size > 0).all(axis=1)
    if not bool(solid.all()):
        row = int(np.argmin(solid))
        raise ValueError(
            f"detection {row} (frame {frame[row]}) has size {size[row].tolist()}, expected positive numbers; "
            "drop boxes without extent before tracking"
        )
    return np.searchsorted(frame, np.arange(n_frames + 1)).astype(np.int64)
