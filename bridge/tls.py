"""How those whom we connect to prove that they are who we mean, on a socket as over HTTP."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def tls_context() -> ssl.SSLContext:
    """Made once: it reads the machine's list of authorities, which takes longer than a packet lasts."""
    return ssl.create_default_context()
