"""ONNX and OpenVINO models in OpenVINO, on the CPU."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.detect.dequantise import can_dequantise, dequantised
from fleetlabel.engine.detect.metadata import Shape, read_export
from fleetlabel.engine.detect.weights import Weights, WeightsKind, sha256_of
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    import openvino

_PRECISION_HINT = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def openvino_specs(weights: Weights) -> list[BackendSpec]:
    """What OpenVINO can run weights on: bf16 only where the processor computes in it."""
    import openvino

    if weights.mixes_batch and not can_dequantise():
        return [BackendSpec("openvino", "cpu", "int8")]
    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    fast = [name for name, flag in (("bf16", "BF16"), ("fp16", "FP16")) if flag in capabilities]
    return [BackendSpec("openvino", "cpu", precision) for precision in ("fp32", *fast)]


def inspect_openvino(path: Path) -> Weights:
    """Describes an OpenVINO folder: one ``.xml``, its ``.bin`` and ultralytics' ``metadata.yaml``.

    Raises:
        ModelFileError: the folder lacks something, the model is damaged or not a detector.
    """
    folder = path if path.is_dir() else path.parent
    network = _network_file(path)
    model = _read(network)
    quantised = any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
    said = read_export(
        folder,
        _metadata(folder),
        [_shape(port.get_partial_shape()) for port in model.inputs],
        [_shape(port.get_partial_shape()) for port in model.outputs],
    )
    half = any(
        node.get_element_type().get_type_name() == "f16" for node in model.get_ops() if _is_constant(node)
    )
    return Weights(
        path=path,
        kind=WeightsKind.OPENVINO,
        sha256=sha256_of(folder),
        class_names=said.class_names,
        network_hw=said.network_hw,
        imgsz_px=said.imgsz_px,
        batch=said.batch,
        stride_px=said.stride_px,
        precision="int8" if quantised else "fp16" if half else "fp32",
        mixes_batch=False,
        head=said.head,
        notes=said.notes,
    )


class OpenVinoBackend:
    """A model compiled per input shape, with one inference request per thread."""

    def __init__(self, weights: Weights, spec: BackendSpec, *, threads: int) -> None:
        import openvino

        self.spec = spec
        self.version: str = openvino.__version__.split("-")[0]
        self._weights = weights
        self._file = weights.path if weights.kind is WeightsKind.ONNX else _network_file(weights.path)
        self._dequantise = weights.mixes_batch and spec.precision != "int8"
        self._core = openvino.Core()
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINT.get(spec.precision, "f32"),
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Several workers on one machine would all be pinned to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}
        self._compiling = threading.Lock()
        self._requests = threading.local()

    def forward(self, batch: F32) -> F32:
        """See :class:`~fleetlabel.engine.detect.backend.Backend`."""
        requests: dict[tuple[int, ...], openvino.InferRequest] = self._requests.__dict__.setdefault(
            "by_shape", {}
        )
        if batch.shape not in requests:
            requests[batch.shape] = self._compile(batch.shape).create_infer_request()
        request = requests[batch.shape]
        request.infer([batch], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    def _compile(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        with self._compiling:
            if shape not in self._compiled:
                model = _read(self._file, dequantised(self._file) if self._dequantise else None)
                if model.inputs[0].get_partial_shape().is_dynamic:
                    model.reshape(list(shape))
                try:
                    self._compiled[shape] = self._core.compile_model(model, "CPU", self._options)
                except RuntimeError as error:
                    raise ModelFileError(
                        f"{self._weights.path}: OpenVINO {self.version} cannot run this model on {shape = }: "
                        f"{_last_line(error)}; choose another backend"
                    ) from error
            return self._compiled[shape]


def _read(network: Path, content: bytes | None = None) -> openvino.Model:
    """The model in ``content``, None: in the file."""
    try:
        import openvino
    except ImportError as error:
        raise UsageError(f"{network}: reading OpenVINO models needs openvino; install it") from error
    try:
        return openvino.Core().read_model(network if content is None else io.BytesIO(content))
    except RuntimeError as error:
        raise ModelFileError(
            f"{network}: OpenVINO {openvino.__version__} cannot read this model: {_last_line(error)}; the "
            ".xml and "
            ".bin must belong together and be complete: copy or export them again"
        ) from error


def _network_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.xml"))
    if len(found) != 1:
        raise ModelFileError(
            f"{path}: expected an OpenVINO folder with one .xml and its .bin, found {len(found)} .xml files; "
            "give the folder that the export made"
        )
    if not found[0].with_suffix(".bin").is_file():
        raise ModelFileError(
            f"{path}: {found[0].name} is there but not {found[0].stem}.bin; copy the whole folder"
        )
    return found[0]


def _metadata(folder: Path) -> dict[str, object]:
    file = folder / "metadata.yaml"
    if not file.is_file():
        return {}
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{file}: not readable as YAML: {_last_line(error)}; export the model again"
        ) from error
    if not isinstance(read, dict):
        raise ModelFileError(
            f"{file}: expected names, task and imgsz, found {str(read)[:60]!r}; export it again"
        )
    return read


def _shape(shape: openvino.PartialShape) -> Shape:
    return tuple(None if side.is_dynamic else int(side.get_length()) for side in shape)


def _is_constant(node: openvino.Node) -> bool:
    return bool(node.get_type_name() == "Constant")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
