"""From picture files to boxes on a GPU: pixels are decoded, resized and looked at there, and only boxes come back.

While the network looks at one batch, the next is decoded. All that happens between a batch's pixels and its boxes is
one CUDA graph: hundreds of kernels that are started by one call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakValueDictionary

import numpy as np

from fleetlabel.engine.detect.backend import BackendSpec, DeviceBackend
from fleetlabel.engine.detect.config import DetectConfig
from fleetlabel.engine.detect.device_letterbox import letterbox_on_device
from fleetlabel.engine.detect.device_nms import read_head_on_device, suppress_on_device
from fleetlabel.engine.detect.device_pictures import DevicePicture, PictureLoader, sizes_of
from fleetlabel.engine.detect.heads import Candidates, read_head
from fleetlabel.engine.detect.letterbox import PADDING, fit
from fleetlabel.engine.detect.libraries import open_backend
from fleetlabel.engine.detect.picture import reduction_for
from fleetlabel.engine.detect.prepared import Look, Part, Prepared, looks_at
from fleetlabel.engine.detect.weights import Weights
from fleetlabel.engine.steps import step
from fleetlabel.geometry.arrays import F32
from fleetlabel.model.errors import DecodeError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

CANDIDATES = 512  # per network input; where more score high enough, the CPU takes all of them
_AT_ONCE = 8  # pictures that are resized together: bounds the memory
_GROUPS = 4  # batches that it is best given at a time: two are decoded while another is looked at
_LANES = 8  # input sizes that are kept ready
_AHEAD = 2  # groups of pictures that are decoded at once

# The GPU does one batch after the other in any case; taking turns keeps the captures of graphs undisturbed.
_turn = threading.Lock()
_loading = threading.Lock()
_shared: WeakValueDictionary[tuple[Weights, DetectConfig], DevicePath] = WeakValueDictionary()


@dataclass(slots=True, eq=False)
class _Waiting:
    """A part of a picture, its row in the batch, and its pixels (3, h, w) uint8 on the device."""

    part: Part
    row: int
    rgb: torch.Tensor
    bounds_px: tuple[float, float, float, float]

    def follows(self, other: _Waiting) -> bool:
        """Whether both can be resized together: rows that follow one another, of the same size and place."""
        alike = self.rgb.shape == other.rgb.shape and self.part.place == other.part.place
        return alike and self.row == other.row + 1


def shared_device_path(weights: Weights, config: DetectConfig) -> DevicePath:
    """The one of this process for a model and settings, loaded when the first asks and kept as long as somebody does.

    Raises:
        ModelFileError: the library refuses the model, or its output has another shape.
    """
    with _loading:
        path = _shared.get((weights, config))
        if path is None:
            spec = BackendSpec(config.backend, config.device, config.precision)
            backend = cast(DeviceBackend, open_backend(weights, spec, config))
            path = _shared[weights, config] = DevicePath(weights, config, backend)
        return path


class DevicePath:
    """A network with everything around it on one device; may be shared by threads.

    Args:
        weights, config: the model, and settings with nothing left to ``auto``.
        backend: runs the network.

    Attributes:
        backend: it.
    """

    def __init__(self, weights: Weights, config: DetectConfig, backend: DeviceBackend) -> None:
        import torch

        self._weights = weights
        self._config = config
        self.backend = backend
        self._batch = config.batch or 1
        self._loader = PictureLoader(backend.device, nvjpeg=config.jpeg_decoder == "nvjpeg")
        self._ahead = ThreadPoolExecutor(_AHEAD, thread_name_prefix="fleetlabel-load")
        on_gpu = backend.device.type == "cuda"
        # One each: torch keeps freed memory for the stream that it was allocated on.
        self._stream = torch.cuda.Stream(backend.device) if on_gpu else None
        self._load_stream = torch.cuda.Stream(backend.device) if on_gpu else None
        self._lanes: OrderedDict[tuple[int, int], _Lane] = OrderedDict()

    @property
    def pictures_at_once(self) -> int:
        """How many pictures it is best given at a time."""
        return _GROUPS * self._batch

    def look(self, files: Sequence[bytes]) -> list[Prepared | DecodeError]:
        """What the network sees in every picture, in the order given, or why a picture cannot be decoded.

        Args:
            files: JPEG or PNG, of any sizes.
        """
        seen: list[Prepared | DecodeError] = []
        groups = _slices(files, self._batch)
        ahead: list[Future[list[_Loaded | DecodeError]]] = []
        try:
            for number in range(len(groups)):
                while len(ahead) < _AHEAD and number + len(ahead) < len(groups):
                    ahead.append(self._ahead.submit(self._load, groups[number + len(ahead)]))
                seen += self._see(ahead.pop(0).result())
        finally:
            for future in ahead:
                future.cancel()
        return seen

    def _load(self, files: Sequence[bytes]) -> list[_Loaded | DecodeError]:
        """Pictures on the device, with the parts that are to be looked at."""
        sizes = sizes_of(files)
        looks = {
            row: looks_at(size[0], size[1], self._weights, self._config)
            for row, size in enumerate(sizes)
            if not isinstance(size, DecodeError)
        }
        good = list(looks)
        reductions = [
            reduction_for(max(look.scale for look in looks[row])) if self._config.dct_scaling else 1
            for row in good
        ]
        with _on(self._load_stream), step("decode", len(good)) as decoding:
            pictures = self._loader.load([files[row] for row in good], reductions)
            decoding.n_bytes = sum(p.rgb.nbytes for p in pictures if isinstance(p, DevicePicture))
        by_row = dict(zip(good, pictures, strict=True))
        loaded: list[_Loaded | DecodeError] = []
        for row, size in enumerate(sizes):
            picture = size if isinstance(size, DecodeError) else by_row[row]
            loaded.append(picture if isinstance(picture, DecodeError) else _loaded(picture, looks[row]))
        return loaded

    def _see(self, loaded: Sequence[_Loaded | DecodeError]) -> list[Prepared | DecodeError]:
        """Runs the network on a group. A part's row in the batch depends on its picture's place in the group alone.

        In fp16 libraries split the sums of some layers differently for different rows: so it is the same picture in the
        same place that gives the same bits, whoever else is there.
        """
        import torch

        batches: dict[tuple[tuple[int, int], int], list[_Waiting]] = {}
        for index, picture in enumerate(loaded):
            if isinstance(picture, _Loaded):
                for number, one in enumerate(picture.waiting, index * len(picture.waiting)):
                    one.row = number % self._batch
                    key = one.part.place.network_hw, number // self._batch
                    batches.setdefault(key, []).append(one)
        for (network_hw, _), some in batches.items():
            with _turn, torch.inference_mode(), _on(self._stream):
                self._run(self._lane(network_hw), some)
        return [one.prepared if isinstance(one, _Loaded) else one for one in loaded]

    def _run(self, lane: _Lane, some: Sequence[_Waiting]) -> None:
        with step("preprocess", len(some)):
            lane.fill(some)
        with step("inference", len(some)):
            lane.run()
        with step("nms", 0):
            for one in some:
                one.part.candidates = lane.candidates(one.row)

    def _lane(self, network_hw: tuple[int, int]) -> _Lane:
        lane = self._lanes.pop(network_hw, None)
        if lane is None:
            while len(self._lanes) >= _LANES:
                self._lanes.popitem(last=False)
            lane = _Lane(self.backend, self._weights, self._config, network_hw)
        self._lanes[network_hw] = lane
        return lane


@dataclass(slots=True, eq=False)
class _Loaded:
    """A picture on the device."""

    prepared: Prepared
    waiting: list[_Waiting]


class _Lane:
    """Inputs and outputs of one size, and the graph between them.

    Fixed memory: who runs it takes turns.
    """

    def __init__(
        self, backend: DeviceBackend, weights: Weights, config: DetectConfig, network_hw: tuple[int, int]
    ) -> None:
        import torch

        self._backend = backend
        self._head = weights.head
        self._conf = config.conf
        self._iou = config.nms_iou
        # Boxes of several views of a picture are brought together, and suppressed, by the detector.
        self._suppress = config.tiles == (1, 1)
        self._at_once = _AT_ONCE if config.tiles == (1, 1) else 1  # the next part is of another size
        self._interpolation = config.interpolation
        batch = config.batch or 1
        shape = (batch, 3, *network_hw)
        channels_last = torch.channels_last
        self._inputs = torch.empty(
            shape, dtype=backend.dtype, device=backend.device, memory_format=channels_last
        )
        self._inputs.fill_(PADDING / 255)
        self._bounds = torch.zeros((batch, 4), device=backend.device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._output, self._rows, self._tally = self._look()
        if backend.device.type == "cuda":
            self._look()  # libraries have chosen and loaded their kernels
            torch.cuda.current_stream().synchronize()
            if backend.can_be_captured:
                self._graph = torch.cuda.CUDAGraph()
                stream = torch.cuda.current_stream()
                with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                    self._output, self._rows, self._tally = self._look()
        self._held = backend.held()
        pinned = backend.device.type == "cuda"
        self._host_rows = torch.empty(self._rows.shape, pin_memory=pinned)
        self._host_tally = torch.empty(self._tally.shape, dtype=torch.int64, pin_memory=pinned)

    def fill(self, some: Sequence[_Waiting]) -> None:
        """Resizes pictures into their rows of the inputs; the others are grey."""
        import torch

        self._inputs.fill_(PADDING / 255)
        bounds = torch.zeros(self._bounds.shape)
        for one in some:
            bounds[one.row] = torch.tensor(one.bounds_px)
        self._bounds.copy_(bounds)
        start = 0
        while start < len(some):
            first, stop = some[start], start + 1
            while stop < min(start + self._at_once, len(some)) and some[stop].follows(some[stop - 1]):
                stop += 1
            # Always as many, so that a picture's pixels do not depend on how many others there are.
            rgb = torch.empty((self._at_once, *first.rgb.shape), dtype=torch.uint8, device=first.rgb.device)
            torch.stack([one.rgb for one in some[start:stop]], out=rgb[: stop - start])
            rows = self._inputs[first.row : first.row + stop - start]
            letterbox_on_device(rgb, first.part.place, self._interpolation, rows)
            start = stop

    def run(self) -> None:
        """Looks at the inputs; complete when this returns."""
        import torch

        if self._graph is not None:
            self._graph.replay()
        else:
            self._output, self._rows, self._tally = self._look()
        self._host_rows.copy_(self._rows, non_blocking=True)
        self._host_tally.copy_(self._tally, non_blocking=True)
        if self._rows.is_cuda:
            # A thread that waits for a stream keeps a core busy; for such an event it sleeps.
            done = torch.cuda.Event(blocking=True)
            done.record()
            done.synchronize()

    def candidates(self, row: int) -> Candidates:
        """What was seen in one input."""
        n_above, settled = self._host_tally[row].tolist()
        if n_above > CANDIDATES or not settled:
            output: F32 = self._output[row].float().cpu().numpy()
            return read_head(output, self._head, self._conf)
        rows = self._host_rows[row].numpy()
        rows = rows[rows[:, 6] > 0]
        return Candidates(
            np.ascontiguousarray(rows[:, :4]), rows[:, 4].copy(), np.asarray(rows[:, 5], dtype=np.int16)
        )

    def _look(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Output of the network; (B, k, 7) boxes, score, class, whether it stays; (B, 2) how many, whether certain."""
        import torch

        output = self._backend.on_device(self._inputs)
        found = read_head_on_device(output, self._head, self._conf, CANDIDATES)
        if self._suppress:
            keep, settled = suppress_on_device(found, self._bounds, self._iou)
        else:
            keep, settled = found.valid, torch.ones_like(found.n_above, dtype=torch.bool)
        columns = [found.xyxy_px, found.score[..., None], found.class_id[..., None], keep[..., None]]
        rows = torch.cat([column.float() for column in columns], dim=2)
        return output, rows, torch.stack([found.n_above, settled.long()], dim=1)


def _on(stream: torch.cuda.Stream | None) -> AbstractContextManager[Any]:
    import torch

    return nullcontext() if stream is None else cast(AbstractContextManager[Any], torch.cuda.stream(stream))


def _slices(items: Sequence[Item], length: int) -> list[Sequence[Item]]:
    return [items[start : start + length] for start in range(0, len(items), length)]


def _loaded(picture: DevicePicture, looks: Sequence[Look]) -> _Loaded:
    prepared = Prepared(picture.width_px, picture.height_px, picture.reduction)
    waiting = []
    r = picture.reduction
    for look in looks:
        view = look.view
        rgb = picture.rgb[:, view.y0 // r : -(-view.y1 // r), view.x0 // r : -(-view.x1 // r)]
        place = fit((rgb.shape[1], rgb.shape[2]), look.network_hw)
        part = Part(view, place)
        prepared.parts.append(part)
        # The last decoded row or column may reach beyond the picture.
        right = place.left + place.resized_hw[1] * (view.x1 - view.x0) / (r * rgb.shape[2])
        bottom = place.top + place.resized_hw[0] * (view.y1 - view.y0) / (r * rgb.shape[1])
        waiting.append(_Waiting(part, 0, rgb, (place.left, place.top, right, bottom)))
    return _Loaded(prepared, waiting)
