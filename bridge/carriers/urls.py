"""The public addresses of a carrier's endpoints: built from `server.public_url`, never from a request."""

from __future__ import annotations

from bridge.carriers.carrier import StreamUrls


def stream_urls(public_url: str, carrier: str) -> StreamUrls:
    """Where `carrier` reaches the bridge that is at `public_url`, which may have a path and a slash at its end."""
    base = f"{public_url.rstrip('/')}/carriers/{carrier}"
    return StreamUrls(
        media="ws" + f"{base}/media".removeprefix("http"),
        status=f"{base}/status",
        ended=f"{base}/ended",
        answer=f"{base}/answer",
    )
