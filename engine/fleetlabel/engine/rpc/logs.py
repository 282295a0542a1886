"""The engine's log: one JSON object a line, with the id of the request that it is about."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
_EXTRA = "fields"


class JsonLines(logging.Formatter):
    """Makes a line of a record: time, level, logger, message, request_id, and what ``told`` was given."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, _EXTRA, {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def told(**fields: Any) -> dict[str, Any]:
    """Fields of a line, for a logging call's ``extra``."""
    return {_EXTRA: fields}


def log_as_json(stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Sends what the project's and the servers' loggers say to a stream, stderr by default, as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("fleetlabel").setLevel(level)
