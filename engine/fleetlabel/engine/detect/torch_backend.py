"""ultralytics' own ``.pt`` checkpoints in torch, without ultralytics' predictor and without torchvision.

ultralytics is licensed AGPL-3.0 and is an extra: only this file imports it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.weights import Weights, WeightsKind, sha256_of
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    import torch

# Heads whose output we can read; those of other tasks and of text-prompted models derive from them by other
# names.
_DETECTION_HEADS = ("Detect", "v10Detect")


def torch_specs() -> list[BackendSpec]:
    """What torch can run on here: fp32 on a CPU, fp16 on a GPU."""
    import torch

    specs = [BackendSpec("torch", "cpu", "fp32")]
    if torch.cuda.is_available():
        specs += [BackendSpec("torch", "cuda", "fp32"), BackendSpec("torch", "cuda", "fp16")]
    return specs


def inspect_checkpoint(path: Path, *, trust_pickle: bool) -> Weights:
    """Describes a ``.pt`` file.

    Raises:
        ModelFileError: not an ultralytics checkpoint, damaged, holds unknown classes, or is not a detector.
    """
    model = _load_model(path, trust_pickle=trust_pickle)
    task = str(getattr(model, "task", "detect"))
    head = model.model[-1]
    if task != "detect" or type(head).__name__ not in _DETECTION_HEADS:
        raise ModelFileError(
            f"{path}: this is a model for {task!r} with the head {type(head).__name__}, expected one for "
            "'detect' "
            f"with {' or '.join(_DETECTION_HEADS)}; take the detection weights of the same family"
        )
    names: Any = getattr(model, "names", {})
    names = names if isinstance(names, Mapping) else dict(enumerate(names))
    if sorted(names) != list(range(int(head.nc))):
        raise ModelFileError(
            f"{path}: has {head.nc} classes but names {len(names)}; save the checkpoint again"
        )
    return Weights(
        path=path,
        kind=WeightsKind.ULTRALYTICS,
        sha256=sha256_of(path),
        class_names=tuple(str(names[number]) for number in range(len(names))),
        network_hw=None,
        imgsz_px=_trained_size(model),
        batch=None,
        stride_px=max(int(model.stride.max()), 32),
        precision="fp16" if next(model.parameters()).dtype.itemsize == 2 else "fp32",
        mixes_batch=False,
        head=Head.END_TO_END if head.end2end else Head.GRID,
    )


class TorchBackend:
    """A network in torch; ``forward`` may be called from several threads.

    Sets torch's number of CPU threads, or that a GPU's fp32 is fp32, for the whole process: the only way that they can
    be set.
    """

    can_be_captured = True

    def __init__(self, weights: Weights, spec: BackendSpec, *, threads: int, trust_pickle: bool) -> None:
        import torch

        self.spec = spec
        self.version: str = torch.__version__
        if spec.device == "cpu":
            torch.set_num_threads(threads)
        else:
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
        self.device = torch.device(spec.device)
        self.dtype = torch.float16 if spec.precision == "fp16" else torch.float32
        model: Any = _load_model(weights.path, trust_pickle=trust_pickle)
        self._model = (
            model.float().fuse().eval().to(self.device, self.dtype, memory_format=torch.channels_last)
        )

    def forward(self, batch: F32) -> F32:
        """See :class:`~fleetlabel.engine.detect.backend.Backend`."""
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(batch).to(self.device, self.dtype)
            output = self.on_device(inputs.contiguous(memory_format=torch.channels_last))
            return np.asarray(output.float().cpu().numpy(), dtype=np.float32)

    def on_device(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~fleetlabel.engine.detect.backend.DeviceBackend`."""
        output = self._model(batch)
        return output[0] if isinstance(output, tuple) else output

    def held(self) -> list[torch.Tensor]:
        """See :class:`~fleetlabel.engine.detect.backend.DeviceBackend`: the head keeps a grid for one size."""
        import torch

        return [
            value
            for layer in self._model.modules()
            for value in vars(layer).values()
            if isinstance(value, torch.Tensor)
        ]


def prepare_ultralytics() -> None:
    """Keeps ultralytics off the network, off the installer and off the user's own settings.

    Must run before the first import of ultralytics, which reads these once.
    """
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ.setdefault("YOLO_VERBOSE", "false")  # it logs to stdout, where our JSON goes
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("YOLO_CONFIG_DIR", str(cache / "fleetlabel"))


def _load_model(path: Path, *, trust_pickle: bool) -> torch.nn.Module:
    """The network of a checkpoint, as saved. Only known layers are unpickled unless ``trust_pickle``."""
    prepare_ultralytics()
    try:
        import torch
        from ultralytics.nn.tasks import torch_safe_load
    except ImportError as error:
        raise UsageError(
            f"{path}: loading a .pt file needs torch and ultralytics (AGPL-3.0), the extra fleetlabel[yolo] "
            f"({error}); install it, or use the model exported to .onnx"
        ) from error
    if not trust_pickle and not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise UsageError(
            f"torch {torch.__version__} cannot load .pt files safely: install torch 2.6 or newer"
        )
    try:
        checkpoint, _ = torch_safe_load(str(path.resolve()), safe_only=not trust_pickle)
    except Exception as error:  # it raises whatever the damaged pickle makes Python raise
        raise ModelFileError(
            f"{path}: this is not a complete ultralytics checkpoint of known network layers: "
            f"{_first_line(error)}. Copy or export it again; if it is your own file with layers of your own, "
            "trust_pickle loads it, which runs whatever code the file holds"
        ) from error
    model = checkpoint.get("ema") or checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "model"):
        found = sorted(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise ModelFileError(
            f"{path}: expected a checkpoint with a network under 'model' or 'ema', found {found}; "
            "give weights that ultralytics saved"
        )
    for layer in model.modules():
        if isinstance(layer, torch.nn.Upsample):
            layer.recompute_scale_factor = None  # absent from checkpoints of torch < 1.11
    return model


def _trained_size(model: torch.nn.Module) -> int:
    arguments: Any = getattr(model, "args", {})
    given = (
        arguments.get("imgsz", 640) if isinstance(arguments, Mapping) else getattr(arguments, "imgsz", 640)
    )
    return int(max(given)) if isinstance(given, list | tuple) else int(given)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
