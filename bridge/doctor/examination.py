"""Everything that is looked at, in an operator's order: settings, machine, voice, carriers' accounts, clock, way in.

Strategy:

- What costs no waiting comes first; the rest is asked at the same time, and told in order. Each question has its
  deadline, so the whole takes no longer than a few of them.
- Of Lightning, each entry is asked to say one word through its own door: that proves address, key, model, voice and
  account at once, and costs less than a word of any call. `get_voices`, which is free, proves the key alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from bridge.agents.loader import load_agent, require_words
from bridge.carriers.carrier import Carrier
from bridge.carriers.registry import configured
from bridge.carriers.rest import RestAnswer, RestRequest
from bridge.config import Config, LightningConfig, key_of_entry, require_for_serving
from bridge.doctor.findings import (
    Finding,
    Verdict,
    failed,
    judge_files,
    judge_pulse,
    judge_skew,
    judge_voice,
    passed,
    skew_in,
    skipped,
)
from bridge.doctor.way_in import WayIn
from bridge.doctor.web import Web
from bridge.errors import CarrierError, ConfigError, LightningError, TimedOut
from bridge.lightning.clip import ClipFormat, synthesise_clip
from bridge.lightning.voice_check import doubtful_voices
from bridge.networks import is_loopback
from bridge.observe.stats import TranscriberStats
from bridge.rest_client import RestClient
from bridge.tasks import end
from bridge.transcribers.open import keyed_pulse, listener, open_transcriber
from bridge.transcribers.pulse_messages import Refusal
from bridge.transcribers.pulse_socket import Dialer, refusal_at_once

#: What each entry of [lightning] is asked to say.
WORD: Final = "Yes."
TELEPHONE: Final = ClipFormat("ulaw", 8000)


@dataclass
class Examination:
    """One installation, and the means to look at it.

    Attributes:
        source: where the configuration came from, in an error's words.
        calls: how many at once it is expected to serve.
        within_s: for each question.
    """

    config: Config
    source: str
    web: Web
    calls: int = 100
    within_s: float = 10.0
    #: How far our clock is ahead of those who have answered with a date.
    skews_s: dict[str, float] = field(default_factory=dict)

    async def findings(self) -> AsyncIterator[Finding]:
        """All of them, as soon as they are known."""
        for finding in (*self._settings(), *self._machine()):
            yield finding
        carriers = configured(self.config.carriers)
        asked: list[Awaitable[list[Finding]]] = [
            *(self._voice(number, entry) for number, entry in enumerate(self.config.lightning.entries)),
            self._voices(),
            self._pulse(),
            *(self._account(carrier) for carrier in carriers.values()),
        ]
        tasks = [asyncio.ensure_future(question) for question in asked]
        try:
            for task in tasks:
                for finding in await task:
                    yield finding
            yield judge_skew(self.skews_s)
            async for finding in WayIn(self.config, self.source, self.web).findings():
                yield finding
        finally:
            await end(*tasks)

    # -- settings and machine ------------------------------------------------------------------------------

    def _settings(self) -> Iterator[Finding]:
        yield _unless_wrong("agent", self.config.agent.entrypoint, self._load_agent)
        yield _unless_wrong("settings", "complete", lambda: require_for_serving(self.config))
        for name, carrier in configured(self.config.carriers).items():
            for key, why in carrier.missing():
                do = "do so" if carrier.has(key) else f"set carriers.{name}.{key}"
                mend = f"{do}; until then {carrier.title} is not served"
                yield failed(f"{name} settings", f"{key} {carrier.lack(key, why)}", mend)
            if not carrier.missing():
                yield self._secrets(name, carrier)

    def _load_agent(self) -> None:
        config = self.config
        transcriber = open_transcriber(config, TranscriberStats(), self.source)
        agent = load_agent(config.agent, self.source)
        require_words(agent, config.agent, self.source, heard=transcriber is not None)

    def _secrets(self, name: str, carrier: Carrier) -> Finding:
        at_home = is_loopback(urlsplit(self.config.server.public_url).hostname or "")
        for key, why in [] if at_home else carrier.unsafe():
            return failed(
                f"{name} settings", f"{key} is no secret: {why}", f"set your own carriers.{name}.{key}"
            )
        return passed(f"{name} settings", "complete")

    def _machine(self) -> Iterator[Finding]:
        if (limit := _open_files()) is not None:
            yield judge_files(limit, self.calls)
        loop = (
            "uvloop" if find_spec("uvloop") else "asyncio's own event loop: pip install uvloop for more calls"
        )
        yield Finding("machine", Verdict.INFO, f"{os.cpu_count()} CPUs (a bridge uses one), {loop}")

    # -- Lightning -----------------------------------------------------------------------------------------

    async def _voice(self, number: int, entry: LightningConfig) -> list[Finding]:
        key = key_of_entry(number)
        told = f'"{entry.voice_id}" through "{entry.door}"'
        if not entry.has_key:
            return [skipped(key, f"{told}: no api_key")]
        if entry.door != "local":
            answer = await self.web.ask(entry.base_url, proxy=entry.proxy.reveal())
            self._note_date(entry.base_url, answer.header("Date"))
        first_byte_s, error = await self._say(entry)
        return [judge_voice(key, key, told, error, first_byte_s)]

    async def _say(self, entry: LightningConfig) -> tuple[float, LightningError | None]:
        try:
            async with asyncio.timeout(self.within_s):
                clip = await synthesise_clip(WORD, TELEPHONE, entry)
        except TimeoutError:
            return 0.0, TimedOut(f"nothing was said within {self.within_s:g} s")
        except LightningError as error:
            return 0.0, error
        return clip.first_byte_s, None

    async def _voices(self) -> list[Finding]:
        try:
            async with asyncio.timeout(self.within_s):
                doubts = await doubtful_voices(self.config.lightning)
        except TimeoutError:
            return [skipped("voices", "Lightning does not list them in time")]
        found = (doubt.partition(": ") for doubt in doubts)
        return [
            failed("voices", f"{key}: {reason}", "`bridge voices list` shows them")
            for key, _, reason in found
        ]

    async def _pulse(self) -> list[Finding]:
        pulse = keyed_pulse(self.config)
        if pulse is None or self.config.transcriber.entrypoint:
            return []
        told = listener(self.config)
        if not pulse.api_key:
            return [skipped("pulse", f"{told}: no api_key")]
        opened = await Dialer(pulse).dial()
        if isinstance(opened, Refusal):
            return [judge_pulse(told, opened)]
        refusal = await refusal_at_once(opened)
        return [judge_pulse(told, refusal)]

    # -- carriers' accounts --------------------------------------------------------------------------------

    async def _account(self, carrier: Carrier) -> list[Finding]:
        check = f"{carrier.name} account"
        if (plan := carrier.check()) is None:
            return [skipped(check, "no REST credentials, so calls are not placed, moved or set up from here")]
        client = _DatingClient(self._note_date, self.within_s)
        try:
            async with asyncio.timeout(2 * self.within_s):
                whose = await client.carry_out(plan)
        except TimeoutError:
            return [failed(check, f"no answer within {2 * self.within_s:g} s", "may this machine reach it?")]
        except CarrierError as error:
            return [failed(check, str(error), _mend_of(carrier, error, asked=client.asked))]
        finally:
            await client.close()
        return [passed(check, f"{whose}, by REST")]

    def _note_date(self, url: str, date: str) -> None:
        skew_s = skew_in(date, time.time())
        if skew_s is not None:
            self.skews_s[urlsplit(url).hostname or url] = skew_s


class _DatingClient(RestClient):
    """Tells whoever wants to know which date each answer came with."""

    def __init__(self, note_date: Callable[[str, str], None], timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._note_date = note_date
        #: Whether it has made any request: what is wrong before that is wrong here.
        self.asked = False

    async def answer_to(self, request: RestRequest) -> RestAnswer:
        self.asked = True
        answer = await super().answer_to(request)
        self._note_date(request.url, answer.headers.get("Date", ""))
        return answer


def _mend_of(carrier: Carrier, error: CarrierError, *, asked: bool) -> str:
    if not asked:
        return f"see the credentials in [carriers.{carrier.name}]: nothing can be asked with them as they are"
    if error.status in (401, 403):
        return f"see the credentials in [carriers.{carrier.name}]: they are refused"
    if not error.status:
        return f"may this machine reach it, and is carriers.{carrier.name}.api_url right?"
    return f"see [carriers.{carrier.name}], and {carrier.title}'s console"


def _unless_wrong(check: str, well: str, attempt: Callable[[], object]) -> Finding:
    """What `attempt` finds wrong with the configuration, or that it is `well`."""
    try:
        attempt()
    except ConfigError as error:
        seen, _, mend = str(error).partition(" Set it in ")
        return failed(
            check,
            seen,
            f"set it in {mend}" if mend else "`bridge init` writes every setting with its default",
        )
    return passed(check, well)


def _open_files() -> int | None:
    """How many files this process may have open; None where that cannot be asked."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return -1 if soft == resource.RLIM_INFINITY else soft
