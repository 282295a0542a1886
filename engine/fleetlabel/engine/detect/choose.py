"""Which library runs this model fastest on this machine: asks by measuring, before a run starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from fleetlabel.engine.detect.backend import Backend, BackendSpec
from fleetlabel.engine.detect.config import DetectConfig, JpegDecoder
from fleetlabel.engine.detect.device_pictures import nvjpeg_missing
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.libraries import open_backend, possible_specs
from fleetlabel.engine.detect.weights import Weights
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import FleetLabelError, UsageError

_log = logging.getLogger(__name__)

WARM_UP_RUNS = 2
TIMED_RUNS = 7
SCORE_TOLERANCE = 0.1  # largest difference from the reference that a score may have
BOX_TOLERANCE_PX = 2.0  # and the median box side, in network pixels


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one way to run a model did.

    Attributes:
        spec: backend, device and precision.
        ms_per_input: time of one network input in the least disturbed run; NaN if it could not run.
        refused: why it is out of the question; empty if it is not.
    """

    spec: BackendSpec
    ms_per_input: float
    refused: str = ""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """The way that was chosen, and on what grounds.

    Attributes:
        config: the settings with backend, device, precision, batch and size made definite: give these to
            every worker, so that all do the same.
        measurements: of every way tried; empty if there was only one.
    """

    config: DetectConfig
    measurements: tuple[Measurement, ...]


@dataclass(slots=True, eq=False)
class _Trial:
    """A loaded candidate and how it does."""

    backend: Backend
    inputs: F32
    output: F32 = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    seconds: list[float] = field(default_factory=list)


def choose_backend(
    weights: Weights, config: DetectConfig, candidates: Sequence[BackendSpec] | None = None
) -> BackendChoice:
    """Measures every way to run the model that the settings allow, and takes the fastest that agrees.

    All get the same random picture. The first candidate is the reference: one whose boxes or scores differ
    from its by more than rounding can explain is refused.

    Args:
        weights: the model.
        config: settings; ``auto`` leaves a choice.
        candidates: ways to try, the reference first; None: all that are installed.

    Raises:
        UsageError: the settings cannot be met.
        ModelFileError: nothing can run the model.
    """
    specs = possible_specs(weights, config) if candidates is None else tuple(candidates)
    if len(specs) == 1:
        return BackendChoice(_definite(weights, config, specs[0]), ())
    trials, refused = _load_all(weights, config, specs)
    if not trials:
        raise refused[0][1]
    _time_in_turns(trials)
    measurements = [Measurement(spec, float("nan"), str(error)) for spec, error in refused]
    for trial in trials:
        gap = _disagreement(trials[0].output, trial.output, weights.head)
        measurements.append(
            Measurement(trial.backend.spec, 1e3 * min(trial.seconds) / len(trial.inputs), gap)
        )
        _log.info("%s: %.1f ms per input %s", trial.backend.spec, measurements[-1].ms_per_input, gap)
    fastest = min((m for m in measurements if not m.refused), key=lambda m: m.ms_per_input)
    return BackendChoice(_definite(weights, config, fastest.spec), tuple(measurements))


def network_size(weights: Weights, config: DetectConfig) -> int:
    """Longest side of the network input, pixels.

    Raises:
        UsageError: another size was asked for than the model is fixed to.
    """
    if config.imgsz_px is None:
        return weights.imgsz_px
    if weights.network_hw is not None and config.imgsz_px != max(weights.network_hw):
        height, width = weights.network_hw
        raise UsageError(
            f"{weights.path}: imgsz {config.imgsz_px} was asked for, but this model is fixed to {height} "
            f"x {width} "
            "pixels; leave imgsz out, use tiles to see smaller objects, or export the model with dynamic=True"
        )
    if weights.network_hw is None and config.imgsz_px % weights.stride_px:
        raise UsageError(
            f"{weights.path}: imgsz must be a multiple of {weights.stride_px} for this model, found "
            f"{config.imgsz_px}"
        )
    return config.imgsz_px


def batch_size(weights: Weights, config: DetectConfig) -> int:
    """Network inputs per run, once device and precision are definite.

    Raises:
        UsageError: another number was asked for than the model can take.
    """
    if weights.batch is not None:
        if config.batch not in (None, weights.batch):
            raise UsageError(
                f"{weights.path}: batch {config.batch} was asked for, but this model is fixed to "
                f"{weights.batch}; "
                "leave batch out, or export the model with dynamic=True"
            )
        return weights.batch
    if weights.mixes_batch and config.precision == "int8":
        if config.batch not in (None, 1):
            raise UsageError(
                f"{weights.path}: batch {config.batch} was asked for, but this model quantises over the "
                "whole batch, "
                "so that boxes would depend on neighbouring pictures; leave batch out, or choose "
                "precision=fp32"
            )
        return 1
    return config.batch or (32 if config.device == "cuda" else 1)


def _definite(weights: Weights, config: DetectConfig, spec: BackendSpec) -> DetectConfig:
    chosen = replace(
        config,
        backend=cast(Any, spec.backend),
        device=cast(Any, spec.device),
        precision=cast(Any, spec.precision),
        imgsz_px=network_size(weights, config),
    )
    return replace(chosen, batch=batch_size(weights, chosen), jpeg_decoder=_jpeg_decoder(chosen))


def _jpeg_decoder(config: DetectConfig) -> JpegDecoder:
    """Who decodes JPEGs, once device and backend are definite."""
    wanted = config.jpeg_decoder
    spec = BackendSpec(config.backend, config.device, config.precision)
    on_gpu = spec.keeps_pictures_on_device
    if wanted == "cpu" or (wanted == "auto" and not on_gpu):
        return "cpu"
    missing = nvjpeg_missing() if on_gpu else f"the network runs with {spec}"
    if wanted == "nvjpeg" and missing:
        raise UsageError(
            f"the GPU was to decode pictures (jpeg_decoder=nvjpeg), but {missing}; leave jpeg_decoder out"
        )
    if missing:
        _log.info("pictures are decoded by the CPU: %s", missing)
    return "cpu" if missing else "nvjpeg"


def _random_inputs(weights: Weights, config: DetectConfig) -> F32:
    side = config.imgsz_px or weights.imgsz_px
    height, width = weights.network_hw or (side, side)
    noise = np.random.default_rng(0).random((3, -(-height // 16), -(-width // 16)), dtype=np.float32)
    picture = noise.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    return np.ascontiguousarray(np.broadcast_to(picture, (config.batch or 1, 3, height, width)))


def _load_all(
    weights: Weights, config: DetectConfig, specs: Sequence[BackendSpec]
) -> tuple[list[_Trial], list[tuple[BackendSpec, FleetLabelError]]]:
    """Those that can run the model, warmed up, and the errors of those that cannot."""
    trials: list[_Trial] = []
    refused: list[tuple[BackendSpec, FleetLabelError]] = []
    for spec in specs:
        definite = _definite(weights, config, spec)
        try:
            trial = _Trial(open_backend(weights, spec, definite), _random_inputs(weights, definite))
        except FleetLabelError as error:
            refused.append((spec, error))
            continue
        for _ in range(WARM_UP_RUNS):
            trial.output = trial.backend.forward(trial.inputs)[:1]
        trials.append(trial)
    return trials, refused


def _time_in_turns(trials: Sequence[_Trial]) -> None:
    """Times all, one after the other in each round, so that a busy moment of the machine hits all alike."""
    for _ in range(TIMED_RUNS):
        for trial in trials:
            start = time.perf_counter()
            trial.backend.forward(trial.inputs)
            trial.seconds.append(time.perf_counter() - start)


def _disagreement(reference: F32, output: F32, head: Head) -> str:
    """What differs too much from the reference, empty if nothing does.

    This finds a library that gets the network wrong, not the last digit. Boxes are compared by their median:
    where the network sees nothing they mean nothing, and rounding moves them far. End-to-end outputs are
    compared by their sorted scores: rounding may swap the rows of equally good boxes.
    """
    if reference.shape != output.shape:
        return f"gave {output.shape = }, the reference {reference.shape}"
    if not np.isfinite(output).all():
        return "gave values that are not finite"
    if head is Head.END_TO_END:
        score_gap = float(np.abs(np.sort(reference[..., 4]) - np.sort(output[..., 4])).max())
        return f"scores differ by {score_gap:.3f}" if score_gap > SCORE_TOLERANCE else ""
    score_gap = float(np.abs(reference[:, 4:] - output[:, 4:]).max())
    box_gap = float(np.median(np.abs(reference[:, :4] - output[:, :4])))
    if score_gap > SCORE_TOLERANCE or box_gap > BOX_TOLERANCE_PX:
        return f"differs from the reference: scores by {score_gap:.3f}, boxes by {box_gap:.1f} px"
    return ""
