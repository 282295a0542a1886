"""A model file says what it is, or is refused with what was expected, what was found and what to do."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.small_models import NAMES, detector_metadata, square_finder
from fleetlabel.engine.detect import WeightsKind, load_weights
from fleetlabel.engine.detect.coco import COCO_CLASS_NAMES
from fleetlabel.engine.detect.heads import Head
from fleetlabel.engine.detect.metadata import read_export
from fleetlabel.model.errors import ModelFileError

INPUT = (1, 3, 320, 320)


def test_an_onnx_file_says_what_it_is(model: Path) -> None:
    weights = load_weights(model)
    assert weights.kind is WeightsKind.ONNX
    assert weights.class_names == NAMES
    assert (weights.network_hw, weights.imgsz_px, weights.batch) == ((96, 96), 96, 1)
    assert (weights.precision, weights.mixes_batch, weights.head) == ("fp32", False, Head.GRID)
    assert weights.notes == ()


def test_the_digest_is_of_the_bytes_and_not_of_the_name(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "renamed.onnx"
    other.write_bytes(model.read_bytes())
    assert load_weights(other).sha256 == load_weights(model).sha256
    changed = square_finder(
        tmp_path / "changed.onnx", metadata=detector_metadata(names="{0:'a',1:'b',2:'c'}")
    )
    assert load_weights(changed).sha256 != load_weights(model).sha256


def test_weights_that_name_nothing(tmp_path: Path) -> None:
    weights = load_weights(square_finder(tmp_path / "nameless.onnx", metadata={}))
    assert weights.class_names == ("class_0", "class_1", "class_2")
    assert "names no classes" in weights.notes[0]


def test_eighty_nameless_classes_are_taken_for_coco_and_it_is_reported() -> None:
    said = read_export(Path("m.onnx"), {}, [INPUT], [(1, 84, 2100)])
    assert said.class_names == COCO_CLASS_NAMES
    assert len(set(said.class_names)) == 80
    assert "COCO" in said.notes[0]


@pytest.mark.parametrize(
    ("metadata", "output", "head"),
    [
        (detector_metadata(), (1, 7, 2100), Head.GRID),
        (detector_metadata(), (None, 7, None), Head.GRID),
        (detector_metadata(end2end="True"), (1, 300, 6), Head.END_TO_END),
        (detector_metadata(end2end="True"), (None, None, None), Head.END_TO_END),
        (detector_metadata(), (1, 300, 6), Head.END_TO_END),
        (detector_metadata(names="{0: 'a', 1: 'b'}"), (1, 6, 2100), Head.GRID),
    ],
)
def test_output_layouts(metadata: dict[str, str], output: tuple[int | None, ...], head: Head) -> None:
    assert read_export(Path("m.onnx"), metadata, [INPUT], [output]).head is head


@pytest.mark.parametrize(
    ("metadata", "inputs", "outputs", "message"),
    [
        (detector_metadata(task="segment"), [INPUT], [(1, 39, 2100), (1, 32, 80, 80)], "'segment'.*'detect'"),
        (detector_metadata(task="pose"), [INPUT], [(1, 56, 2100)], "'pose'"),
        ({}, [INPUT], [(1, 39, 2100), (1, 32, 80, 80)], "one output.*found.*39.*and.*32"),
        ({}, [INPUT], [(1, 1000)], "one output"),
        (detector_metadata(), [INPUT], [(1, 84, 2100)], "batch, 7, boxes.*found.*84"),
        ({}, [INPUT], [(1, 25200, 85)], "found.*25200, 85"),
        (detector_metadata(), [(1, 1, 320, 320)], [(1, 7, 2100)], "RGB.*found.*1, 1, 320"),
        (detector_metadata(), [INPUT, INPUT], [(1, 7, 2100)], "one input"),
        (detector_metadata(names="{0: 'a', 2: 'b'}"), [INPUT], [(1, 6, 2100)], "not numbered"),
        (detector_metadata(names="__import__('os')"), [INPUT], [(1, 6, 2100)], "cannot be read"),
        ({}, [INPUT], [(1, 300, 6)], "how many"),
    ],
)
def test_other_models_are_refused(
    metadata: dict[str, str], inputs: list[Any], outputs: list[Any], message: str
) -> None:
    with pytest.raises(ModelFileError, match=rf"(?s)m\.onnx.*{message}"):
        read_export(Path("m.onnx"), metadata, inputs, outputs)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"yolo11n.pt: there is no such model file.*Nothing is downloaded"
    ):
        load_weights(tmp_path / "yolo11n.pt")


@pytest.mark.parametrize("ending", [".onnx", ".engine", ".pt", ".xml"])
@pytest.mark.parametrize("content", [b"", b"not a model at all", bytes(5000)], ids=["empty", "text", "zeros"])
def test_files_that_are_no_models(tmp_path: Path, ending: str, content: bytes) -> None:
    if ending == ".pt":
        pytest.importorskip("ultralytics")
    path = tmp_path / f"weights{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=f"weights{ending}"):
        load_weights(path)


def test_unknown_ending(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"expected .pt, .onnx.*found '.h5'"):
        load_weights(path)


def test_truncated_onnx(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"squares.onnx.*damaged.*copy or export"):
        load_weights(model)


@pytest.fixture
def openvino_folder(model: Path, tmp_path: Path) -> Path:
    openvino = pytest.importorskip("openvino")
    folder = tmp_path / "squares_openvino_model"
    folder.mkdir()
    openvino.save_model(openvino.Core().read_model(model), folder / "squares.xml", compress_to_fp16=False)
    (folder / "metadata.yaml").write_text(
        yaml.safe_dump({"task": "detect", "names": dict(enumerate(NAMES)), "imgsz": [96, 96], "stride": 32})
    )
    return folder


def test_an_openvino_folder(openvino_folder: Path) -> None:
    weights = load_weights(openvino_folder)
    assert weights.kind is WeightsKind.OPENVINO
    assert (weights.class_names, weights.network_hw, weights.head) == (NAMES, (96, 96), Head.GRID)
    assert load_weights(openvino_folder / "squares.xml").sha256 == weights.sha256
    (openvino_folder / "metadata.yaml").write_text("task: detect\n")
    assert load_weights(openvino_folder).sha256 != weights.sha256


def test_damaged_openvino_folders(openvino_folder: Path, tmp_path: Path) -> None:
    (openvino_folder / "metadata.yaml").write_text("{")
    with pytest.raises(ModelFileError, match=r"metadata.yaml.*YAML"):
        load_weights(openvino_folder)
    (openvino_folder / "squares.bin").unlink()
    with pytest.raises(ModelFileError, match=r"not squares.bin"):
        load_weights(openvino_folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"found 0 .xml"):
        load_weights(tmp_path / "empty")


def engine_file(path: Path, metadata: dict[str, object]) -> Path:
    text = json.dumps(metadata).encode()
    path.write_bytes(len(text).to_bytes(4, "little") + text + b"engine")
    return path


def test_a_tensorrt_engine_is_described_without_a_gpu(tmp_path: Path) -> None:
    metadata = {
        "task": "detect",
        "names": {"0": "car", "1": "truck"},
        "imgsz": [384, 640],
        "batch": 8,
        "stride": 32,
        "args": {"half": True, "dynamic": False},
    }
    weights = load_weights(engine_file(tmp_path / "yolo.engine", metadata))
    assert weights.kind is WeightsKind.TENSORRT
    assert (weights.class_names, weights.network_hw, weights.batch) == (("car", "truck"), (384, 640), 8)
    assert (weights.precision, weights.head) == ("fp16", Head.GRID)
    segmenting = {**metadata, "task": "segment"}
    with pytest.raises(ModelFileError, match=r"'segment'"):
        load_weights(engine_file(tmp_path / "seg.engine", segmenting))


@pytest.mark.parametrize("architecture", ["yolo11n", "yolov5nu"])
def test_an_ultralytics_checkpoint(ultralytics_checkpoint: Callable[..., Path], architecture: str) -> None:
    weights = load_weights(ultralytics_checkpoint(architecture))
    assert weights.kind is WeightsKind.ULTRALYTICS
    assert weights.class_names[:3] == ("person", "bicycle", "car") or len(weights.class_names) == 80
    assert (weights.network_hw, weights.batch, weights.stride_px) == (None, None, 32)
    assert weights.head is Head.GRID


def test_checkpoints_of_other_tasks_and_damaged_ones(
    ultralytics_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=r"'segment'.*take the detection weights"):
        load_weights(ultralytics_checkpoint("yolo11n-seg"))
    truncated = tmp_path / "half.pt"
    content = ultralytics_checkpoint("yolo11n").read_bytes()
    truncated.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match=r"half.pt.*not a complete ultralytics checkpoint"):
        load_weights(truncated)


class _RunsCode:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('ran').touch()",))


@pytest.mark.parametrize("legacy", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    pytest.importorskip("ultralytics")
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    if legacy:
        path.write_bytes(pickle.dumps({"model": _RunsCode()}))
    else:
        torch.save({"model": _RunsCode()}, path)
    with pytest.raises(ModelFileError, match=r"evil.pt.*trust_pickle"):
        load_weights(path)
    assert not (tmp_path / "ran").exists()


def test_real_weights(models_dir: Path) -> None:
    for name in ("yolo11n_int8.onnx", "yolov8n_int8.onnx"):
        weights = load_weights(models_dir / name)
        assert weights.class_names == COCO_CLASS_NAMES
        assert (weights.network_hw, weights.batch, weights.precision) == ((320, 320), 1, "int8")
        assert weights.mixes_batch
