"""The content of a part: samples with fixed-size columns, and flat columns of which each sample owns a run of rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fleetlabel.geometry.arrays import I64, U8, AnyArray

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Columns of a run of samples.

    Attributes:
        samples: name -> (N, ...) one row per sample.
        counts: (N,) int64 rows that each sample owns in the flat columns; zeros if there are none.
        flat: name -> (sum(counts), ...) rows of all samples, one after the other.
        state: arrays that a later task continues from (a tracker's checkpoint). They depend on where parts are
            cut, so they are no content and enter no content hash.
    """

    samples: Mapping[str, AnyArray]
    counts: I64
    flat: Mapping[str, AnyArray] = field(default_factory=dict)
    state: Mapping[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.counts.ndim != 1 or self.counts.dtype.kind not in "iu" or bool(np.any(self.counts < 0)):
            raise ValueError(
                f"counts must be one number of rows per sample, not negative; found {self.counts.dtype} "
                f"{self.counts.shape}"
            )
        rows = int(self.counts.sum())
        for name, column in self.samples.items():
            if len(column) != len(self.counts):
                raise ValueError(
                    f"sample column {name} has {column.shape = }, expected {len(self.counts)} rows"
                )
        for name, column in self.flat.items():
            if len(column) != rows:
                raise ValueError(
                    f"flat column {name} has {column.shape = }, expected {rows} rows (sum of counts)"
                )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def offsets(self) -> I64:
        """(N + 1,) flat rows of sample i are ``offsets[i]:offsets[i + 1]``."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts, dtype=np.int64)])

    def arrays(self) -> dict[str, AnyArray]:
        """Every column by its kind and name: ``samples.*``, ``flat.*``, ``state.*``."""
        kinds = {"samples": self.samples, "flat": self.flat, "state": self.state}
        return {
            f"{kind}.{name}": column for kind, columns in kinds.items() for name, column in columns.items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> Part:
        """The inverse of :meth:`arrays`, with ``counts`` among them."""
        kinds: dict[str, dict[str, AnyArray]] = {"samples": {}, "flat": {}, "state": {}}
        for name, column in arrays.items():
            kind, _, own_name = name.partition(".")
            if own_name:
                kinds[kind][own_name] = column
        return cls(counts=arrays["counts"].astype(np.int64), **kinds)

    def take(self, start: int, stop: int) -> Part:
        """Samples ``start:stop`` with the rows they own."""
        rows = slice(*self.offsets[[start, stop]])
        return Part(
            samples={name: column[start:stop] for name, column in self.samples.items()},
            counts=self.counts[start:stop],
            flat={name: column[rows] for name, column in self.flat.items()},
        )

    def digests(self) -> U8:
        """(N, 32) SHA-256 of every sample's content.

        They hang on the sample alone, not on how samples are cut into parts, so that a table's hash, made of them,
        is the same for every chunking.
        """
        samples = [np.ascontiguousarray(self.samples[name]) for name in sorted(self.samples)]
        flat = [(_row_bytes(self.flat[name]), _as_bytes(self.flat[name])) for name in sorted(self.flat)]
        offsets = self.offsets
        digests = np.empty((len(self), DIGEST_BYTES), dtype=np.uint8)
        for row in range(len(self)):
            digest = hashlib.sha256(int(self.counts[row]).to_bytes(8, "little"))
            for column in samples:
                digest.update(column[row].tobytes())
            for width, content in flat:
                digest.update(content[offsets[row] * width : offsets[row + 1] * width].data)
            digests[row] = np.frombuffer(digest.digest(), dtype=np.uint8)
        return digests

    @classmethod
    def concatenate(cls, parts: Sequence[Part]) -> Part:
        """Samples of several parts in order; checkpoints are left out."""
        return cls(
            samples={name: np.concatenate([p.samples[name] for p in parts]) for name in parts[0].samples},
            counts=np.concatenate([p.counts for p in parts]),
            flat={name: np.concatenate([p.flat[name] for p in parts]) for name in parts[0].flat},
        )


def _row_bytes(column: AnyArray) -> int:
    return column.dtype.itemsize * math.prod(column.shape[1:])


def _as_bytes(column: AnyArray) -> U8:
    return np.ascontiguousarray(column).reshape(-1).view(np.uint8)
