"""Command-line options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from fleetlabel.model.errors import UsageError
from fleetlabel.store.object_path import place_of

StoreArg = Annotated[
    Path,
    typer.Argument(
        metavar="STORE", help="A sequence's store (.zarr), also s3://.", parser=place_of, show_default=False
    ),
]
StoresArg = Annotated[
    Path,
    typer.Argument(
        metavar="ROOT|STORE",
        help="A folder of stores (a fleet), or one store.",
        parser=place_of,
        show_default=False,
    ),
]
SourceArg = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A drive log: PandaSet, KITTI tracking or rig folder.",
        parser=place_of,
        show_default=False,
    ),
]
SourcesArg = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Drive logs; or folders of them, globs, and lists (@drives.txt), for a store each below --out. Also s3://.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="STORE",
        help="The store to write, also s3://.",
        parser=place_of,
        show_default=False,
    ),
]
OutOfRun = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="STORE|ROOT",
        help="The store to write; with many drives, the folder for their stores. Also s3://.",
        parser=place_of,
        show_default=False,
    ),
]
Sequence = Annotated[str | None, typer.Option(help="Which sequence, where SOURCE holds several.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an existing store.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable summary.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="YAML", help="Settings; flags take precedence.")
]
ChunkFrames = Annotated[
    int | None, typer.Option(help="Frames per task; labels do not depend on it.", show_default="32 to 128")
]
Workers = Annotated[int | None, typer.Option(help="Tasks at once.", show_default="one per core")]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Workers of a Dask cluster: tcp://host:8786, or a scheduler file.",
        show_default=False,
    ),
]
Threads = Annotated[bool, typer.Option("--threads", help="Many drives: threads instead of processes.")]
DetectNeeds = Annotated[
    str | None,
    typer.Option(metavar="NAME=AMOUNT", help="Resource that a worker must have for detection, e.g. GPU=1."),
]
WaitForWorkers = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Until a cluster has its first worker.", show_default="10"),
]
Checks = Annotated[
    bool | None,
    typer.Option("--checks/--no-checks", help="Check the drive once it is ingested.", show_default="checks"),
]
LabelsName = Annotated[
    str | None,
    typer.Option("--labels", help="Name of the label version.", show_default="named after the run"),
]

Model = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", help="YOLO weights: .pt, .onnx, OpenVINO folder, .engine.", show_default=False
    ),
]
Detections2D = Annotated[
    Path | None,
    typer.Option(help="Instead of a model: a folder of another detector's 2D boxes (KITTI tracking)."),
]
Detections3D = Annotated[
    Path | None,
    typer.Option(help="Instead of lifting: another detector's cuboids (KITTI or nuScenes results)."),
]
ImageSize = Annotated[int | None, typer.Option("--imgsz", help="Side of the network's input in pixels.")]
Tiles = Annotated[
    str | None, typer.Option(metavar="CxR", help="Columns x rows of tiles besides the whole picture.")
]
Confidence = Annotated[float | None, typer.Option("--conf", help="Least score of a detection.")]
Backend = Annotated[str | None, typer.Option(help="auto, torch, onnxruntime, openvino or tensorrt.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32, fp16 or bf16, as the backend can.")]
Batch = Annotated[int | None, typer.Option(help="Pictures per forward pass, where the weights allow.")]


def parse_tiles(text: str | None) -> tuple[int, int] | None:
    """``3x2`` as (columns, rows).

    Raises:
        UsageError: it is no such text.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text)
    if match is None:
        raise UsageError(f"--tiles {text!r} is not COLUMNSxROWS; write for example --tiles 3x2")
    return int(match[1]), int(match[2])
