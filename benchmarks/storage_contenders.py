"""Our store, zarr-python as it comes and WebDataset's tars as contenders of ``storage.py``."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from storage_drive import Columns, Drive, Reader


class FleetLabel(Reader):
    """A FleetLabel store, in parts of as many frames as ``fleetlabel ingest`` makes by default."""

    packages: ClassVar = ("zarr", "zarrs", "numpy")

    def __init__(self, folder: Path) -> None:
        from fleetlabel.model.sensors import SensorKind
        from fleetlabel.store import SequenceStore

        store = SequenceStore.open(folder / "drive.zarr")
        self.cameras = tuple(sensor.name for sensor in store.info.of_kind(SensorKind.CAMERA))
        self.lidars = tuple(sensor.name for sensor in store.info.of_kind(SensorKind.LIDAR))
        self.n_frames = store.info.n_frames
        self._store = store
        self._readers: dict[str, Any] = {}

    @staticmethod
    def write(folder: Path, drive: Drive) -> None:
        """Parts, each synced and committed."""
        from fleetlabel.engine.pipeline.config import RunConfig
        from fleetlabel.store import Part, SequenceStore

        info = description(drive)
        times = info.frame_timestamp_ns
        store = SequenceStore.create(folder / "drive.zarr", info)
        step = RunConfig().frames_per_task()

        def put(sensor: str, start: int, rows: list[int], flat: dict[str, np.ndarray]) -> None:
            samples: dict[str, Any] = {
                "timestamp_ns": times[start : start + len(rows)],
                "status": np.zeros(len(rows), dtype=np.uint8),
            }
            part = Part(samples, np.array(rows, dtype=np.int64), flat)
            store.sensor_table(sensor).write(start, part, provenance={})

        for start in range(0, drive.n_frames, step):
            for name, jpegs in drive.jpegs.items():
                mine = jpegs[start : start + step]
                put(name, start, [len(j) for j in mine], {"jpeg": np.frombuffer(b"".join(mine), np.uint8)})
            for name, sweeps in drive.sweeps.items():
                points, offsets = zip(*sweeps[start : start + step], strict=True)
                flat = {
                    "points": np.concatenate(points),
                    "point_time_offset_ns": np.concatenate(offsets),
                }
                put(name, start, [len(p) for p in points], flat)

    def _reader(self, sensor: str, opened: Callable[[str], Any]) -> Any:
        if sensor not in self._readers:
            self._readers[sensor] = opened(sensor)
        return self._readers[sensor]

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        jpeg: bytes = self._reader(camera, self._store.camera).jpeg(frame)
        return jpeg

    def jpegs(self, camera: str) -> Iterable[Any]:
        """As the engine reads them for detection and for its clients."""
        reader = self._reader(camera, self._store.camera)
        for start in range(0, self.n_frames, 32):
            yield from (data for _, _, data in reader.jpegs(start, min(start + 32, self.n_frames)))

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Points and times."""
        sweep = self._reader(lidar, self._store.lidar).sweep(frame)
        return sweep.points, sweep.point_time_offset_ns


def description(drive: Drive) -> Any:
    """What a FleetLabel store says of a drive, which stands still."""
    from fleetlabel.geometry.trajectory import Trajectory
    from fleetlabel.model.cameras import PinholeCamera
    from fleetlabel.model.sensors import Sensor, SensorKind
    from fleetlabel.store import SequenceInfo

    times = np.arange(drive.n_frames, dtype=np.int64) * drive.period_ns
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (drive.n_frames, 1))
    lens = PinholeCamera(1920, 1080, 1000, 1000, 960, 540)
    sensors = [Sensor(name, SensorKind.CAMERA, np.eye(4), lens) for name in drive.jpegs]
    sensors += [Sensor(name, SensorKind.LIDAR, np.eye(4)) for name in drive.sweeps]
    return SequenceInfo("drive", tuple(sensors), times, Trajectory(times, poses))


class ZarrDefaults(Reader):
    """zarr-python, a padded row and a chunk per frame, everything else as it comes."""

    packages: ClassVar = ("zarr", "numpy")

    def __init__(self, folder: Path) -> None:
        import zarr

        group: Any = zarr.open_group(folder / "drive.zarr", mode="r")
        self._arrays: dict[str, Any] = {name: group[name] for name in group.attrs["arrays"]}
        self._counts = {name: array.attrs["counts"] for name, array in self._arrays.items()}
        self.cameras, self.lidars = tuple(group.attrs["cameras"]), tuple(group.attrs["lidars"])
        self.n_frames = self._arrays[self.cameras[0]].shape[0]

    @staticmethod
    def write(folder: Path, drive: Drive) -> None:
        """Row by row."""
        import zarr

        group = zarr.create_group(folder / "drive.zarr")
        columns = {name: [np.frombuffer(j, np.uint8) for j in jpegs] for name, jpegs in drive.jpegs.items()}
        for name, sweeps in drive.sweeps.items():
            columns[f"{name}_points"] = [points for points, _ in sweeps]
            columns[f"{name}_times"] = [times for _, times in sweeps]
        for name, rows in columns.items():
            shape = (max(len(row) for row in rows), *rows[0].shape[1:])
            array = group.create_array(
                name, shape=(len(rows), *shape), chunks=(1, *shape), dtype=rows[0].dtype
            )
            for frame, row in enumerate(rows):
                array[frame, : len(row)] = row
            array.attrs["counts"] = [len(row) for row in rows]
        group.attrs.update(
            {"arrays": list(columns), "cameras": list(drive.jpegs), "lidars": list(drive.sweeps)}
        )

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        row: np.ndarray = self._arrays[camera][frame, : self._counts[camera][frame]]
        return row.tobytes()

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Points and times."""
        points, times = self._arrays[f"{lidar}_points"], self._arrays[f"{lidar}_times"]
        count = self._counts[f"{lidar}_points"][frame]
        return points[frame, :count], times[frame, :count]


class WebDatasetTar(Reader):
    """A tar per sensor; in order through webdataset, at random through the members' places."""

    packages: ClassVar = ("webdataset", "numpy")

    def __init__(self, folder: Path) -> None:
        held = json.loads((folder / "drive.json").read_text())
        self.cameras, self.lidars = tuple(held["cameras"]), tuple(held["lidars"])
        self.n_frames = held["n_frames"]
        self._folder = folder
        self._files: dict[str, tuple[Any, dict[str, tuple[int, int]]]] = {}

    @staticmethod
    def write(folder: Path, drive: Drive) -> None:
        """With WebDataset's own writer."""
        import webdataset

        folder.mkdir(parents=True, exist_ok=True)
        for name, jpegs in drive.jpegs.items():
            with webdataset.TarWriter(str(folder / f"{name}.tar"), encoder=False) as writer:
                for frame, jpeg in enumerate(jpegs):
                    writer.write({"__key__": f"{frame:06d}", "jpg": jpeg})
        for name, sweeps in drive.sweeps.items():
            with webdataset.TarWriter(str(folder / f"{name}.tar"), encoder=False) as writer:
                for frame, columns in enumerate(sweeps):
                    points, times = map(_npy, columns)
                    writer.write({"__key__": f"{frame:06d}", "points.npy": points, "times.npy": times})
        held = {"cameras": list(drive.jpegs), "lidars": list(drive.sweeps), "n_frames": drive.n_frames}
        (folder / "drive.json").write_text(json.dumps(held))

    def _member(self, sensor: str, name: str) -> bytes:
        if sensor not in self._files:
            file = (self._folder / f"{sensor}.tar").open("rb")
            with tarfile.open(fileobj=file) as members:
                places = {member.name: (member.offset_data, member.size) for member in members}
            self._files[sensor] = file, places
        file, places = self._files[sensor]
        offset, size = places[name]
        return os.pread(file.fileno(), size, offset)

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        return self._member(camera, f"{frame:06d}.jpg")

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Points and times."""
        points = self._member(lidar, f"{frame:06d}.points.npy")
        return np.load(io.BytesIO(points)), np.load(io.BytesIO(self._member(lidar, f"{frame:06d}.times.npy")))

    def _samples(self, sensor: str) -> Any:
        import webdataset

        return webdataset.WebDataset(str(self._folder / f"{sensor}.tar"), shardshuffle=False)

    def jpegs(self, camera: str) -> Iterator[Any]:
        """In the order of the tar."""
        return (sample["jpg"] for sample in self._samples(camera))

    def sweeps(self, lidar: str) -> Iterator[Columns]:
        """In the order of the tar."""
        for sample in self._samples(lidar):
            yield np.load(io.BytesIO(sample["points.npy"])), np.load(io.BytesIO(sample["times.npy"]))

    def close(self) -> None:
        """Closes the tars."""
        for file, _ in self._files.values():
            file.close()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
