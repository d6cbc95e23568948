"""Alive, ready, and how it fares: who may know, and what is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from bridge.config import Secret
from bridge.doctor.web import Web
from bridge.emulators.caller_plan import new_sid
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.errors import Unauthorized
from bridge.names import INSTANCE_HEADER, UPGRADE_HEADER
from tests.support.bridge import API_KEY, AUTH_TOKEN, stage
from tests.support.stranger import Stranger, send
from tests.support.waiting import PATIENCE_S, until

ADMIN_TOKEN = "an-admin-token-for-tests"
WAITS = "tests.support.agents:waits_for_ever"
WITH_TOKEN = {"server": {"admin_token": Secret(ADMIN_TOKEN)}}
PROXIED = {"X-Forwarded-For": "203.0.113.7"}


def metrics(answer: Answer) -> dict[str, Metric]:
    assert answer.status == 200
    return {family.name: family for family in text_string_to_metric_families(answer.body)}


async def test_draining_is_no_reason_to_restart_and_a_reason_to_send_no_calls() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        assert await stranger.get("/livez") == Answer(200, "ok\n")
        assert await stranger.get("/readyz") == Answer(200, "ready\n")
        s.server.runtime.admission.draining = True
        assert (await stranger.get("/livez")).status == 200
        assert await stranger.get("/readyz") == Answer(503, "draining\n")


async def test_alive_it_says_which_process_it_is_and_whether_an_upgrade_came_through() -> None:
    async with stage(WAITS) as s, Web(PATIENCE_S) as web:
        url = f"{s.config.server.public_url}/livez"
        first, second, upgrade = await web.ask(url), await web.ask(url), await web.ask_to_upgrade(url)
        half = await web.ask(url, headers={"Connection": "Upgrade"})
    assert first.header(INSTANCE_HEADER)
    assert first.header(INSTANCE_HEADER) == second.header(INSTANCE_HEADER) == upgrade.header(INSTANCE_HEADER)
    assert (upgrade.status, upgrade.header(UPGRADE_HEADER)) == (200, "passed")
    assert [answer.header(UPGRADE_HEADER) for answer in (first, half)] == ["", ""]


@pytest.mark.parametrize(("refuses", "status"), [(True, 503), (False, 200)])
async def test_without_a_voice_it_is_not_ready_and_refuses_new_calls_unless_told_otherwise(
    refuses: bool, status: int
) -> None:
    sections: dict[str, dict[str, Any]] = {"server": {"refuse_without_voice": refuses}}
    async with stage(WAITS, sections=sections) as s, Stranger(s.config) as stranger:
        voice = s.server.runtime.voice
        voice.note_failure(voice.entries[0], Unauthorized("no"))
        assert (await stranger.get("/livez")).status == 200
        assert (await stranger.get("/readyz")).status == 503
        assert (await stranger.post("answer")).status == status
        circuit = metrics(await stranger.get("/metrics"))["bridge_lightning_circuit_open"]
        assert [(sample.labels["entry"], sample.value) for sample in circuit.samples] == [("1-live", 1)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="from this machine"),
        pytest.param(PROXIED, 403, id="through a proxy on this machine"),
        pytest.param({"Forwarded": "for=203.0.113.7"}, 403, id="the newer header"),
        pytest.param({"Via": "1.1 proxy"}, 403, id="a proxy that hides whom it asks for"),
        pytest.param(PROXIED | {"Authorization": f"Bearer {ADMIN_TOKEN}"}, 200, id="with the token"),
        pytest.param(PROXIED | {"Authorization": "Bearer another"}, 403, id="with another"),
        pytest.param(PROXIED | {"Authorization": ADMIN_TOKEN}, 403, id="without the word"),
        pytest.param(PROXIED | {"Authorization": "Bearer "}, 403, id="with none"),
        pytest.param(PROXIED | {"Authorization": "Bearer \udcff"}, 403, id="with what is not UTF-8"),
    ],
)
async def test_metrics_are_for_this_machine_or_for_the_token(headers: dict[str, str], status: int) -> None:
    async with stage(WAITS, sections=WITH_TOKEN) as s, Stranger(s.config) as stranger:
        answer = await stranger.get("/metrics", headers)
        assert answer.status == status
        assert ("bridge_calls_active" in answer.body) is (status == 200)


async def test_without_a_token_no_token_opens_the_metrics() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        for offered in ("Bearer ", "Bearer", "", "Bearer ***"):
            assert (await stranger.get("/metrics", PROXIED | {"Authorization": offered})).status == 403


LABELS = {"reason", "kind", "by", "status", "version", "entry", "le", "outcome", "limit"}


async def test_metrics_follow_the_conventions_of_prometheus() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        families = metrics(await stranger.get("/metrics"))
    for family in families.values():
        assert re.fullmatch(r"(bridge|process)_[a-z][a-z_]*[a-z]", family.name)
        assert not family.name.endswith(("_ms", "_bytes_total", "_total_total")), "base units"
        assert family.documentation
        assert family.type in ("counter", "gauge", "summary", "histogram")
        for sample in family.samples:
            assert sample.value >= 0
            assert set(sample.labels) <= LABELS
    assert families["bridge_build_info"].samples[0].labels["version"]


async def test_metrics_count_what_happens() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        async with stranger.live() as (socket, line):
            await until(lambda: bool(s.server.runtime.calls))
            live = metrics(await stranger.get("/metrics"))
            await send(socket, *line.stop())
            await until(lambda: bool(s.ended))
        await stranger.post("answer", Signature.FORGED)
        after = metrics(await stranger.get("/metrics"))
    assert [families["bridge_calls_active"].samples[0].value for families in (live, after)] == [1, 0]
    assert after["bridge_calls_started"].samples[0].value == 1
    ended, refused = after["bridge_calls_ended"].samples[0], after["bridge_requests_refused"].samples[0]
    assert (ended.name, ended.labels, ended.value) == ("bridge_calls_ended_total", {"reason": "carrier"}, 1)
    assert (refused.labels, refused.value) == ({"reason": "signature"}, 1)


async def test_no_stranger_can_make_or_name_a_series() -> None:
    async with stage(WAITS, sections=WITH_TOKEN) as s, Stranger(s.config) as stranger:
        sizes = []
        for attempt in range(3):
            canary = f"canary{attempt}"
            for number in range(5):
                name = f"{canary}-{number}"
                await stranger.get(f"/{name}")
                await stranger.post("status", StreamEvent=name, StreamError=name)
                await stranger.post("answer", Signature.FORGED, From=name)
                await stranger.post("answer", CallSid=name)
                async with stranger.live() as (socket, _):
                    await socket.send_str(f'{{"event":"{name}"}}')
                    await socket.send_str(f'{{"{name}":1}}')
                    await until(lambda: bool(s.server.runtime.calls))
                stranger.call_sid = new_sid("CA")
            await s.server.runtime.drained()
            answer = await stranger.get("/metrics")
            assert "canary" not in answer.body
            sizes.append(sum(len(family.samples) for family in metrics(answer).values()))
    assert sizes[0] == sizes[1] == sizes[2]
    for secret in (API_KEY.reveal(), AUTH_TOKEN.reveal(), ADMIN_TOKEN, stranger.from_number):
        assert secret not in answer.body
