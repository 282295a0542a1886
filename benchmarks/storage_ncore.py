"""NVIDIA NCore as a contender of ``storage.py``: indexed tars and folders, points as clouds or as rays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from storage_drive import Columns, Drive, Reader


class NCore(Reader):
    """NCore V4, every sensor a component group of its own; points as point clouds, exactly."""

    packages: ClassVar = ("nvidia-ncore", "zarr", "numcodecs", "numpy")
    store_type, consolidated = "itar", True

    def __init__(self, folder: Path) -> None:
        from ncore.data import v4

        paths = sorted(path for path in folder.iterdir() if ".ncore4" in path.name)
        self._opened = v4.SequenceComponentGroupsReader(paths, open_consolidated=self.consolidated)
        self._cameras = self._opened.open_component_readers(v4.CameraSensorComponent.Reader)
        self._lidars = self._opened.open_component_readers(self._lidar_component().Reader)
        self.cameras, self.lidars = tuple(sorted(self._cameras)), tuple(sorted(self._lidars))
        self._ends = {name: r.frames_timestamps_us[:, 1].tolist() for name, r in self._cameras.items()}
        self.n_frames = len(self._ends[self.cameras[0]])

    @staticmethod
    def _lidar_component() -> Any:
        from ncore.data.v4 import PointCloudsComponent

        return PointCloudsComponent

    @classmethod
    def write(cls, folder: Path, drive: Drive) -> None:
        """One component group per sensor."""
        from ncore.data import v4
        from ncore.impl.common.transformations import HalfClosedInterval
        from upath import UPath

        period_us = drive.period_ns // 1000
        last = (drive.n_frames + 1) * period_us
        writer = v4.SequenceComponentGroupsWriter(
            UPath(folder), "drive", "drive", HalfClosedInterval(0, last), {}, cls.store_type
        )
        for name, jpegs in drive.jpegs.items():
            camera = writer.register_component_writer(v4.CameraSensorComponent.Writer, name, group_name=name)
            for frame, jpeg in enumerate(jpegs):
                end = (frame + 1) * period_us
                camera.store_frame(jpeg, "jpeg", np.array([end, end], dtype=np.uint64), {}, {})
        for name, sweeps in drive.sweeps.items():
            cls._write_lidar(writer, name, sweeps, period_us)
        writer.finalize()

    @classmethod
    def _write_lidar(cls, writer: Any, name: str, sweeps: list[Any], period_us: int) -> None:
        from ncore.data import PointCloud
        from ncore.data.v4 import PointCloudsComponent

        invariant = PointCloud.AttributeTransformType.INVARIANT
        schemas = {
            "intensity": PointCloudsComponent.AttributeSchema(invariant, np.dtype("float32")),
            "time_ns": PointCloudsComponent.AttributeSchema(invariant, np.dtype("int32")),
        }
        lidar = writer.register_component_writer(
            PointCloudsComponent.Writer,
            name,
            group_name=name,
            coordinate_unit=PointCloud.CoordinateUnit.METERS,
            attribute_schemas=schemas,
        )
        for frame, (points, times) in enumerate(sweeps):
            columns = {"intensity": np.ascontiguousarray(points[:, 3]), "time_ns": times}
            lidar.store_pc(np.ascontiguousarray(points[:, :3]), name, (frame + 1) * period_us, columns)

    def jpeg(self, camera: str, frame: int) -> bytes:
        """File of one picture."""
        found = self._cameras[camera].get_frame_data(self._ends[camera][frame])
        jpeg: bytes = found.get_encoded_image_data()
        return jpeg

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Coordinates, intensity and times: three arrays, not put together."""
        reader = self._lidars[lidar]
        return (
            reader.get_pc_xyz(frame),
            reader.get_pc_attribute(frame, "intensity"),
            reader.get_pc_attribute(frame, "time_ns"),
        )

    def points(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Put together."""
        xyz, intensity, times = columns
        return np.column_stack([xyz, intensity]), times

    def close(self) -> None:
        """Lets go of the indexed tars."""
        for group, _ in self._opened._component_stores.values():
            for store in (group.store, group.chunk_store):
                if hasattr(store, "tar_file_object"):
                    store.close()


class NCoreDirect(NCore):
    """As above, without metadata gathered in one place, which NCore advises for local disks."""

    consolidated = False


class NCoreFolder(NCore):
    """NCore's folders."""

    store_type = "directory"


class NCoreFolderDirect(NCoreFolder):
    """NCore's folders, without metadata gathered in one place."""

    consolidated = False


class NCoreRays(NCore):
    """Sweeps as NCore's lidar component keeps them: directions, distances and microseconds, which rounds."""

    @staticmethod
    def _lidar_component() -> Any:
        from ncore.data.v4 import LidarSensorComponent

        return LidarSensorComponent

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sweep_ends = {name: r.frames_timestamps_us[:, 1].tolist() for name, r in self._lidars.items()}

    @classmethod
    def _write_lidar(cls, writer: Any, name: str, sweeps: list[Any], period_us: int) -> None:
        from ncore.data.v4 import LidarSensorComponent

        lidar = writer.register_component_writer(LidarSensorComponent.Writer, name, group_name=name)
        for frame, (points, times) in enumerate(sweeps):
            end = (frame + 1) * period_us
            distance = np.linalg.norm(points[:, :3].astype(np.float64), axis=1)
            direction = (points[:, :3] / np.maximum(distance, 1e-9)[:, None]).astype(np.float32)
            # Times count from the frame's beginning, a period before its end, so that all lie within the frame.
            ray_us = (end - period_us + (times.astype(np.int64) - times.min()) // 1000).astype(np.uint64)
            lidar.store_frame(
                direction,
                np.minimum(ray_us, end),
                None,
                distance[None].astype(np.float32),
                (points[:, 3] / 255.0)[None].astype(np.float32),
                np.array([end - period_us, end], dtype=np.uint64),
                {},
                {},
            )

    def sweep(self, lidar: str, frame: int) -> Columns:
        """Directions, distances, intensities and times, not multiplied out."""
        reader, end = self._lidars[lidar], self._sweep_ends[lidar][frame]
        return (
            reader.get_frame_ray_bundle_data(end, "direction"),
            reader.get_frame_ray_bundle_return_data(end, "distance_m", 0),
            reader.get_frame_ray_bundle_return_data(end, "intensity", 0),
            reader.get_frame_ray_bundle_data(end, "timestamp_us"),
        )

    def points(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        """Multiplied out; times are not compared, since they are kept in another form."""
        direction, distance, intensity, _ = columns
        return np.column_stack([direction * distance[:, None], intensity * 255.0]), np.empty(0)
