"""What the caller may choose about detection, and what is wrong with a choice that cannot be met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleetlabel.model.errors import UsageError

BackendName = Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"]
DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "int8", "fp32", "bf16", "fp16"]
Interpolation = Literal["area", "linear"]
JpegDecoder = Literal["auto", "cpu", "nvjpeg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectConfig:
    """How pictures become 2D boxes. Everything but ``threads`` and ``prefetch`` can change the boxes.

    Attributes:
        imgsz_px: longest side of the network's input; None: the size that the weights were made for. A model
            with a fixed input size allows no other.
        tiles: (columns, rows) of overlapping tiles that are looked at beside the full picture; (1, 1): none.
            Small objects gain most; every tile costs as much as the full picture.
        conf: lowest score that is kept. Low, because the tracker sorts out single false boxes, but cannot
            invent a missed one.
        nms_iou: boxes of one class that overlap more than this are one object; the best-scored stays.
        max_detections: at most this many boxes per picture, the best-scored.
        interpolation: how pictures are shrunk. ``area`` averages all pixels and so keeps small objects;
            ``linear`` is what ultralytics does. Enlarging is linear with both.
        dct_scaling: decode a JPEG directly at 1/2, 1/4 or 1/8 of its size where the network sees it smaller
            still: faster, and a better filter than ``linear``.
        jpeg_decoder: ``nvjpeg`` is the GPU's own, which is faster than many cores and decodes at full size; ``auto``
            takes it where the network runs on a GPU and torchvision has it.
        backend: library that runs the network; ``auto`` measures those that can, and takes the fastest.
        device: ``auto`` is the GPU where there is one that the backend can use.
        precision: arithmetic of the network; ``auto`` allows what the device is fast at and whose results
            agree with fp32. Weights that were quantised with ``quantize_dynamic`` can run as they are
            (``int8``) or, often several times faster, as the floating-point network that they approximate.
        batch: network inputs per run; None: what the model is fixed to, else 32 on a GPU and 1 on a CPU,
            where larger batches gain nothing. Batches are always filled up, so that a box never depends on
            how many pictures came with it.
        threads: CPU threads that one inference may use. One thread each for several workers gives the most
            pictures per second.
        prefetch: pictures that are decoded ahead of inference by a second thread; bounds the memory. None: 2
            beside a GPU; none on the CPU, whose cores the workers keep busy as it is: a second thread would
            only take them from one another.
        trust_pickle: load a ``.pt`` file that holds more than the known network layers. Such a file can run
            any code when it is loaded: only for files of your own.
    """

    imgsz_px: int | None = None
    tiles: tuple[int, int] = (1, 1)
    conf: float = 0.1
    nms_iou: float = 0.6
    max_detections: int = 300
    interpolation: Interpolation = "area"
    dct_scaling: bool = True
    jpeg_decoder: JpegDecoder = "auto"
    backend: BackendName = "auto"
    device: DeviceName = "auto"
    precision: Precision = "auto"
    batch: int | None = None
    threads: int = 1
    prefetch: int | None = None
    trust_pickle: bool = False

    def __post_init__(self) -> None:
        _check("imgsz_px", self.imgsz_px, self.imgsz_px is None or 32 <= self.imgsz_px <= 8192, "32..8192")
        _check(
            "tiles", self.tiles, len(self.tiles) == 2 and all(1 <= n <= 16 for n in self.tiles), "1x1..16x16"
        )
        _check("conf", self.conf, 0.0 < self.conf < 1.0, "a score between 0 and 1")
        _check("nms_iou", self.nms_iou, 0.0 < self.nms_iou <= 1.0, "a ratio above 0, at most 1")
        _check("max_detections", self.max_detections, self.max_detections >= 1, "at least 1")
        _check("batch", self.batch, self.batch is None or 1 <= self.batch <= 1024, "1..1024")
        _check("threads", self.threads, self.threads >= 1, "at least 1")
        _check("prefetch", self.prefetch, self.prefetch is None or self.prefetch >= 0, "at least 0")


def _check(name: str, found: object, ok: bool, expected: str) -> None:
    if not ok:
        raise UsageError(f"detection setting {name}: expected {expected}, found {found}")
