"""``bridge turns``: a table of waits from a bridge that answers by script, and what is said when there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from bridge.names import INSTANCE_HEADER
from bridge.observe.latency import CallTurns
from bridge.observe.timeline import TurnTimed
from tests.support.bridge import free_port
from tests.support.cli import Done, Invoke
from tests.support.in_thread import in_thread
from tests.support.scripted_http import ScriptedHttp, scripted_http

TOKEN = "an-admin-token-that-stays-secret"
TURNS = [
    TurnTimed(at_ms=0, turn=1, speech_end_ms=5000, transcript_ms=5210, token_ms=5480, audio_ms=5690,
              audible_ms=5742),
    TurnTimed(at_ms=0, turn=2, speech_end_ms=15040, transcript_ms=15250, token_ms=15640, outcome="interrupted"),
    TurnTimed(at_ms=0, turn=3, speech_end_ms=20000, transcript_ms=20190, audible_ms=20600),
]  # fmt: skip
CALLS = {
    "CA1": CallTurns("CA1", "twilio", "carrier", TURNS),
    "a/b?c": CallTurns("a/b?c", "vonage", "", []),
}


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/livez":
        return web.Response(headers={INSTANCE_HEADER: "1"})
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return web.json_response({"error": "no"}, status=403)
    found = CALLS.get(request.path.removeprefix("/calls/").removesuffix("/turns"))
    if request.path == "/calls/odd/turns":
        return web.json_response({"turns": "odd"})
    if found is None:
        return web.json_response({"error": "no such call"}, status=404)
    return web.Response(body=msgspec.json.encode(found))


@pytest.fixture
def bridge() -> Iterator[ScriptedHttp]:
    with in_thread(scripted_http(answer)) as server:
        yield server


def configured(port: int, token: str = TOKEN) -> Path:
    path = Path("bridge.toml")
    path.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\nadmin_token = "{token}"\n')
    return path


def turns(invoke: Invoke, *arguments: object) -> Done:
    done = invoke("turns", *arguments, "-c", "bridge.toml")
    assert TOKEN not in done.out + done.err
    return done


@pytest.fixture
def of_this_machine(bridge: ScriptedHttp) -> None:
    configured(int(bridge.url.rpartition(":")[2]))


@pytest.mark.usefixtures("of_this_machine")
def test_one_line_a_turn_and_the_medians_below(invoke: Invoke) -> None:
    done = turns(invoke, "CA1")
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()] == [
        ["TURN", "AT", "S", "TRANSCRIPT", "MS", "TOKEN", "MS", "AUDIO", "MS", "AUDIBLE", "MS", "OUTCOME"],
        ["1", "5.0", "210", "480", "690", "742", "answered"],
        ["2", "15.0", "210", "600", "-", "-", "interrupted"],
        ["3", "20.0", "190", "-", "-", "600", "answered"],
        ["median", "200", "480", "690", "671"],
    ]
    assert done.err == "call CA1 on twilio: over (carrier)\n"


@pytest.mark.usefixtures("of_this_machine")
def test_as_json(invoke: Invoke) -> None:
    told = json.loads(turns(invoke, "CA1", "--json").out)
    assert msgspec.convert(told, CallTurns) == CALLS["CA1"]
    assert told["medians"] == {"transcript": 200, "token": 480, "audio": 690, "audible": 671}


@pytest.mark.usefixtures("of_this_machine")
def test_a_call_without_turns_and_with_an_odd_name(invoke: Invoke) -> None:
    done = turns(invoke, "a/b?c")
    assert (done.code, done.out) == (0, "")
    assert done.err == "call a/b?c on vonage: on\nthe caller has had no turn yet\n"


def test_another_bridge_by_its_address(invoke: Invoke, bridge: ScriptedHttp) -> None:
    configured(free_port())
    assert turns(invoke, "CA1", "--url", f"{bridge.url}/").code == 0
    assert bridge.paths == ["GET /calls/CA1/turns"]


@pytest.mark.usefixtures("of_this_machine")
@pytest.mark.parametrize(
    ("call", "code", "told"),
    [("CA9", 1, "no turns of call 'CA9': no such call"), ("odd", 1, "no bridge of this version")],
)
def test_what_the_bridge_does_not_know(invoke: Invoke, call: str, code: int, told: str) -> None:
    done = turns(invoke, call)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_without_its_token_the_bridge_tells_nothing(invoke: Invoke, bridge: ScriptedHttp) -> None:
    configured(int(bridge.url.rpartition(":")[2]), "another")
    done = turns(invoke)
    assert done.code == 2
    assert "server.admin_token is not that of the bridge" in " ".join(done.err.split()).replace(":", "")


def test_where_no_bridge_runs(invoke: Invoke) -> None:
    port = free_port()
    configured(port)
    done = turns(invoke, "CA1")
    assert (done.code, f"no bridge runs at http://127.0.0.1:{port}" in done.err) == (1, True)
    done = turns(invoke, "CA1", "--url", f"http://127.0.0.1:{port}")
    assert (done.code, "nobody listens there" in done.err) == (1, True)
    assert turns(invoke, "CA1", "--url", "bridge.example").code == 2
