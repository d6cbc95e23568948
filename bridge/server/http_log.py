"""What the web server logs: its own faults with their traceback, those of strangers in one line."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = logging.getLogger(__name__)

#: Requests that are none, bodies that are not what they say, clients that leave half way.
_STRANGERS_FAULTS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)


class _OfStrangers(logging.Filter):
    """Takes the traceback off, and the alarm: anybody on the internet can cause these, as often as they like."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, _STRANGERS_FAULTS):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "bad request: %s", (type(error).__name__,)
        return True


log.addFilter(_OfStrangers())
