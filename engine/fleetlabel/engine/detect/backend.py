"""The contract that every inference library is brought under, and who can run what."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.weights import Weights, WeightsKind
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError, UsageError


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One way to run a model.

    Attributes:
        backend: ``torch``, ``onnxruntime``, ``openvino`` or ``tensorrt``.
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, ``bf16`` or ``fp16``: the arithmetic of what is not quantised.
    """

    backend: str
    device: str
    precision: str

    def __str__(self) -> str:
        return f"{self.backend} {self.device} {self.precision}"


class Backend(Protocol):
    """A loaded network. ``forward`` may be called from several threads at once.

    Attributes:
        spec: how it runs.
        version: of the library.
    """

    spec: BackendSpec
    version: str

    def forward(self, batch: F32) -> F32:
        """Output of the network, float32, (B, 4 + n_classes, A) or (B, N, 6) by the weights' head.

        Args:
            batch: (B, 3, H, W) float32 RGB, 0..1, C-contiguous.
        """
        ...


def possible_specs(weights: Weights, config: DetectConfig) -> tuple[BackendSpec, ...]:
    """Every way to run these weights here that the settings allow, the reference for correctness first.

    Raises:
        UsageError: none is left; says what is missing.
    """
    found = _installed_specs(weights)
    left = tuple(
        spec
        for spec in found
        if config.backend in ("auto", spec.backend)
        and config.device in ("auto", spec.device)
        and config.precision in ("auto", spec.precision)
    )
    if not left:
        raise UsageError(
            f"{weights.path}: nothing here can run this {weights.kind} model with backend={config.backend}, "
            f"device={config.device}, precision={config.precision}; possible: "
            f"{', '.join(map(str, found)) or 'nothing: ' + _missing(weights)}"
        )
    return left


def open_backend(weights: Weights, spec: BackendSpec, config: DetectConfig) -> Backend:
    """Loads a network into a library, and runs it once to see that its output is what the file promised.

    Raises:
        ModelFileError: the library refuses the model, or its output has another shape.
    """
    backend = _load(weights, spec, config)
    height, width = weights.network_hw or (2 * weights.stride_px, 2 * weights.stride_px)
    output = backend.forward(np.zeros((weights.batch or 1, 3, height, width), dtype=np.float32))
    rows = output.shape[1] if output.ndim == 3 else -1
    good = output.shape[-1] == 6 if weights.head is Head.END_TO_END else rows == 4 + len(weights.class_names)
    if output.ndim != 3 or output.shape[0] != (weights.batch or 1) or not good:
        raise ModelFileError(
            f"{weights.path}: {spec} gave {output.shape = } for an input of {height} x {width} pixels, "
            "expected "
            + (
                "(batch, boxes, 6)"
                if weights.head is Head.END_TO_END
                else f"(batch, {4 + len(weights.class_names)}, boxes)"
            )
            + f" for {len(weights.class_names)} classes; export the model again as a plain detector"
        )
    return backend


def _load(weights: Weights, spec: BackendSpec, config: DetectConfig) -> Backend:
    if spec.backend == "onnxruntime":
        from fleetlabel.engine.detect.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(weights, spec, threads=config.threads)
    if spec.backend == "openvino":
        from fleetlabel.engine.detect.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(weights, spec, threads=config.threads)
    if spec.backend == "torch":
        from fleetlabel.engine.detect.torch_backend import TorchBackend

        return TorchBackend(weights, spec, threads=config.threads, trust_pickle=config.trust_pickle)
    from fleetlabel.engine.detect.tensorrt_backend import TensorRtBackend

    return TensorRtBackend(weights, spec)


def _installed_specs(weights: Weights) -> list[BackendSpec]:
    specs: list[BackendSpec] = []
    if weights.kind is WeightsKind.ONNX and _installed("onnxruntime"):
        from fleetlabel.engine.detect.onnxruntime_backend import onnxruntime_specs

        specs += onnxruntime_specs(weights)
    if weights.kind in (WeightsKind.ONNX, WeightsKind.OPENVINO) and _installed("openvino"):
        from fleetlabel.engine.detect.openvino_backend import openvino_specs

        specs += openvino_specs(weights)
    if weights.kind is WeightsKind.ULTRALYTICS and _installed("torch") and _installed("ultralytics"):
        from fleetlabel.engine.detect.torch_backend import torch_specs

        specs += torch_specs()
    if weights.kind is WeightsKind.TENSORRT and _installed("tensorrt"):
        from fleetlabel.engine.detect.tensorrt_backend import tensorrt_specs

        specs += tensorrt_specs(weights)
    return specs


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _missing(weights: Weights) -> str:
    wanted = {
        WeightsKind.ONNX: "install onnxruntime or openvino",
        WeightsKind.OPENVINO: "install openvino",
        WeightsKind.ULTRALYTICS: "install torch and ultralytics (the extra fleetlabel[yolo])",
        WeightsKind.TENSORRT: "a TensorRT engine needs an NVIDIA GPU and the tensorrt package",
    }
    return wanted[weights.kind]
