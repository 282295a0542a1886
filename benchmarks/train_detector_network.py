"""The part of training the bundled detector that needs torch and ultralytics: the network, its training, its export.

    python benchmarks/train_detector_network.py train --data DIR --run DIR --minutes 60
    python benchmarks/train_detector_network.py export --run DIR --out synthetic.onnx

It runs in an environment of its own, without fleetlabel, so that neither torch nor an AGPL package is needed by those
who use the weights; ``train_detector.py`` says how to make one, writes the pictures, and calls this file.

The architecture and the assignment of boxes to anchors are ultralytics'; the loop around them is ours, since one
thread of a CPU trains twice as fast with bfloat16 and channels last, which ``YOLO.train()`` has for GPUs only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import torch
import ultralytics
import yaml
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import DFLoss
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.tal import TaskAlignedAssigner, bbox2dist, dist2bbox, make_anchors

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

ARCHITECTURE, DEPTH, WIDTH = "yolo11", 0.5, 0.125  # nano has twice the width
IGNORED = -1  # class of a region that is neither an object nor background
PADDING = 114  # the grey around pictures, as the detector pads them

# What one step looks at. All cost about the same. Parts of pictures show more objects per pixel; whole pictures are
# what the detector will see, with objects too large for any part.
PARTS = (288, 480, 16)  # height, width, how many
WHOLE = (544, 960, 4)
SHARE_WHOLE, SHARE_WHOLE_AT_END = 0.2, 0.5
END = 0.8  # of the training: from here on more whole pictures and little colour jitter
CLASS_SHARES = (0.3, 0.25, 0.25, 0.2)  # of the objects around which parts are cut, in order of the classes
SMALLEST_PX = 7.0  # objects lower than this in what the network sees are neither taught nor denied
LEAST_LEFT = 0.25  # nor are those of which a cut leaves less

PEAK_RATE, LAST_RATE = 2e-3, 2e-5
WARM_UP = 0.03  # of the training
WEIGHT_DECAY = 5e-4
GAIN_BOX, GAIN_CLASS, GAIN_SPREAD = 7.5, 0.5, 1.5  # ultralytics' own
EMA_STEPS = 400  # over about how many steps the weights that are kept are averaged


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in memory and what they show.

    Attributes:
        rgb: (h, w, 3) uint8 each.
        picture: (N,) which picture a box lies in.
        cls: (N,) class number, or IGNORED.
        xyxy_px: (N, 4) edges of the visible part.
    """

    rgb: list[U8]
    picture: I64
    cls: I64
    xyxy_px: F32
    class_names: tuple[str, ...]


def load_pictures(folder: Path) -> Pictures:
    """All pictures that ``train_detector.py data`` wrote into a folder."""
    rgb: list[U8] = []
    rows: list[list[float]] = []
    names: tuple[str, ...] = ()
    for file in sorted(folder.glob("seed_*.json")):
        drive = json.loads(file.read_text())
        names = tuple(drive["class_names"])
        for picture in drive["pictures"]:
            rows += [[len(rgb), *box] for box in picture["boxes"]]
            bgr = cv2.imread(str(folder / picture["file"]))
            if bgr is None:
                raise SystemExit(f"{folder / picture['file']}: no picture; make the data again")
            rgb.append(np.ascontiguousarray(bgr[..., ::-1]))
    if not rgb:
        raise SystemExit(f"{folder}: no pictures there; run `train_detector.py data` first")
    table = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Pictures(rgb, table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:], names)


class Sampler:
    """Draws what the steps look at: parts of pictures around objects, and whole pictures, both varied."""

    def __init__(self, pictures: Pictures, seed: int) -> None:
        self._pictures = pictures
        self._rng = np.random.default_rng(seed)
        bounds = np.searchsorted(pictures.picture, np.arange(len(pictures.rgb) + 1))
        self._rows_of = [slice(a, b) for a, b in pairwise(bounds.tolist())]
        height = pictures.xyxy_px[:, 3] - pictures.xyxy_px[:, 1]
        numbers = range(len(pictures.class_names))
        self._rows_of_class = [np.flatnonzero((pictures.cls == n) & (height >= 12)) for n in numbers]

    def batch(self, progress: float) -> dict[str, torch.Tensor]:
        """Inputs (B, 3, H, W) in 0..1 and boxes (N, 4) in their pixels with their class and number of input.

        Args:
            progress: of the training, 0..1.
        """
        share = SHARE_WHOLE if progress < END else SHARE_WHOLE_AT_END
        whole = self._rng.random() < share
        height, width, count = WHOLE if whole else PARTS
        seen, boxes, classes, of = [], [], [], []
        for number in range(count):
            rgb, xyxy, cls = self._whole(width, height) if whole else self._part(width, height)
            seen.append(self._recoloured(rgb, 1.0 if progress < END else 0.3))
            boxes.append(xyxy)
            classes.append(cls)
            of.append(np.full(len(cls), number))
        inputs = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2)  # in memory: channels last
        return {
            "inputs": inputs,
            "xyxy_px": torch.from_numpy(np.concatenate(boxes)),
            "cls": torch.from_numpy(np.concatenate(classes)),
            "input": torch.from_numpy(np.concatenate(of)),
        }

    def _whole(self, width: int, height: int) -> tuple[U8, F32, I64]:
        number = self._chosen_picture()[0]
        h, w = self._pictures.rgb[number].shape[:2]
        scale = min(width / w, height / h) * float(self._rng.choice([1.0, 1.0, self._rng.uniform(0.8, 1.25)]))
        corner = self._rng.random(2) * (w - width / scale, h - height / scale)
        return self._cut(number, corner, scale, width, height)

    def _part(self, width: int, height: int) -> tuple[U8, F32, I64]:
        number, place = self._chosen_picture()
        h, w = self._pictures.rgb[number].shape[:2]
        if self._rng.random() < 0.25:  # small enough to hold all of the picture or nearly so
            scale = float(self._rng.uniform(1.0, 1.4)) * min(width / w, height / h)
        else:
            scale = float(np.exp(self._rng.uniform(np.log(0.7), np.log(1.4))))
        size = np.array([width, height]) / scale
        corner = place - size * self._rng.uniform(0.1, 0.9, 2)
        room = np.array([w, h]) - size
        corner = np.clip(corner, np.minimum(room, 0) / 2, np.maximum(room, room / 2))
        return self._cut(number, corner, scale, width, height)

    def _chosen_picture(self) -> tuple[int, npt.NDArray[np.float64]]:
        """A picture and a place in it, mostly that of an object; rare classes are as frequent as common ones."""
        pictures, rng = self._pictures, self._rng
        rows = self._rows_of_class[rng.choice(len(CLASS_SHARES), p=CLASS_SHARES)]
        if rng.random() < 0.15 or not len(rows):
            number = int(rng.integers(len(pictures.rgb)))
            h, w = pictures.rgb[number].shape[:2]
            return number, rng.random(2) * (w, h)
        row = int(rng.choice(rows))
        xyxy = pictures.xyxy_px[row].astype(np.float64)
        return int(pictures.picture[row]), (xyxy[:2] + xyxy[2:]) / 2

    def _cut(
        self, number: int, corner: npt.NDArray[np.float64], scale: float, width: int, height: int
    ) -> tuple[U8, F32, I64]:
        """A window of a picture at a scale, grey outside of the picture, and the boxes in it; half of them mirrored."""
        source, rows = self._pictures.rgb[number], self._rows_of[number]
        x0, y0 = round(float(corner[0])), round(float(corner[1]))
        x1, y1 = x0 + round(width / scale), y0 + round(height / scale)
        inner = source[max(y0, 0) : y1, max(x0, 0) : x1]
        sx, sy = width / (x1 - x0), height / (y1 - y0)
        resized = (max(round(inner.shape[1] * sx), 1), max(round(inner.shape[0] * sy), 1))
        if resized != (inner.shape[1], inner.shape[0]):
            inner = cv2.resize(inner, resized, interpolation=cv2.INTER_AREA if sx < 1 else cv2.INTER_LINEAR)
        left, top = round(max(-x0, 0) * sx), round(max(-y0, 0) * sy)
        inner = inner[: height - top, : width - left]
        out = np.full((height, width, 3), PADDING, dtype=np.uint8)
        out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        moved = (self._pictures.xyxy_px[rows] - np.array([x0, y0, x0, y0], np.float32)) * np.array(
            [sx, sy, sx, sy], np.float32
        )
        xyxy, cls = _clipped(moved, self._pictures.cls[rows], width, height)
        if self._rng.random() < 0.5:
            out = out[:, ::-1]
            xyxy = np.stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]], axis=1)
        return out, xyxy.astype(np.float32), cls

    def _recoloured(self, rgb: U8, strength: float) -> U8:
        """Another white balance, brightness and contrast, as a table per channel; sometimes blurred."""
        rng = self._rng
        gain = rng.uniform(1 - 0.3 * strength, 1 + 0.3 * strength) * rng.uniform(
            1 - 0.1 * strength, 1 + 0.1 * strength, 3
        )
        gamma = np.exp(rng.uniform(-0.35, 0.35) * strength)
        level = np.linspace(0, 1, 256)[:, None] ** gamma * gain
        table = np.clip(255 * level + 0.5, 0, 255).astype(np.uint8)
        out = np.asarray(cv2.LUT(np.ascontiguousarray(rgb), table[:, None, :]), dtype=np.uint8)
        if rng.random() < 0.05 * strength:
            out = np.asarray(cv2.GaussianBlur(out, (3, 3), 0), dtype=np.uint8)
        return out


def _clipped(xyxy: F32, cls: I64, width: int, height: int) -> tuple[F32, I64]:
    """Boxes clipped to a window; what is left too little or too small of becomes a region to ignore."""
    limits = np.array([width, height, width, height], np.float32)
    inside = np.clip(xyxy, 0, limits)
    size, whole = inside[:, 2:] - inside[:, :2], xyxy[:, 2:] - xyxy[:, :2]
    hardly = (size.prod(axis=1) < LEAST_LEFT * whole.prod(axis=1)) | (size[:, 1] < SMALLEST_PX)
    kept = (size > 1.0).all(axis=1)
    return inside[kept], np.where(hardly, IGNORED, cls)[kept]


class Loss:
    """ultralytics' detection loss (task-aligned assignment, CIoU, distribution focal), with regions to ignore.

    Boxes are decoded with gradients only where an object was assigned, which saves a tenth of a step.
    """

    def __init__(self, head: Any) -> None:
        self._stride, self._n_classes, self._bins = head.stride, head.nc, head.reg_max
        self._assigner = TaskAlignedAssigner(
            topk=10, num_classes=head.nc, alpha=0.5, beta=6.0, stride=head.stride.tolist()
        )
        self._spread_loss = DFLoss(head.reg_max)
        self._bin = torch.arange(head.reg_max, dtype=torch.float32)

    def __call__(self, raw: dict[str, Any], batch: dict[str, torch.Tensor]) -> tuple[Any, dict[str, float]]:
        """Sum of the loss over the batch, and its parts."""
        spread = raw["boxes"].float().permute(0, 2, 1).contiguous()
        logits = raw["scores"].float().permute(0, 2, 1).contiguous()
        anchors, stride = make_anchors([level.float() for level in raw["feats"]], self._stride, 0.5)
        taught = batch["cls"] != IGNORED
        cls, xyxy = self._padded(batch, taught, len(logits))
        with torch.no_grad():
            decoded = dist2bbox(self._distances(spread), anchors, xywh=False) * stride
        _, target_xyxy, target_score, assigned, _ = self._assigner(
            logits.detach().sigmoid(),
            decoded,
            anchors * stride,
            cls,
            xyxy,
            xyxy.sum(2, keepdim=True).gt_(0.0),
        )
        total = target_score.sum().clamp_(min=1)
        counts = ~self._ignored(anchors * stride, batch, ~taught, len(logits)) | assigned
        per_class = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target_score.float(), reduction="none"
        )
        class_loss = (per_class * counts[..., None]).sum() / total

        rows, places = assigned.nonzero(as_tuple=True)
        weight = target_score[rows, places].sum(-1, keepdim=True)
        target = target_xyxy[rows, places] / stride[places]
        found = dist2bbox(self._distances(spread[rows, places]), anchors[places], xywh=False)
        box_loss = ((1 - bbox_iou(found, target, xywh=False, CIoU=True)) * weight).sum() / total
        distances = bbox2dist(anchors[places], target, self._bins - 1)
        per_side = self._spread_loss(spread[rows, places].view(-1, self._bins), distances)
        spread_loss = (per_side * weight).sum() / total

        loss = GAIN_BOX * box_loss + GAIN_CLASS * class_loss + GAIN_SPREAD * spread_loss
        parts = {"box": box_loss, "class": class_loss, "spread": spread_loss}
        return loss * len(logits), {name: float(part.detach()) for name, part in parts.items()}

    def _distances(self, spread: Any) -> Any:
        return spread.view(*spread.shape[:-1], 4, self._bins).softmax(-1).matmul(self._bin)

    def _padded(
        self, batch: dict[str, torch.Tensor], taught: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Classes (B, M, 1) and boxes (B, M, 4), zeros where an input has fewer than M."""
        of = batch["input"][taught]
        per_input = torch.bincount(of, minlength=count)
        place = torch.arange(len(of)) - (per_input.cumsum(0) - per_input)[of]
        most = int(per_input.max()) if len(of) else 0
        cls, xyxy = torch.zeros(count, most, 1), torch.zeros(count, most, 4)
        cls[of, place, 0] = batch["cls"][taught].float()
        xyxy[of, place] = batch["xyxy_px"][taught]
        return cls, xyxy

    def _ignored(
        self, place_px: Any, batch: dict[str, torch.Tensor], region: torch.Tensor, count: int
    ) -> torch.Tensor:
        """Which anchors (B, A) lie in a region to ignore."""
        xyxy = batch["xyxy_px"][region][:, None]
        inside = ((place_px > xyxy[..., :2]) & (place_px < xyxy[..., 2:])).all(-1).float()
        return torch.zeros(count, len(place_px)).index_add_(0, batch["input"][region], inside) > 0


def network(class_names: tuple[str, ...]) -> Any:
    """An untrained network."""
    file = next((Path(ultralytics.__file__).parent / "cfg" / "models").rglob(f"{ARCHITECTURE}.yaml"))
    layers = yaml.safe_load(file.read_text())
    layers |= {"scales": {"n": [DEPTH, WIDTH, 1024]}, "scale": "n", "nc": len(class_names)}
    model = DetectionModel(layers, ch=3, nc=len(class_names), verbose=False)
    model.names = dict(enumerate(class_names))
    return model


def train(data: Path, run: Path, minutes: float, seed: int, start_from: Path | None) -> None:
    """Trains for a time and writes ``last.pt`` (averaged weights) and ``train.jsonl`` every few minutes.

    Args:
        start_from: folder of an earlier run whose weights are trained on; None starts from random ones.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    run.mkdir(parents=True, exist_ok=True)
    pictures = load_pictures(data)
    model = network(pictures.class_names)
    if start_from is not None:
        model.load_state_dict(torch.load(start_from / "last.pt", weights_only=True)["weights"])
    model = model.to(memory_format=torch.channels_last).train()
    loss_of = Loss(model.model[-1])
    optimiser = _optimiser(model)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    start = saved = time.monotonic()
    steps, sums = 0, dict.fromkeys(("box", "class", "spread"), 0.0)
    with (run / "train.jsonl").open("a") as log:
        for step, batch in enumerate(_ahead(Sampler(pictures, seed), start, 60 * minutes)):
            progress = (time.monotonic() - start) / (60 * minutes)
            for group in optimiser.param_groups:
                group["lr"] = _rate(progress)
            inputs = batch["inputs"].to(torch.float32).div_(255)
            with torch.autocast("cpu", torch.bfloat16):
                raw = model(inputs)
            loss, parts = loss_of(raw, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0 * len(inputs))
            optimiser.step()
            optimiser.zero_grad()
            _average(kept, model.state_dict(), step)
            for name, value in parts.items():
                sums[name] += value
            steps = step + 1
            if steps % 50 == 0:
                row = {"step": steps, "minutes": (time.monotonic() - start) / 60, "progress": progress}
                row |= {name: value / 50 for name, value in sums.items()}
                print(json.dumps(row), file=log, flush=True)
                sums = dict.fromkeys(sums, 0.0)
            if time.monotonic() - saved > 180:
                saved = time.monotonic()
                _save(run, kept, pictures.class_names, progress)
    _save(run, kept, pictures.class_names, 1.0)
    facts = {
        "architecture": f"{ARCHITECTURE}, depth {DEPTH}, width {WIDTH}",
        "pictures": len(pictures.rgb),
        "objects": int((pictures.cls != IGNORED).sum()),
        "minutes": minutes,
        "steps": steps,
        "seed": seed,
        "ultralytics": ultralytics.__version__,
        "torch": torch.__version__,
        "started_from": None if start_from is None else json.loads((start_from / "trained.json").read_text()),
    }
    (run / "trained.json").write_text(json.dumps(facts, indent=1) + "\n")


def _ahead(sampler: Sampler, start: float, seconds: float) -> Iterator[dict[str, torch.Tensor]]:
    """Batches until the time is over, each drawn by a second thread while the network works on the one before."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(sampler.batch, 0.0)
        while (progress := (time.monotonic() - start) / seconds) < 1.0:
            batch = coming.result()
            coming = pool.submit(sampler.batch, progress)
            yield batch


def _optimiser(model: Any) -> Any:
    """AdamW; biases and normalisation do not decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    decaying = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": decaying, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.999))


def _rate(progress: float) -> float:
    """Learning rate: a short rise, then half a cosine."""
    if progress < WARM_UP:
        return PEAK_RATE * max(progress / WARM_UP, 0.01)
    done = min((progress - WARM_UP) / (1 - WARM_UP), 1.0)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2


def _average(kept: dict[str, Any], now: dict[str, Any], step: int) -> None:
    """Moves the averaged weights towards the present ones; faster in the beginning, when they change fast."""
    share = max(1 / EMA_STEPS, 1 / (1 + step / 4))
    for name, value in now.items():
        if value.dtype.is_floating_point:
            kept[name].lerp_(value, share)
        else:
            kept[name].copy_(value)


def _save(run: Path, weights: dict[str, Any], class_names: tuple[str, ...], progress: float) -> None:
    partial = run / "last.pt.partial"
    torch.save({"weights": weights, "class_names": list(class_names), "progress": progress}, partial)
    partial.replace(run / "last.pt")


def export(run: Path, out: Path) -> None:
    """Writes the averaged weights as ONNX with free batch, height and width, and the metadata ultralytics writes."""
    saved = torch.load(run / "last.pt", weights_only=True)
    model = network(tuple(saved["class_names"]))
    model.load_state_dict(saved["weights"])
    model = model.eval().fuse(verbose=False)
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", True
    free = {0: "batch", 2: "height", 3: "width"}
    torch.onnx.export(
        model,
        torch.zeros(1, 3, 64, 96),
        str(out),
        dynamo=False,
        opset_version=17,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": free, "output0": {0: "batch", 2: "anchors"}},
    )
    described = onnx.load(str(out))
    notes = {
        "description": f"{ARCHITECTURE} of width {WIDTH}, trained on FleetLabel's synthetic drives only",
        "license": "AGPL-3.0 (trained with ultralytics, https://ultralytics.com/license)",
        "version": ultralytics.__version__,
        "task": "detect",
        "stride": str(int(max(head.stride))),
        "imgsz": str(list(WHOLE[:2])),
        "names": str(dict(enumerate(saved["class_names"]))),
    }
    channels = described.graph.output[0].type.tensor_type.shape.dim[1]
    channels.dim_value = 4 + len(saved["class_names"])  # free sizes hide it from the exporter
    del described.metadata_props[:]
    for key, value in notes.items():
        described.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(described)
    onnx.save(described, str(out))


def main() -> None:
    """Trains or exports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    of_train, of_export = steps.add_parser("train"), steps.add_parser("export")
    of_train.add_argument(
        "--data", type=Path, required=True, help="folder that `train_detector.py data` wrote"
    )
    of_train.add_argument("--minutes", type=float, default=60.0)
    of_train.add_argument("--seed", type=int, default=0)
    of_train.add_argument("--start-from", type=Path, help="folder of an earlier run to train on")
    of_export.add_argument("--out", type=Path, required=True, help="the .onnx file")
    for step in (of_train, of_export):
        step.add_argument("--run", type=Path, required=True, help="folder of the trained weights")
    given = parser.parse_args()
    if given.step == "train":
        train(given.data, given.run, given.minutes, given.seed, given.start_from)
    else:
        export(given.run, given.out)


if __name__ == "__main__":
    main()
