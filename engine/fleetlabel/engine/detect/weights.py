"""What a model file says about itself, whichever of the four formats it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleetlabel.engine.detect.heads import Head

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
