"""Two measurements side by side, if they are of the same work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetlabel.engine.bench.result import Bench
from fleetlabel.model.errors import UsageError

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two measurements of the same work.

    Attributes:
        means: what differs in how and where they were made: name -> (first, second).
        numbers: name -> (first, second): rates, efficiency, memory, core milliseconds per picture of each step.
    """

    means: Mapping[str, tuple[Any, Any]]
    numbers: Mapping[str, tuple[float, float]]


def compare(first: Bench, second: Bench) -> Comparison:
    """Sets two measurements against each other.

    Raises:
        UsageError: they are not of the same work: other frames, weights, input size or settings.
    """
    work = _differing(_flat(first.work), _flat(second.work))
    if work:
        some = "; ".join(f"{name}: {a!r} and {b!r}" for name, (a, b) in list(work.items())[:_SHOWN])
        more = f"; and {len(work) - _SHOWN} more" if len(work) > _SHOWN else ""
        raise UsageError(
            f"these are measurements of different work, so their rates say nothing of each other: {some}{more}; "
            "measure both with the same drive, weights and settings"
        )
    means = _differing(
        _flat({"how": first.how, "machine": first.machine}),
        _flat({"how": second.how, "machine": second.machine}),
    )
    return Comparison(
        means, {name: (a, _numbers(second).get(name, 0.0)) for name, a in _numbers(first).items()}
    )


def _numbers(bench: Bench) -> dict[str, float]:
    pictures = max(bench.sizes.pictures, 1)
    return {
        "pictures/s": bench.pictures_per_s,
        "spread": bench.spread,
        "efficiency": bench.efficiency,
        "unavoidable share of core time": bench.unavoidable,
        "peak MiB": bench.peak_bytes / 2**20,
        **{f"limit: {name}, core-ms/picture": ms for name, ms in bench.limit_core_ms.items()},
        **{f"{line.step}, core-ms/picture": 1e3 * line.core_s / pictures for line in bench.steps},
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in {**a, **b} if a.get(name) != b.get(name)}
