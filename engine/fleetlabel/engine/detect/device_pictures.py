"""Pictures as tensors on a GPU: JPEGs by its own decoder (nvJPEG) in batches, whatever else through the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from fleetlabel.engine.detect.picture import decode_picture, picture_size
from fleetlabel.model.errors import DecodeError

if TYPE_CHECKING:
    import torch

_SOI, _EOI, _SOF0, _SOS, _DHT, _DQT, _DRI = 0xD8, 0xD9, 0xC0, 0xDA, 0xC4, 0xDB, 0xDD
_APP0, _APP13, _APP14, _COM = 0xE0, 0xED, 0xEE, 0xFE


@dataclass(frozen=True, slots=True, eq=False)
class DevicePicture:
    """A decoded picture, possibly smaller than what was photographed.

    Attributes:
        rgb: (3, h, w) uint8 on the device.
        width_px, height_px: size of the original picture, which boxes are given in.
        reduction: 1, 2, 4 or 8: original pixels per decoded pixel.
    """

    rgb: torch.Tensor
    width_px: int
    height_px: int
    reduction: int


class PictureLoader:
    """Decodes pictures onto a device; may be used by several threads at once.

    Args:
        device: where the tensors shall be.
        nvjpeg: baseline colour JPEGs are decoded by the GPU. It notices a file that is cut off, but, other than the
            CPU's decoder, not every bit that fell over on the way.
    """

    def __init__(self, device: torch.device, *, nvjpeg: bool) -> None:
        self._device = device
        self._nvjpeg = nvjpeg
        self._decoders = ThreadPoolExecutor(_cores(), thread_name_prefix="fleetlabel-decode")

    def load(self, files: Sequence[bytes], reductions: Sequence[int]) -> list[DevicePicture | DecodeError]:
        """Pictures in the order given, or why one cannot be decoded; complete when this returns.

        Args:
            files: JPEG or PNG.
            reductions: 1, 2, 4 or 8 each, for what the CPU decodes (``decode_picture``); the GPU decodes at full size.
        """
        loaded: dict[int, DevicePicture | DecodeError] = {}
        if self._nvjpeg:
            loaded.update(self._by_gpu([row for row, file in enumerate(files) if is_plain_jpeg(file)], files))
        rest = [row for row in range(len(files)) if row not in loaded]
        loaded.update(
            zip(rest, self._decoders.map(self._by_cpu, *_rows(rest, files, reductions)), strict=True)
        )
        return [loaded[row] for row in range(len(files))]

    def _by_gpu(self, rows: Sequence[int], files: Sequence[bytes]) -> dict[int, DevicePicture | DecodeError]:
        """Those rows that the GPU could decode: all, or none if one of them is damaged."""
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        if not rows:
            return {}
        data = _pinned([files[row] for row in rows])  # which the GPU reads until the stream is through
        try:
            pictures = decode_jpeg(data, mode=ImageReadMode.RGB, device=self._device)
        except RuntimeError:  # the CPU's decoder will say which, and why
            return {}
        done = torch.cuda.Event(blocking=True)
        done.record(torch.cuda.current_stream(self._device))
        done.synchronize()
        return {
            row: DevicePicture(rgb, rgb.shape[2], rgb.shape[1], 1)
            for row, rgb in zip(rows, pictures, strict=True)
        }

    def _by_cpu(self, file: bytes, reduction: int) -> DevicePicture | DecodeError:
        import torch

        try:
            picture = decode_picture(file, reduction=reduction)
        except DecodeError as error:
            return error
        rgb = torch.from_numpy(picture.rgb)
        if self._device.type == "cuda":
            # Pinned memory is taken from torch's cache; the copy is over before the tensor goes back there.
            rgb = rgb.pin_memory().to(self._device, non_blocking=True)
            torch.cuda.current_stream(self._device).synchronize()
        return DevicePicture(rgb.permute(2, 0, 1), picture.width_px, picture.height_px, picture.reduction)


@lru_cache(maxsize=1)
def nvjpeg_missing() -> str:
    """Why the GPU cannot decode JPEGs here; empty if it can."""
    try:
        import torch
        from torchvision.io import decode_jpeg
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another build than torch
        return f"torchvision cannot be imported ({type(error).__name__}: {error})"
    if not torch.cuda.is_available():
        return "torch finds no GPU"
    tiny = simplejpeg.encode_jpeg(np.zeros((16, 16, 3), dtype=np.uint8), colorspace="RGB")
    try:
        decode_jpeg([torch.frombuffer(bytearray(tiny), dtype=torch.uint8)], device="cuda")
    except RuntimeError as error:
        return f"torchvision was built without nvJPEG ({error})"
    return ""


def is_plain_jpeg(file: bytes) -> bool:
    """Whether a file is a JPEG as cameras write them, with its end: baseline, 8 bits, YCbCr.

    Reads the headers only (ITU-T T.81, annex B).
    """
    if file[:2] != bytes((0xFF, _SOI)):
        return False
    position, baseline_colour = 2, False
    while position + 4 <= len(file) and file[position] == 0xFF:
        marker = file[position + 1]
        length = int.from_bytes(file[position + 2 : position + 4], "big")
        segment = file[position + 4 : position + 2 + length]
        if marker == _SOS:
            # In scans 0xFF stands before markers only: this one is the end of the picture.
            return baseline_colour and file.rfind(bytes((0xFF, _EOI))) > position
        if marker == _SOF0:
            baseline_colour = len(segment) >= 6 and segment[0] == 8 and segment[5] == 3
        elif marker == _APP14:
            if segment[:5] == b"Adobe" and segment[11:12] != b"\x01":
                return False  # RGB or CMYK
        elif not (_APP0 <= marker <= _APP13 or marker in (_DHT, _DQT, _DRI, 0xEF, _COM)):
            return False
        position += 2 + length
    return False


def sizes_of(files: Sequence[bytes]) -> list[tuple[int, int] | DecodeError]:
    """Width and height of each, or why its header cannot be read."""
    sizes: list[tuple[int, int] | DecodeError] = []
    for file in files:
        try:
            sizes.append(picture_size(file))
        except DecodeError as error:
            sizes.append(error)
    return sizes


def _pinned(files: Sequence[bytes]) -> list[torch.Tensor]:
    """Files one behind the other in one piece of memory that the GPU may read; torch keeps such pieces for the next."""
    import torch

    ends = np.cumsum([len(file) for file in files]).tolist()
    memory = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=True)
    pieces = [memory[end - len(file) : end] for file, end in zip(files, ends, strict=True)]
    for piece, file in zip(pieces, files, strict=True):
        piece.numpy()[:] = np.frombuffer(file, dtype=np.uint8)
    return pieces


def _rows(
    rows: Sequence[int], files: Sequence[bytes], reductions: Sequence[int]
) -> tuple[list[bytes], list[int]]:
    return [files[row] for row in rows], [reductions[row] for row in rows]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
