"""Logs of a service: one JSON object a line for machines, one readable line for people, both on stderr.

Fields travel beside the message: `logger.info("checkpoint saved", extra={"step": 300, "seconds": 0.4})`.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from ance.runtime.tracing.spans import log_fields

OURS = ("ance", "services", "__main__")
"""Loggers that speak from the configured level on; those of libraries speak from WARNING on."""

# Whatever else a record carries came through `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def get_logger(name: str) -> logging.Logger:
    """The logger of a module, by its `__name__`."""
    return logging.getLogger(name)


def configure(
    service: str,
    format: Literal["auto", "json", "text"] = "auto",  # noqa: A002
    *,
    level: str = "INFO",
    stream: TextIO | None = None,
    **bound: object,
) -> None:
    """Send every log record, and every warning, to one handler. Calling it again replaces that handler.

    Args:
        service: Short name of the process, e.g. `trainer`.
        format: `json`, `text`, or `auto`: text if the stream is a terminal.
        level: Least severe level of our own loggers.
        stream: Where to write (None: stderr).
        **bound: Fields of every record, e.g. `run="demo"`.
    """
    stream = sys.stderr if stream is None else stream
    fields = {"service": service, **bound}
    readable = format == "text" or (format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(fields) if readable else JsonFormatter(fields))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """`{"ts": ..., "level": ..., "service": ..., "msg": ..., "logger": ..., <fields>, "error": <traceback>}`.

    While tracing is on, `trace` and `span` name the current span. The keys shown first are ours: a field of the same
    name is dropped in their favour.
    """

    def __init__(self, bound: dict[str, object]) -> None:
        super().__init__()
        self._bound = bound

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._bound["service"],
            "msg": record.getMessage(),
            "logger": record.name,
        }
        fields = self._bound | _fields(record) | log_fields()
        line |= {key: _json_safe(value) for key, value in fields.items() if key not in line}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO  trainer: checkpoint saved  step=300 seconds=0.4`, then the traceback if any."""

    def __init__(self, bound: dict[str, object]) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._service = bound["service"]

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        fields = " ".join(f"{key}={_short(value)}" for key, value in _fields(record).items())
        clock = self.formatTime(record, self.datefmt)
        line = f"{clock} {record.levelname:<7} {self._service}: {record.message}"
        return f"{line}  {fields}" if fields else line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _json_safe(value: object) -> object:
    """JSON has no NaN or infinity, and a loss can be either."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _json_safe(item) for key, item in value.items()}
    return [_json_safe(item) for item in value] if isinstance(value, list | tuple) else value


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return repr(text) if " " in text or not text else text
