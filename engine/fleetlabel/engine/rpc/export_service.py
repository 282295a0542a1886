"""The service that writes labels in other tools' formats, and sends the files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import chain
from typing import Any

import grpc

from fleetlabel.engine.catalog import State
from fleetlabel.engine.rpc.access import Context
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.operation_messages import start
from fleetlabel.engine.rpc.requests import needed, without_empty
from fleetlabel.model.errors import StoreError, StoreNotFoundError
from fleetlabel.v1 import export_service_pb2 as pb
from fleetlabel.v1 import export_service_pb2_grpc as services
from fleetlabel.wire.errors import RequestError

_PIECE_BYTES = 1 << 20


class ExportService(services.ExportServiceServicer):
    """See export_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def StartExport(self, request: pb.StartExportRequest, _: Context) -> pb.StartExportResponse:
        """Writes a label version in another tool's format."""
        asked = without_empty(
            {
                "store": needed("sequence_id", request.sequence_id),
                "format": needed("format", request.format),
                "labels": request.version,
            }
        )
        return pb.StartExportResponse(
            operation=await start(self._engine, "export", asked, request.request_id)
        )

    async def DownloadExport(
        self, request: pb.DownloadExportRequest, _: Context
    ) -> AsyncGenerator[pb.DownloadExportResponse]:
        """The files of an export, piece by piece."""
        operation_id = needed("operation_id", request.operation_id)
        paths = await self._engine.in_thread(lambda: self._paths(operation_id, list(request.paths)))
        pieces = chain.from_iterable(self._pieces(operation_id, path) for path in paths)
        while (piece := await self._engine.in_thread(lambda: next(pieces, None))) is not None:
            yield piece

    def _paths(self, operation_id: str, asked: list[str]) -> list[str]:
        operation = self._engine.operations.get(operation_id)
        if operation.kind != "export":
            raise RequestError("operation_id", "an export", f"an operation of another kind, {operation.kind}")
        if operation.state is not State.SUCCEEDED:
            raise StoreError(
                f"export {operation_id} is {operation.state}; its files can be fetched once it succeeded"
            )
        result: Mapping[str, Any] = operation.result or {}
        known = [str(file["path"]) for file in result["files"]]
        for path in asked:
            if path not in known:
                raise StoreNotFoundError(
                    f"export {operation_id} has no file {path[:200]!r}; its result lists them"
                )
        return list(dict.fromkeys(asked)) or known

    def _pieces(self, operation_id: str, path: str) -> Iterator[pb.DownloadExportResponse]:
        with self._engine.exports.open_file(operation_id, path) as file:
            offset, piece = 0, file.read(_PIECE_BYTES)
            while True:
                following = file.read(_PIECE_BYTES)
                yield pb.DownloadExportResponse(
                    path=path, offset_bytes=offset, data=piece, last=not following
                )
                if not following:
                    return
                offset, piece = offset + len(piece), following


def add_export_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_ExportServiceServicer_to_server(ExportService(engine), server)
    return "fleetlabel.v1.ExportService"
