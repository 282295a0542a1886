"""What a measurement says: the work, how it was done, and the time of each repeat and step."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.model.errors import UsageError
from fleetlabel.store.durable import write_file

FORMAT = 1
STEPS = ("read", "decode", "preprocess", "inference", "nms", "lift", "associate", "smooth", "link", "write")
OTHER = "other"
"""The rest of the process' core time: planning, scheduling, opening stores, threads of libraries."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step, over all repeats.

    Attributes:
        step: its name, of :data:`STEPS`, or :data:`OTHER`.
        frames: pictures, sweeps or frames that it handled in one repeat.
        core_s: core time of one repeat, median.
        ms_p50, ms_p99: wall time of one frame; steps that take many at once count evenly for each.
        n_bytes: that it read or made in one repeat.
        share: of the core time of all steps.
    """

    step: str
    frames: int
    core_s: float
    ms_p50: float | None
    ms_p99: float | None
    n_bytes: int
    share: float

    @property
    def frames_per_s(self) -> float:
        """What one core does of this step in a second, and nothing else."""
        return self.frames / self.core_s if self.core_s > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Repeat:
    """One time through all of the work.

    Attributes:
        wall_s: from the call that labels a store to its return.
        core_s: of the whole process meanwhile.
        peak_bytes: most resident memory meanwhile.
        limit_s: what the needed steps alone would take on all cores, measured right before and after; see ``limit``.
        boxes: in the label version, in pictures and in the world.
    """

    wall_s: float
    core_s: float
    peak_bytes: int
    limit_s: float
    boxes: int

    @property
    def efficiency(self) -> float:
        """Share of the physical limit that was reached."""
        return self.limit_s / self.wall_s


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a drive is.

    Attributes:
        frames: of the sequence.
        cameras, lidars: how many.
        pictures: usable ones of all cameras.
        picture_bytes: of their files.
        points: of all sweeps.
    """

    frames: int
    cameras: int
    lidars: int
    pictures: int
    picture_bytes: int
    points: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A measurement.

    Attributes:
        work: what was done: two measurements can be compared if it is equal.
        how: by which means: backend, device, precision, workers, ...
        machine: on what.
        sizes: how much it was.
        repeats: after warming up.
        steps: in the order in which a frame goes through them; ``other`` last.
        limit_core_ms: core time of what cannot be left out, alone, per picture; see ``limit``.
        first_s: wall time of the first of all times, with loading and compiling.
        output_bytes: what one repeat leaves on the disk.
        document_bytes: the share of that which Zarr's documents and commit records have: so much for each part.
        input_bytes: what the sensors' tables hold on the disk.
        ingest: ``wall_s``, ``core_s`` and ``n_bytes`` of the source; None if a store was measured.
        gpu: name, and use meanwhile; None without one.
        price_per_hour: of the machine; None if it was not given.
        warnings: what people should know.
    """

    work: Mapping[str, Any]
    how: Mapping[str, Any]
    machine: Mapping[str, Any]
    sizes: Sizes
    repeats: tuple[Repeat, ...]
    steps: tuple[StepLine, ...]
    limit_core_ms: Mapping[str, float]
    first_s: float
    output_bytes: int
    document_bytes: int
    input_bytes: int
    ingest: Mapping[str, float] | None = None
    gpu: Mapping[str, Any] | None = None
    price_per_hour: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def wall_s(self) -> float:
        """Median over the repeats."""
        return statistics.median(repeat.wall_s for repeat in self.repeats)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median of the repeats."""
        walls = [repeat.wall_s for repeat in self.repeats]
        return (max(walls) - min(walls)) / self.wall_s

    @property
    def pictures_per_s(self) -> float:
        """End to end."""
        return self.sizes.pictures / self.wall_s

    @property
    def frames_per_s(self) -> float:
        """End to end, frames of all sensors."""
        return self.sizes.frames / self.wall_s

    @property
    def efficiency(self) -> float:
        """End-to-end rate over the physical limit, median."""
        return statistics.median(repeat.efficiency for repeat in self.repeats)

    @property
    def unavoidable(self) -> float:
        """Share of the core time that the limit is made of: the efficiency, were cores never idle nor others'."""
        workers = int(self.how["workers"])
        return statistics.median(workers * repeat.limit_s / repeat.core_s for repeat in self.repeats)

    @property
    def peak_bytes(self) -> int:
        """Most resident memory of any repeat."""
        return max(repeat.peak_bytes for repeat in self.repeats)

    @property
    def costs(self) -> dict[str, float] | None:
        """In the unit of the price: of 1,000 frames of all sensors, of 1,000 pictures, of 1,000 boxes."""
        if self.price_per_hour is None:
            return None
        price = self.price_per_hour * self.wall_s / 3600.0
        counts = {
            "1000_frames": self.sizes.frames,
            "1000_pictures": self.sizes.pictures,
            "1000_boxes": round(statistics.median(repeat.boxes for repeat in self.repeats)),
        }
        return {name: 1000.0 * price / count for name, count in counts.items() if count}

    def step(self, name: str) -> StepLine | None:
        """The line of a step, if it was done."""
        return next((line for line in self.steps if line.step == name), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the numbers that follow from the others."""
        return {
            "format": FORMAT,
            "pictures_per_s": self.pictures_per_s,
            "frames_per_s": self.frames_per_s,
            "efficiency": self.efficiency,
            "unavoidable": self.unavoidable,
            "spread": self.spread,
            "costs": self.costs,
            **asdict(self),
        }

    def write(self, path: Path) -> None:
        """Writes it as JSON, replacing an earlier one."""
        write_file(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())


def load_bench(path: Path) -> Bench:
    """A measurement that was written.

    Raises:
        UsageError: the file is none.
    """
    try:
        said = json.loads(path.read_bytes())
        if said["format"] != FORMAT:
            raise UsageError(f"{path} has format {said['format']}, expected {FORMAT}; measure again")
        return Bench(
            sizes=Sizes(**said["sizes"]),
            repeats=_all(Repeat, said["repeats"]),
            steps=_all(StepLine, said["steps"]),
            warnings=tuple(said["warnings"]),
            **{name: said[name] for name in _PLAIN},
        )
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not what `fleetlabel bench DRIVE --json FILE` writes ({error!r})"
        ) from error


_PLAIN = (
    *("work", "how", "machine", "limit_core_ms", "first_s", "output_bytes", "input_bytes", "ingest", "gpu"),
    *("document_bytes", "price_per_hour"),
)


def _all(kind: type[Any], rows: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(kind(**row) for row in rows)
