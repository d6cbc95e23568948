"""The way that calls take: through the public address, to this very bridge, with a signature that holds.

Strategy:

- When no bridge runs here, one is started for the length of the check, so that it holds before the first
  `bridge serve`. A bridge that runs is asked as it is.
- `/livez` says which process answers, and whether an upgrade came through whole: a proxy that leads elsewhere, or that
  swallows WebSockets, is found without a call.
- Each carrier signs a request that changes nothing, as it would itself. It must be accepted, and the same with a
  letter changed refused.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bridge.carriers.carrier import Carrier, Webhook
from bridge.carriers.registry import carriers_from
from bridge.carriers.urls import stream_urls
from bridge.config import Config
from bridge.doctor.findings import (
    Answer,
    Finding,
    Verdict,
    failed,
    forged,
    judge_certificate,
    judge_forged,
    judge_public,
    judge_signed,
    judge_websockets,
    passed,
    skipped,
)
from bridge.doctor.web import Web, local_url
from bridge.errors import ConfigError
from bridge.names import INSTANCE_HEADER
from bridge.server.serve import running

#: Behind one address there may be several bridges: so many times we are looked for among them.
LOOK_FOR_US: Final = 8


@dataclass
class WayIn:
    """The way into one bridge. `source` is where its configuration came from, in an error's words."""

    config: Config
    source: str
    web: Web

    async def findings(self) -> AsyncIterator[Finding]:
        """What is found on the way, as soon as it is known."""
        try:
            async with self._bridge() as (instance, finding):
                yield finding
                if instance:
                    async for finding in self._through_the_public_address(instance):
                        yield finding
        except ConfigError as error:
            yield skipped("public address", f"no bridge can be started to try it with: {error}")

    @asynccontextmanager
    async def _bridge(self) -> AsyncIterator[tuple[str, Finding]]:
        """The bridge on the configured port, started if there is none: which process, empty for a stranger's.

        Raises:
            ConfigError: it cannot be started.
        """
        answer = await self.web.ask(f"{self._here}/livez")
        if not answer.error:
            yield _who_listens(answer, self._here, "is running")
            return
        async with running(self.config, source=self.source):
            answer = await self.web.ask(f"{self._here}/livez")
            yield _who_listens(answer, self._here, "was started for this check")

    @property
    def _here(self) -> str:
        return local_url(self.config.server)

    async def _through_the_public_address(self, instance: str) -> AsyncIterator[Finding]:
        url = self.config.server.public_url.rstrip("/")
        if url.startswith("https:"):
            yield judge_certificate(await self.web.certificate(url), time.time())
        else:
            yield skipped("certificate", f"{url} has none: it is on this machine")
        public = judge_public(await self._looked_for(f"{url}/livez", instance), instance, url, self._here)
        yield public
        if public.verdict is Verdict.FAIL:
            yield skipped("signatures", "nothing that is signed can come through")
            return
        yield judge_websockets(await self.web.ask_to_upgrade(f"{url}/livez"))
        for carrier in carriers_from(self.config.carriers).values():
            for finding in await self._signature(carrier):
                yield finding

    async def _looked_for(self, url: str, instance: str) -> Answer:
        """What `url` says; when several answer there, what `instance` says, if it comes up."""
        for _ in range(LOOK_FOR_US):
            answer = await self.web.ask(url)
            if answer.header(INSTANCE_HEADER) in ("", instance):
                break
        return answer

    async def _signature(self, carrier: Carrier) -> list[Finding]:
        sample = carrier.sample_request(stream_urls(self.config.server.public_url, carrier.name), time.time())
        if sample is None:
            why = f"{carrier.title} signs with what only {carrier.title} has, or not at all"
            return [skipped(f"{carrier.name} signature", why)]
        found = [judge_signed(carrier.name, await self._send(sample), sample.url)]
        if (wrong := forged(sample)) is not None:
            found.append(judge_forged(carrier.name, await self._send(wrong)))
        return found

    async def _send(self, webhook: Webhook) -> Answer:
        return await self.web.ask(
            webhook.url, method=webhook.method, headers=webhook.headers, body=webhook.body
        )


def _who_listens(answer: Answer, where: str, how: str) -> tuple[str, Finding]:
    instance = answer.header(INSTANCE_HEADER)
    if instance:
        return instance, passed("bridge", f"{how}, at {where}")
    seen = answer.error or f"something else answers there (HTTP {answer.status})"
    return "", failed("bridge", f"{where}: {seen}", "stop what listens there, or set another server.port")
