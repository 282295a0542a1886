"""What a model file says about itself, whichever of the four formats it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleetlabel.engine.detect.heads import Head
from fleetlabel.model.errors import ModelFileError

_BLOCK_BYTES = 1 << 20


class WeightsKind(StrEnum):
    """Format of a model file."""

    ULTRALYTICS = "ultralytics"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"


@dataclass(frozen=True, slots=True)
class Weights:
    """A detector's weights on disk.

    Attributes:
        path: the file, or the folder of an OpenVINO model.
        kind: its format.
        sha256: of the file; of a folder, over its files' names and contents.
        class_names: the model's own names, in the order of its class numbers.
        network_hw: the input's height and width in pixels if the model is fixed to one size, else None.
        imgsz_px: longest side that the model was made for.
        batch: network inputs per run if the model is fixed to a number, else None.
        stride_px: what the sides of an input of free size are multiples of.
        precision: of the numbers in the file: ``fp32``, ``fp16`` or ``int8``.
        mixes_batch: the pictures of one batch influence each other's result (activations quantised over the
            whole batch at run time), so that only a batch of 1 is reproducible.
        head: layout of the output.
        notes: what had to be assumed; to be told to the user.
    """

    path: Path
    kind: WeightsKind
    sha256: str
    class_names: tuple[str, ...]
    network_hw: tuple[int, int] | None
    imgsz_px: int
    batch: int | None
    stride_px: int
    precision: str
    mixes_batch: bool
    head: Head
    notes: tuple[str, ...] = ()


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


def sha256_of(path: Path) -> str:
    """Digest of a file, or of a folder's files in order of their names (names and sizes included)."""
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
        return digest.hexdigest()
    for file in sorted(path.rglob("*"), key=lambda file: file.relative_to(path).as_posix()):
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, file: Path) -> None:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
