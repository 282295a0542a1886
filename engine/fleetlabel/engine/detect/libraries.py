"""The inference libraries: which formats each can read, which ways of running a model are installed, and opening one.

The only file that knows all backends; each is imported when it is needed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fleetlabel.engine.detect.backend import Backend, BackendSpec
from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.weights import Weights, WeightsKind
from fleetlabel.model.errors import ModelFileError, UsageError

MOST_WORKERS_PER_GPU = 12
WORKER_BYTES = 4 << 30  # of GPU memory: what a process takes with a small network, and some to spare


def load_weights(path: Path | str, *, trust_pickle: bool = False) -> Weights:
    """Reads what there is to know about weights, without running them.

    A ``.pt`` file is a pickle, and a pickle can run code when it is loaded. Only the network layers that
    ultralytics and torch define are allowed; a file with anything else is refused unless ``trust_pickle`` is
    set, which only files of one's own deserve.

    Args:
        path: ultralytics ``.pt``, ``.onnx``, OpenVINO folder (or its ``.xml``), TensorRT ``.engine``.
        trust_pickle: load a ``.pt`` that holds more than known layers.

    Raises:
        ModelFileError: missing, damaged, not a model, or a model of another task than detection.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(
            f"{path}: there is no such model file; expected a .pt, .onnx or .engine file or an OpenVINO "
            "folder. "
            "Nothing is downloaded by itself: fetch the weights first and give their path"
        )
    if path.is_dir() or path.suffix == ".xml":
        from fleetlabel.engine.detect.openvino_backend import inspect_openvino

        return inspect_openvino(path)
    if path.stat().st_size == 0:
        raise ModelFileError(f"{path}: the model file has zero bytes; copy or export it again")
    if path.suffix == ".onnx":
        from fleetlabel.engine.detect.onnxruntime_backend import inspect_onnx

        return inspect_onnx(path)
    if path.suffix == ".engine":
        from fleetlabel.engine.detect.tensorrt_backend import inspect_engine

        return inspect_engine(path)
    if path.suffix == ".pt":
        from fleetlabel.engine.detect.torch_backend import inspect_checkpoint

        return inspect_checkpoint(path, trust_pickle=trust_pickle)
    raise ModelFileError(
        f"{path}: cannot tell what model this is from its name; expected .pt, .onnx, .engine or an "
        "OpenVINO folder, "
        f"found {path.suffix or 'no ending'!r}"
    )


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


def workers_per_gpu(specs: Sequence[BackendSpec]) -> int:
    """How many processes a GPU is shared by: one reads and decodes while another's batch is looked at.

    Measured on one H200 beside 16 cores: a process's Python keeps up with some 230 pictures per second, the GPU with
    over 6,000.

    Args:
        specs: the ways to run the network that are left.
    """
    if not any(spec.keeps_pictures_on_device for spec in specs):
        return 1
    import torch

    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    fit = [int(gpu.total_memory) // WORKER_BYTES for gpu in gpus]
    return max(1, min([MOST_WORKERS_PER_GPU, *fit]))


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
