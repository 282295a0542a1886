"""ONNX models in ONNX Runtime: CPU, and CUDA where its GPU package is installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.dequantise import can_dequantise, dequantised
from fleetlabel.engine.detect.metadata import read_export
from fleetlabel.engine.detect.weights import Weights, WeightsKind, sha256_of
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    import onnxruntime

# Read when onnxruntime is first imported: since 1.32 it would report each model's use to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ERRORS_ONLY = 3
_QUANTISED_OPERATORS = (b"ConvInteger", b"QLinearConv", b"DequantizeLinear")


def onnxruntime_specs(weights: Weights) -> list[BackendSpec]:
    """What ONNX Runtime can run these weights on."""
    import onnxruntime

    precisions = [weights.precision]
    if weights.mixes_batch and can_dequantise():
        precisions.insert(0, "fp32")
    devices = ["cpu"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        devices.append("cuda")
    return [BackendSpec("onnxruntime", device, precision) for device in devices for precision in precisions]


def inspect_onnx(path: Path) -> Weights:
    """Describes an ``.onnx`` file.

    Raises:
        ModelFileError: not an ONNX model, damaged, or not a detector.
    """
    session = _session(path, None, threads=1, device="cpu", optimise=False)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    said = read_export(
        path,
        session.get_modelmeta().custom_metadata_map,
        [_shape(tensor.shape) for tensor in inputs],
        [_shape(tensor.shape) for tensor in outputs],
    )
    content = path.read_bytes()
    quantised = any(operator in content for operator in _QUANTISED_OPERATORS)
    half = inputs[0].type == "tensor(float16)"
    return Weights(
        path=path,
        kind=WeightsKind.ONNX,
        sha256=sha256_of(path),
        class_names=said.class_names,
        network_hw=said.network_hw,
        imgsz_px=said.imgsz_px,
        batch=said.batch,
        stride_px=said.stride_px,
        precision="int8" if quantised else "fp16" if half else "fp32",
        mixes_batch=b"DynamicQuantizeLinear" in content,
        head=said.head,
        notes=said.notes,
    )


class OnnxRuntimeBackend:
    """A session of ONNX Runtime; its ``run`` may be called from several threads."""

    def __init__(self, weights: Weights, spec: BackendSpec, *, threads: int) -> None:
        import onnxruntime

        self.spec = spec
        self.version: str = onnxruntime.__version__
        content = dequantised(weights.path) if weights.mixes_batch and spec.precision != "int8" else None
        self._session = _session(weights.path, content, threads=threads, device=spec.device)
        tensor = self._session.get_inputs()[0]
        self._input = tensor.name
        self._dtype = np.float16 if tensor.type == "tensor(float16)" else np.float32

    def forward(self, batch: F32) -> F32:
        """See :class:`~fleetlabel.engine.detect.backend.Backend`."""
        output = self._session.run(None, {self._input: batch.astype(self._dtype, copy=False)})[0]
        return np.asarray(output, dtype=np.float32)


def _session(
    path: Path, content: bytes | None, *, threads: int, device: str, optimise: bool = True
) -> onnxruntime.InferenceSession:
    """A session of the model in ``content``, None: in the file."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"{path}: reading .onnx files needs onnxruntime; install it") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers = ["CUDAExecutionProvider"] if device == "cuda" else []
    try:
        session = onnxruntime.InferenceSession(
            content or str(path), options, providers=[*providers, "CPUExecutionProvider"]
        )
    except Exception as error:  # its errors share no base class below Exception
        raise ModelFileError(
            f"{path}: this is not an ONNX model, or it is damaged: expected a file that ONNX Runtime "
            f"{onnxruntime.__version__} can load, found {_size(path)} and "
            f"'{str(error).strip().splitlines()[0]}'; copy or export it again"
        ) from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise UsageError(
            "onnxruntime cannot use the GPU (it fell back to the CPU): install onnxruntime-gpu for this "
            "machine's "
            "CUDA version, or choose device=cpu"
        )
    return session


def _size(path: Path) -> str:
    return f"{path.stat().st_size} bytes" if path.is_file() else "no such file"


def _shape(shape: list[int | str | None]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) and side > 0 else None for side in shape)
