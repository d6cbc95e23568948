"""What the carrier is told over HTTP, beyond refusals."""

from __future__ import annotations

from bridge.emulators.twiml import parse_twiml
from tests.support.bridge import stage
from tests.support.stranger import Stranger, send
from tests.support.waiting import until

WAITS = "tests.support.agents:waits_for_ever"


def verbs(body: str) -> list[str]:
    return [verb.name for verb in parse_twiml(body).verbs]


async def test_what_is_signed_but_no_call_is_told_so() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        answer = await stranger.post("answer", CallSid="nonsense")
        assert (answer.status, answer.body) == (400, "bad request\n")
        assert s.server.runtime.stats.protocol_errors == {"bad_webhook": 1}
        assert s.nothing_started


async def test_statuses_are_counted_by_what_they_report() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        for event in ("stream-started", "stream-stopped", "stream-stopped", "stream-error", "stream-sings"):
            assert (await stranger.post("status", StreamEvent=event)).status == 204
        assert s.server.runtime.stats.stream_statuses == {
            "started": 1, "stopped": 2, "error": 1, "unknown": 1,
        }  # fmt: skip


async def test_a_call_that_ended_well_is_hung_up_and_one_that_broke_gets_an_apology() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, Stranger(s.config) as other:
        async with stranger.live() as (socket, line), other.live():
            await until(lambda: len(s.server.runtime.calls) == 2)
            assert verbs((await stranger.post("ended")).body) == ["Say", "Hangup"], "it has not ended here"
            await send(socket, *line.stop())
            await other.vanish()
            await until(lambda: len(s.ended) == 2)
        assert verbs((await stranger.post("ended")).body) == ["Hangup"]
        async with Stranger(s.config, call_sid=other.call_sid) as again:
            assert verbs((await again.post("ended")).body) == ["Say", "Hangup"]
        async with Stranger(s.config) as nobody:
            assert verbs((await nobody.post("ended")).body) == ["Say", "Hangup"]
        assert verbs((await stranger.post("ended", StreamError="31921")).body) == ["Say", "Hangup"]
