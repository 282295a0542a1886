"""What every format must do; a format's tests inherit :class:`SourceContract` and give a ``drive`` fixture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.ingest import SequenceSource, open_sequence, write_ground_truth
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceStore, describe


class SourceContract:
    """Tests of the contract in ``fleetlabel.engine.ingest.source``."""

    @pytest.fixture
    def source(self, drive: Path) -> SequenceSource:
        return open_sequence(drive)

    def test_opening_twice_gives_the_same_description(self, drive: Path, source: SequenceSource) -> None:
        again = open_sequence(drive, source.info.name)
        assert [s.to_dict() for s in again.info.sensors] == [s.to_dict() for s in source.info.sensors]
        np.testing.assert_array_equal(again.info.frame_timestamp_ns, source.info.frame_timestamp_ns)
        np.testing.assert_array_equal(
            again.info.trajectory.world_from_ego, source.info.trajectory.world_from_ego
        )
        assert again.info.source == source.info.source

    def test_frames_ascend_and_every_one_has_a_pose(self, source: SequenceSource) -> None:
        assert (np.diff(source.info.frame_timestamp_ns) > 0).all()
        assert np.isfinite(source.info.trajectory.at(source.info.frame_timestamp_ns)).all()

    def test_description_names_no_path_of_this_machine(self, drive: Path, source: SequenceSource) -> None:
        assert str(drive.parent) not in repr(source.info.source)

    def test_parts_have_the_declared_columns_and_times_with_poses(self, source: SequenceSource) -> None:
        for sensor in source.info.sensors:
            part, quarantined = source.read_sensor(sensor.name, 0, source.info.n_frames)
            assert quarantined == []
            assert len(part) == source.info.n_frames
            assert part.samples["timestamp_ns"].dtype == np.int64
            assert part.samples["status"].dtype == np.uint8
            source.info.trajectory.at(part.samples["timestamp_ns"])
            if sensor.kind is SensorKind.CAMERA:
                assert part.flat["jpeg"].dtype == np.uint8
            else:
                assert part.flat["points"].dtype == np.float32
                assert part.flat["points"].shape[1:] == (4,)
                assert part.flat["point_time_offset_ns"].dtype == np.int32
                assert part.samples["dropped_points"].dtype == np.int32

    def test_ranges_join_to_the_whole(self, source: SequenceSource) -> None:
        n = source.info.n_frames
        for sensor in source.info.sensors:
            whole, _ = source.read_sensor(sensor.name, 0, n)
            joined = Part.concatenate(
                [source.read_sensor(sensor.name, a, min(a + 2, n))[0] for a in range(0, n, 2)]
            )
            np.testing.assert_array_equal(whole.digests(), joined.digests())

    def test_ground_truth_becomes_a_label_version_once(self, source: SequenceSource, tmp_path: Path) -> None:
        store = SequenceStore.create(tmp_path / "store", source.info)
        truth = write_ground_truth(store, source)
        assert truth is not None
        before = describe(store).content_hash
        write_ground_truth(store, source)
        assert describe(store).content_hash == before
        assert store.label_versions() == ("ground_truth",)
        assert truth.boxes3d is not None
        np.testing.assert_array_equal(store.labels3d("ground_truth").center_m, truth.boxes3d.center_m)
        for camera, boxes in truth.boxes2d.items():
            np.testing.assert_array_equal(store.labels2d("ground_truth", camera).xyxy_px, boxes.xyxy_px)

    def test_missing_file_of_a_sensor_is_a_gap(self, drive: Path, source: SequenceSource) -> None:
        for sensor in source.info.sensors:
            self.data_file(drive, sensor.name, 1).unlink(missing_ok=True)
        gapped = open_sequence(drive)
        assert gapped.info.n_frames == source.info.n_frames
        for sensor in gapped.info.sensors:
            part, quarantined = gapped.read_sensor(sensor.name, 0, 3)
            assert quarantined == []
            expected = [SampleStatus.OK, SampleStatus.MISSING, SampleStatus.OK]
            assert part.samples["status"].tolist() == expected
            assert part.counts[1] == 0

    def test_empty_file_sets_one_frame_aside_and_names_it(self, drive: Path, source: SequenceSource) -> None:
        for sensor in source.info.sensors:
            self.data_file(drive, sensor.name, 2).write_bytes(b"")
        broken = open_sequence(drive)
        for sensor in broken.info.sensors:
            part, quarantined = broken.read_sensor(sensor.name, 0, 4)
            assert [q.sample for q in quarantined] == [2]
            assert self.data_file(drive, sensor.name, 2).name in quarantined[0].reason
            assert "empty" in quarantined[0].reason
            assert part.samples["status"].tolist() == [0, 0, SampleStatus.QUARANTINED, 0]

    def data_file(self, drive: Path, sensor: str, frame: int) -> Path:
        """The file that holds a sensor's data of a frame."""
        raise NotImplementedError
