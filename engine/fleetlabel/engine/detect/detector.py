"""Pictures in, 2D boxes out: a bad picture stops nobody else's, and decoding runs ahead of a network on a GPU."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from fleetlabel.engine.detect.backend import Backend, BackendSpec
from fleetlabel.engine.detect.choose import choose_backend
from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.device_path import DevicePath, shared_device_path
from fleetlabel.engine.detect.heads import read_head
from fleetlabel.engine.detect.letterbox import fit, network_input
from fleetlabel.engine.detect.libraries import open_backend
from fleetlabel.engine.detect.nms import non_maximum_suppression
from fleetlabel.engine.detect.picture import decode_picture, picture_size, reduction_for
from fleetlabel.engine.detect.prepared import Part, Prepared, looks_at
from fleetlabel.engine.detect.weights import Weights
from fleetlabel.engine.steps import step
from fleetlabel.geometry.arrays import F32, F64, I16
from fleetlabel.model.errors import DecodeError

ALGORITHM_VERSION = 1
"""Part of a run's identity: raise it by hand with every change that moves, adds or removes boxes."""

PREFETCH_GPU = 2  # pictures


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetections:
    """The boxes of one picture, best-scored first.

    Attributes:
        xyxy_px: (N, 4) float64 in pixels of the original picture, clipped to it.
        score: (N,) float32.
        class_id: (N,) int16 the model's class number: a row of :attr:`Detector.class_names`.
    """

    xyxy_px: F64
    score: F32
    class_id: I16


@dataclass(frozen=True, slots=True)
class DetectFailure:
    """A picture that could not be looked at, and why."""

    reason: str


class Detector:
    """A loaded model with its settings.

    One detector may be shared by threads, or each may have its own; results are the same. It owns one thread
    that decodes ahead; ``close`` (or ``with``) ends it. On a GPU all of a process share one network.

    Attributes:
        weights: the model.
        config: the settings, with nothing left to ``auto``.
        class_names: the model's own names, which ``class_id`` counts; map them with
            ``fleetlabel.model.ontology``.
    """

    def __init__(self, weights: Weights, config: DetectConfig) -> None:
        """Loads the model; measures backends first if the settings leave a choice (see ``choose_backend``).

        Raises:
            UsageError: the settings cannot be met.
            ModelFileError: no backend can run the model.
        """
        self.weights = weights
        self.config = choose_backend(weights, config).config
        self.class_names = weights.class_names
        spec = BackendSpec(self.config.backend, self.config.device, self.config.precision)
        self._device_path: DevicePath | None = None
        if spec.keeps_pictures_on_device:
            self._device_path = shared_device_path(weights, self.config)
            self._backend: Backend = self._device_path.backend
        else:
            self._backend = open_backend(weights, spec, self.config)
        self._batch = self.config.batch or 1
        self._imgsz_px = self.config.imgsz_px or weights.imgsz_px
        self._decoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleetlabel-decode")
        # Of the whole process; else every resize starts a thread per core.
        cv2.setNumThreads(self.config.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the decoding thread."""
        self._decoder.shutdown(cancel_futures=True)

    @property
    def pictures_at_once(self) -> int:
        """How many pictures it is best given at a time: batches are full then.

        A box does not depend on the other pictures; on a GPU its last digits depend on the picture's place in a batch.
        Who leaves out a picture, and wants the same bits of the others, gives no bytes in its place.
        """
        return self._device_path.pictures_at_once if self._device_path else max(8, self._batch)

    def identity(self) -> dict[str, object]:
        """Everything that a box depends on beside the picture, for JSON: equal identity, equal boxes."""
        config = self.config
        return {
            "algorithm_version": ALGORITHM_VERSION,
            "model_sha256": self.weights.sha256,
            "backend": config.backend,
            "backend_version": self._backend.version,
            "device": config.device,
            "precision": config.precision,
            "imgsz_px": self._imgsz_px,
            "batch": self._batch,
            "tiles": list(config.tiles),
            "conf": config.conf,
            "nms_iou": config.nms_iou,
            "max_detections": config.max_detections,
            "interpolation": config.interpolation,
            "dct_scaling": config.dct_scaling,
            **({"jpeg_decoder": config.jpeg_decoder} if config.jpeg_decoder != "cpu" else {}),
        }

    def detect(self, jpegs: Sequence[bytes]) -> list[FrameDetections | DetectFailure]:
        """Boxes of every picture, in the order given; a picture that cannot be decoded yields the reason.

        Args:
            jpegs: pictures as JPEG bytes, of any sizes.
        """
        if self._device_path is not None:
            return [self._detected(seen) for seen in self._device_path.look(jpegs)]
        results: list[FrameDetections | DetectFailure | None] = [None] * len(jpegs)
        pictures: dict[int, Prepared] = {}
        for row, prepared in enumerate(self._prepare_ahead(jpegs)):
            if isinstance(prepared, DetectFailure):
                results[row] = prepared
                continue
            pictures[row] = prepared
            self._run_full_batches(pictures, last=False)
            self._collect(pictures, results)
        self._run_full_batches(pictures, last=True)
        self._collect(pictures, results)
        return [result for result in results if result is not None]

    def _detected(self, seen: Prepared | DecodeError) -> FrameDetections | DetectFailure:
        if isinstance(seen, DecodeError):
            return DetectFailure(str(seen))
        with step("nms"):
            return self._merge(seen)

    def _prepare_ahead(self, jpegs: Sequence[bytes]) -> Iterator[Prepared | DetectFailure]:
        """Decoded pictures in order, at most ``prefetch`` of them waiting."""
        prefetch = self.config.prefetch
        if prefetch is None:
            prefetch = 0 if self.config.device == "cpu" else PREFETCH_GPU
        if not prefetch:
            yield from map(self._prepare, jpegs)
            return
        source = iter(jpegs)
        ahead: deque[Future[Prepared | DetectFailure]] = deque()
        try:
            while True:
                while len(ahead) < prefetch and (jpeg := next(source, None)) is not None:
                    ahead.append(self._decoder.submit(self._prepare, jpeg))
                if not ahead:
                    return
                prepared = ahead.popleft().result()
                yield prepared
        finally:
            for future in ahead:
                future.cancel()

    def _prepare(self, jpeg: bytes) -> Prepared | DetectFailure:
        try:
            width, height = picture_size(jpeg)
            looks = looks_at(width, height, self.weights, self.config)
            scale = max(look.scale for look in looks)
            with step("decode") as decoding:
                picture = decode_picture(
                    jpeg, reduction=reduction_for(scale) if self.config.dct_scaling else 1
                )
                decoding.n_bytes = picture.rgb.nbytes
        except DecodeError as error:
            return DetectFailure(str(error))
        prepared = Prepared(width, height, picture.reduction)
        with step("preprocess") as preprocessing:
            for look in looks:
                r, view = picture.reduction, look.view
                crop = picture.rgb[view.y0 // r : -(-view.y1 // r), view.x0 // r : -(-view.x1 // r)]
                place = fit((crop.shape[0], crop.shape[1]), look.network_hw)
                seen = network_input(crop, place, self.config.interpolation)
                prepared.parts.append(Part(view, place, seen))
                preprocessing.n_bytes += seen.nbytes
        return prepared

    def _run_full_batches(self, pictures: dict[int, Prepared], *, last: bool) -> None:
        """Runs waiting parts of equal shape in full batches; if ``last``, what remains as well."""
        waiting: defaultdict[tuple[int, ...], list[Part]] = defaultdict(list)
        for picture in pictures.values():
            for part in picture.parts:
                if part.network_input is not None:
                    waiting[part.network_input.shape].append(part)
        for parts in waiting.values():
            end = len(parts) if last else len(parts) - len(parts) % self._batch
            for start in range(0, end, self._batch):
                self._run(parts[start : min(start + self._batch, end)])

    def _run(self, parts: list[Part]) -> None:
        inputs = [part.network_input for part in parts if part.network_input is not None]
        if self._batch == 1:
            batch = inputs[0][None]
        else:
            batch = np.zeros((self._batch, *inputs[0].shape), dtype=np.float32)
            np.stack(inputs, out=batch[: len(inputs)])
        with step("inference", len(parts)) as inferring:
            output = self._backend.forward(batch)
            inferring.n_bytes = output.nbytes
        with step("nms", 0):
            for part, of_part in zip(parts, output, strict=False):
                part.candidates = read_head(of_part, self.weights.head, self.config.conf)
                part.network_input = None

    def _collect(
        self, pictures: dict[int, Prepared], results: list[FrameDetections | DetectFailure | None]
    ) -> None:
        """Moves finished pictures to the results."""
        for row in [
            row for row, p in pictures.items() if all(part.candidates is not None for part in p.parts)
        ]:
            with step("nms"):
                results[row] = self._merge(pictures.pop(row))

    def _merge(self, picture: Prepared) -> FrameDetections:
        """One set of boxes from all views of a picture."""
        size = np.array([picture.width_px, picture.height_px] * 2, dtype=np.float64)
        boxes, cuts, seen_in, found = [], [], [], []
        for number, part in enumerate(picture.parts):
            if part.candidates is None:
                continue
            corner = np.array([part.view.x0, part.view.y0] * 2, dtype=np.float64)
            xyxy = corner + picture.reduction * part.place.to_source(part.candidates.xyxy_px)
            boxes.append(np.clip(xyxy, 0.0, size))
            cuts.append(part.view.cut(boxes[-1]))
            seen_in.append(np.full(len(boxes[-1]), number, dtype=np.int16))
            found.append(part.candidates)
        xyxy_px = np.concatenate(boxes)
        score = np.concatenate([candidates.score for candidates in found])
        class_id = np.concatenate([candidates.class_id for candidates in found])
        area = (xyxy_px[:, 2:] > xyxy_px[:, :2]).all(axis=1)
        xyxy_px, score, class_id = xyxy_px[area], score[area], class_id[area]
        kept = non_maximum_suppression(
            xyxy_px,
            score,
            class_id,
            iou=self.config.nms_iou,
            max_detections=self.config.max_detections,
            view=np.concatenate(seen_in)[area],
            cut=np.concatenate(cuts)[area],
        )
        return FrameDetections(xyxy_px[kept], score[kept], class_id[kept])
