"""A phone agent in Python over a WebSocket: it streams its words, as a language model would.

    BRIDGE_SECRET=... PORT=8090 python agent.py

It needs nothing but ``pip install websockets``. The bridge connects for each call, sends what happens, and does what is
sent back. See docs/remote.md.
"""

import asyncio
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

SECRET = os.environ.get("BRIDGE_SECRET", "")
TOLERANCE_S = 300


def is_signed(header: str, signed: bytes) -> bool:
    """Whether `header` is the bridge's signature of `signed`, the path of the request, and not too old."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    at = next((value for name, _, value in parts if name == "t"), "")
    if not SECRET or not re.fullmatch("[0-9]{1,15}", at) or abs(time.time() - int(at)) > TOLERANCE_S:
        return False
    wanted = hmac.new(SECRET.encode(), f"{at}.".encode() + signed, hashlib.sha256).hexdigest()
    return any(
        name == "v1" and hmac.compare_digest(value.encode(), wanted.encode()) for name, _, value in parts
    )


def check(connection: ServerConnection, request: Request) -> Response | None:
    """Let nobody in but the bridge."""
    if is_signed(request.headers.get("X-Bridge-Signature", ""), request.path.encode()):
        return None
    return connection.respond(401, "not signed\n")


async def think(said: str) -> AsyncIterator[str]:
    """The answer, word by word. A language model would stand here."""
    words = f"You said: {said}. Is there anything else?" if said else "I hear that you speak, but no words."
    for word in words.split():
        await asyncio.sleep(0.02)
        yield f"{word} "


async def answer(send: Callable[[dict[str, object]], Awaitable[None]], turn: dict[str, object]) -> None:
    """Stream the answer to `turn`. Cancelled when the caller goes on, or interrupts it."""
    if "bye" in str(turn["text"]).lower():
        await send({"type": "say", "turn": turn["number"], "text": "Goodbye!", "barge_in": "off"})
        await send({"type": "hang_up", "turn": turn["number"]})
        return
    name = f"answer-{turn['number']}"
    await send({"type": "say", "id": name, "turn": turn["number"], "more": True})
    async for words in think(str(turn["text"])):
        await send({"type": "say_more", "id": name, "text": words})
    await send({"type": "say_more", "id": name, "last": True})


async def talk(connection: ServerConnection) -> None:
    """One call; or the rest of one, when the connection broke and the bridge made another."""

    async def send(command: dict[str, object]) -> None:
        with suppress(ConnectionClosed):  # the caller may have left
            await connection.send(json.dumps(command))

    thinking: asyncio.Task[None] | None = None
    try:
        async for message in connection:
            event = json.loads(message)
            await send({"type": "ack", "seq": event["seq"]})
            if event["type"] in ("turn", "interrupted") and thinking:
                thinking.cancel()
            if event["type"] == "start" and not event["resumed"]:
                await send(
                    {"type": "say", "id": "hello", "text": "Hello from Python. What can I do for you?"}
                )
            elif event["type"] == "turn":
                thinking = asyncio.create_task(answer(send, event))
            elif event["type"] == "interrupted":
                print(f"the caller heard only: {event['text']}", flush=True)
    except ConnectionClosed:
        print("the connection broke; the bridge makes another one", flush=True)
    finally:
        if thinking:
            thinking.cancel()


async def main() -> None:
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8090"))
    async with serve(talk, host, port, process_request=check, max_size=256 * 1024) as server:
        print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
