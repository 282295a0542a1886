"""TensorRT engines as ultralytics exports them: a length, JSON metadata, the engine. NVIDIA GPUs only."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.metadata import Shape, read_export
from fleetlabel.engine.detect.weights import Weights, WeightsKind, sha256_of
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError

if TYPE_CHECKING:
    import torch

_LENGTH_BYTES = 4
_LONGEST_METADATA = 1 << 20


def tensorrt_specs(weights: Weights) -> list[BackendSpec]:
    """The one way to run an engine: on the GPU, in the precision that it was built for."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [BackendSpec("tensorrt", "cuda", "fp16" if weights.precision == "fp16" else "fp32")]


def inspect_engine(path: Path) -> Weights:
    """Describes an ``.engine`` file by its metadata, which needs no GPU.

    Raises:
        ModelFileError: it has no metadata, or is not a detector.
    """
    metadata, _ = _split(path)
    arguments = metadata.get("args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    dynamic = bool(arguments.get("dynamic", False))
    said = read_export(
        path, metadata, [_input_shape(metadata, dynamic)], [_output_shape(metadata, arguments)]
    )
    return Weights(
        path=path,
        kind=WeightsKind.TENSORRT,
        sha256=sha256_of(path),
        class_names=said.class_names,
        network_hw=said.network_hw,
        imgsz_px=said.imgsz_px,
        batch=said.batch,
        stride_px=said.stride_px,
        precision="int8" if arguments.get("int8") else "fp16" if arguments.get("half") else "fp32",
        mixes_batch=False,
        head=said.head,
        notes=said.notes,
    )


class TensorRtBackend:
    """An engine with one execution context; calls from several threads take turns on it."""

    can_be_captured = False  # its libraries may allocate; not tried

    def __init__(self, weights: Weights, spec: BackendSpec) -> None:
        import tensorrt
        import torch

        self.spec = spec
        self.version: str = tensorrt.__version__
        _, serialized = _split(weights.path)
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        self._engine: Any = runtime.deserialize_cuda_engine(serialized)
        if self._engine is None:
            raise ModelFileError(
                f"{weights.path}: TensorRT {self.version} cannot load this engine on "
                f"{torch.cuda.get_device_name()}; "
                "an engine runs only on the TensorRT version and GPU that it was built for: export it "
                "here again"
            )
        self._context: Any = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        is_input = [self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names]
        self._input = names[is_input.index(True)]
        self._output = names[is_input.index(False)]
        self._dtype = {
            name: torch.float16
            if self._engine.get_tensor_dtype(name) == tensorrt.DataType.HALF
            else torch.float32
            for name in names
        }
        self.device = torch.device("cuda")
        self.dtype = self._dtype[self._input]
        self._turn = threading.Lock()

    def forward(self, batch: F32) -> F32:
        """See :class:`~fleetlabel.engine.detect.backend.Backend`."""
        import torch

        output = self.on_device(torch.from_numpy(batch).to(self.device, self.dtype))
        return np.asarray(output.float().cpu().numpy(), dtype=np.float32)

    def on_device(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~fleetlabel.engine.detect.backend.DeviceBackend`."""
        import torch

        with self._turn:
            batch = batch.contiguous()  # engines read rows of pixels, channel after channel
            self._context.set_input_shape(self._input, tuple(batch.shape))
            shape = tuple(self._context.get_tensor_shape(self._output))
            output = torch.empty(shape, dtype=self._dtype[self._output], device=self.device)
            self._context.set_tensor_address(self._input, batch.data_ptr())
            self._context.set_tensor_address(self._output, output.data_ptr())
            stream = torch.cuda.current_stream()
            self._context.execute_async_v3(stream.cuda_stream)
            stream.synchronize()  # the context and ``batch`` are free for the next call
            return output

    def held(self) -> list[torch.Tensor]:
        """See :class:`~fleetlabel.engine.detect.backend.DeviceBackend`: the engine keeps its own."""
        return []


def _split(path: Path) -> tuple[dict[str, object], bytes]:
    """Metadata and engine of a file."""
    content = path.read_bytes()
    length = int.from_bytes(content[:_LENGTH_BYTES], "little", signed=True)
    try:
        if not 0 < length <= min(_LONGEST_METADATA, len(content) - _LENGTH_BYTES):
            raise ValueError(f"its first bytes {content[:_LENGTH_BYTES]!r} are no length")
        metadata = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length].decode("utf-8"))
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no mapping")
    except ValueError as error:  # includes wrong JSON and wrong UTF-8
        raise ModelFileError(
            f"{path}: expected a TensorRT engine with ultralytics' metadata in front, found "
            f"{len(content)} bytes "
            f"without ({error}); export with ultralytics (format=engine)"
        ) from error
    return _with_numbered_names(metadata), content[_LENGTH_BYTES + length :]


def _with_numbered_names(metadata: dict[str, object]) -> dict[str, object]:
    """JSON turned the class numbers into text."""
    names = metadata.get("names")
    if isinstance(names, dict) and all(str(number).isdigit() for number in names):
        return {**metadata, "names": {int(number): name for number, name in names.items()}}
    return metadata


def _input_shape(metadata: Mapping[str, object], dynamic: bool) -> Shape:
    size = metadata.get("imgsz")
    batch = metadata.get("batch")
    if dynamic or not isinstance(size, list) or len(size) != 2:
        return (None, 3, None, None)
    return (int(batch) if isinstance(batch, int) else 1, 3, int(size[0]), int(size[1]))


def _output_shape(metadata: Mapping[str, object], arguments: Mapping[str, object]) -> Shape:
    """What the output must look like by the metadata; the engine itself is asked when it runs."""
    names = metadata.get("names")
    if metadata.get("end2end") or arguments.get("nms") or not isinstance(names, dict):
        return (None, None, 6)
    return (None, 4 + len(names), None)
