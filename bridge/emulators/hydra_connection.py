"""One open socket of the emulated Hydra: pumps its session, delivers the sound of answers on the loop's clock.

Strategy:

- What is said is decided by `HydraEmulatorSession`; here its actions are carried out. What is due is sent at
  once; from what is late on, or is sound, the rest goes out in order by its own task: the caller is heard meanwhile.
- Sound is due at its place in the answer, divided by `realtime_factor`; or as fast as the socket takes it.
- Those tasks end with the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle
from typing import Final, TypeAlias

import msgspec
from aiohttp import web

from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraEmulatorStats
from bridge.emulators.hydra_session import Action, HydraEmulatorSession, Send, Speak, Stop
from bridge.emulators.open_socket import OpenSocket
from bridge.tasks import end
from telephony_codecs.formats import AudioFormat, Encoding

OUTPUT: Final = AudioFormat(Encoding.PCM16, 48_000)
#: Text and voice in, PCM16 at 48 kHz out.
Voice: TypeAlias = Callable[[str, str], Awaitable[bytes]]
#: What no client can read, one after the other.
_GARBAGE: Final = (b'{"type":"response.created"', b"[]", b'{"type":"response.output_audio.delta","delta":7}')
_USELESS: Final = b'{"type":"conversation.item.added","item":{"id":"item_0"}}'


class HydraConnection(OpenSocket):
    """One open socket on which a `HydraEmulatorSession` is held."""

    def __init__(
        self,
        options: HydraEmulatorOptions,
        stats: HydraEmulatorStats,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        session: HydraEmulatorSession,
        voice: Voice,
        *,
        faulty: bool,
    ) -> None:
        """`faulty`: whether the faults in `options` are for this one."""
        super().__init__(socket, transport)
        self._options, self._stats, self._faulty = options, stats, faulty
        self._session, self._voice = session, voice
        self._answers: set[asyncio.Task[None]] = set()
        #: Answers of which no more is to be delivered.
        self._stopped: set[str] = set()

    async def serve(self) -> None:
        """Until the client, the session or a fault ends it."""
        if self._faulty and self._options.mute:
            self._stats.faults += 1
            await self.swallow()
            return
        try:
            await self._take(self._session.opened())
            while (message := await self._next_text()) is not None:
                await self._take(self._session.receive(message))
        except ConnectionError:
            pass  # the client left; there is nobody to tell
        except TimeoutError:
            self._stats.idle_closed += 1
            await self.close(1000)
        finally:
            await end(*self._answers)

    async def refuse_for_room(self) -> None:
        """There are too many sessions."""
        with contextlib.suppress(ConnectionError):
            await self._take(
                [*self._session.opened(), self._session.error("server_full", "The server is at capacity")]
            )
        await self.close(1013)

    async def _next_text(self) -> str | None:
        message = await self.next_message(self._options.idle_timeout_s)
        return message if isinstance(message, str) else None

    async def _take(self, actions: list[Action]) -> None:
        for number, action in enumerate(actions):
            if isinstance(action, Speak) or (isinstance(action, Send) and action.late_ms):
                task = asyncio.create_task(self._do_later(actions[number:]))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
                return
            await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case Send(message):
                await self.send(message)
            case Stop(response_id):
                self._stopped.add(response_id)
            case Speak():
                await self._speak(action)

    async def _do_later(self, actions: list[Action]) -> None:
        began = self._loop.time()
        answers = {action.response_id for action in actions if isinstance(action, Speak)}
        with contextlib.suppress(ConnectionError):  # the client left; there is nobody to tell
            for action in actions:
                if isinstance(action, Send):
                    await asyncio.sleep(began + action.late_ms / 1000 - self._loop.time())
                if not answers & self._stopped:
                    await self._do(action)

    # -- answers -----------------------------------------------------------------------------------------------

    async def _speak(self, answer: Speak) -> None:
        if self._faulty and (self._options.garbage or self._options.flood):
            await self._send_nonsense()
            return
        self._stats.said.append(answer.text)
        pcm = await self._voice(answer.text, self._session.voice)
        if self._options.transcripts:
            await self._send_part(answer, "response.output_audio_transcript.delta", answer.text)
        if await self._send_sound(answer, pcm):
            await self._take(self._session.spoken(answer.response_id))

    async def _send_sound(self, answer: Speak, pcm: bytes) -> bool:
        """Whether all of it was wanted."""
        began, options = self._loop.time(), self._options
        for at, chunk in self._chunks(pcm):
            at_ms = OUTPUT.ms_in(at)
            if options.realtime_factor:
                await asyncio.sleep(began + at_ms / 1000 / options.realtime_factor - self._loop.time())
            else:
                await asyncio.sleep(0)
            if answer.response_id in self._stopped and not options.keeps_talking:
                return False
            if self._faulty and options.drop_after_ms is not None and at_ms >= options.drop_after_ms:
                self._stats.faults += 1
                self.abort()
                return False
            await self._send_part(answer, "response.output_audio.delta", b64encode(chunk).decode())
        return answer.response_id not in self._stopped

    def _chunks(self, pcm: bytes) -> Iterator[tuple[int, bytes]]:
        usual = OUTPUT.bytes_in(self._options.chunk_ms)
        at, sizes = 0, cycle((usual - 1, usual + 3) if self._options.odd_chunks else (usual,))
        while at < len(pcm):
            size = next(sizes)
            yield at, pcm[at : at + size]
            at += size

    async def _send_part(self, answer: Speak, kind: str, delta: str) -> None:
        part = {"type": kind, "response_id": answer.response_id, "delta": delta}
        await self.send(msgspec.json.encode(part))

    async def _send_nonsense(self) -> None:
        self._stats.faults += 1
        nonsense = _GARBAGE if self._options.garbage else (_USELESS,) * self._options.flood
        for message in nonsense:
            await self.send(message)
