"""The process's half of a call, in virtual time: watchdogs, agents, what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.call import Call
from bridge.carriers.carrier import Ended, Ending, IncomingCall
from bridge.carriers.telnyx import SIMULATED_KEY, TelnyxConfig
from bridge.carriers.twilio import TwilioConfig, TwilioDialect
from bridge.config import PulseConfig
from bridge.config_agents import TurnsConfig
from bridge.config_tree import Section
from bridge.errors import BridgeError, ConfigError, Unavailable
from bridge.observe import timeline as tl
from bridge.prompts import apology
from bridge.secret import Secret
from bridge.server.limits import Limits
from bridge.server.runtime import REMEMBERED_ENDS, Runtime
from bridge.surroundings import Surroundings
from bridge.wire import Wire
from tests.support.bridge import make_config
from tests.support.call import PlayedLine
from tests.support.scripted_pulse import ScriptedPulse, spoken
from tests.support.twilio_frames import ACCOUNT_ID, frame
from tests.support.virtual_time import run_virtually, virtual
from tests.support.waiting import until

LIMITS = Limits()


async def waits(_call: Call) -> None:
    await asyncio.get_running_loop().create_future()


class Room:
    """A runtime whose clock is the loop's, and the lines of its calls."""

    def __init__(self, agent: Callable[[Call], Awaitable[None]] = waits) -> None:
        self.loop = asyncio.get_running_loop()
        config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
        self.runtime = Runtime(config, agent, clock=self.loop.time)
        self.trace: list[tuple[str, Any]] = []

    def call(
        self, call_id: str = "CA1", *, can_speak: bool = True, dialect: TwilioDialect | None = None
    ) -> tuple[Call, PlayedLine]:
        dialect = dialect or TwilioDialect()
        dialect.receive(frame("start"))
        line = PlayedLine(self.loop, self.trace)
        incoming = IncomingCall(call_id, ACCOUNT_ID, "", "", "inbound")
        return self.runtime.open_call("twilio", incoming, line, Wire(dialect), can_speak=can_speak), line


async def seconds(call: Call, passed: int, messages_per_s: float) -> None:
    """Time passes, in which the carrier sends so many messages, ten times a second."""
    sent = 0.0
    for _ in range(passed * 10):
        await asyncio.sleep(0.1)
        sent += messages_per_s / 10
        call.messages += int(sent)
        sent -= int(sent)


# -- watchdogs ---------------------------------------------------------------------------------------------------


@virtual
async def test_a_line_that_falls_silent_is_dropped_in_time() -> None:
    room = Room()
    call, line = room.call()
    await seconds(call, 30, 50)
    assert line.closes == []
    await asyncio.sleep(LIMITS.dead_line_s - 1)
    assert line.closes == []
    await asyncio.sleep(3.5)
    assert line.closes == [(1001, "silent_line")]
    assert room.runtime.stats.silent_lines == 1


@virtual
async def test_a_line_that_never_says_anything_is_dropped_too() -> None:
    room = Room()
    _, line = room.call()
    await asyncio.sleep(LIMITS.dead_line_s + 2.5)
    assert line.closes == [(1001, "silent_line")]


class Muted(TwilioDialect):
    """Sends nothing while the caller is silent, but can be asked."""

    def probe(self) -> Sequence[bytes]:
        return (b'{"event":"probe"}',)


@pytest.mark.parametrize("there", [True, False])
@virtual
async def test_a_carrier_that_can_be_asked_whether_it_is_there_is_asked_before_it_is_dropped(
    there: bool,
) -> None:
    room = Room()
    call, line = room.call(dialect=Muted())
    answered = 0
    for _ in range(60):
        await asyncio.sleep(1)
        probes = sum(kind == "probe" for kind, _ in room.trace)
        call.messages += (probes - answered) * there
        answered = probes
    assert line.closes == ([] if there else [(1001, "silent_line")])
    assert answered < 15, "now and then, no oftener than is needed"


@virtual
async def test_a_flood_is_dropped_and_a_busy_line_is_not() -> None:
    room = Room()
    (busy, busy_line), (flood, flood_line) = room.call("CA1"), room.call("CA2")
    await asyncio.gather(seconds(busy, 20, 200), seconds(flood, 20, 400))
    assert busy_line.closes == []
    assert flood_line.closes == [(1008, "flood")]
    assert room.runtime.stats.floods == 1


@virtual
async def test_what_a_stall_has_kept_back_is_no_flood() -> None:
    room = Room()
    call, line = room.call()
    await seconds(call, 3, 50)
    await asyncio.sleep(8)
    call.messages += 8 * 50
    await seconds(call, 3, 50)
    assert line.closes == []


@virtual
async def test_the_clock_runs_only_while_there_are_calls() -> None:
    room = Room()
    call, _ = room.call()
    other, _ = room.call("CA2")
    beats: list[float] = []
    room.runtime.pacer.every(1, beats.append)
    await asyncio.sleep(0.1)
    room.runtime.close_call(call, "carrier")
    await asyncio.sleep(0.1)
    assert len(beats) == pytest.approx(40, abs=1)
    room.runtime.close_call(other, "carrier")
    await asyncio.sleep(10)
    assert len(beats) == pytest.approx(40, abs=1)


# -- agents ------------------------------------------------------------------------------------------------------


def raises(error: BaseException) -> Callable[[Call], Awaitable[None]]:
    async def agent(_call: Call) -> None:
        raise error

    return agent


async def returns(_call: Call) -> None:
    return


@pytest.mark.parametrize(
    ("agent", "apologises", "errors"),
    [
        pytest.param(returns, False, 0, id="done"),
        pytest.param(raises(ZeroDivisionError()), True, 1, id="broken"),
        pytest.param(raises(SystemExit(1)), True, 1, id="wants to exit"),
        pytest.param(raises(TimeoutError()), True, 1, id="out of patience"),
        pytest.param(raises(Unavailable("gone")), False, 0, id="the voice failed, and that has been said"),
    ],
)
def test_however_an_agent_ends_its_call_ends(
    agent: Callable[[Call], Awaitable[None]], apologises: bool, errors: int
) -> None:
    async def scenario() -> None:
        room = Room(agent)
        call, line = room.call()
        await room.runtime.run_agent(call)
        assert line.closes == [(1000, "agent")]
        assert room.runtime.stats.agent_errors == errors
        failed = [entry.error for entry in call.timeline if isinstance(entry, tl.AgentFailed)]
        assert len(failed) == errors, failed
        packets = [value for kind, value in room.trace if kind == "audio"]
        assert b"".join(packets).startswith(apology().audio) is apologises
        room.runtime.close_call(call, "carrier_lost")
        assert room.runtime.stats.calls_ended == {"agent": 1}

    run_virtually(scenario)


@virtual
async def test_an_agent_that_is_cancelled_by_something_of_its_own_ends_its_call() -> None:
    room = Room(raises(asyncio.CancelledError()))
    call, line = room.call()
    agent = asyncio.create_task(room.runtime.run_agent(call))
    await asyncio.wait({agent})
    assert agent.cancelled()
    assert line.closes == [(1000, "agent")]
    room.runtime.close_call(call, "agent")


@virtual
async def test_an_agent_that_cannot_speak_leaves_the_call_to_those_who_listen() -> None:
    async def speaks(call: Call) -> None:
        await call.say("Hello.")

    room = Room(speaks)
    call, line = room.call(can_speak=False)
    await room.runtime.run_agent(call)
    assert line.closes == []
    assert not call.ended
    room.runtime.close_call(call, "carrier")


@virtual
async def test_an_apology_to_a_call_that_only_listens_is_not_tried_twice() -> None:
    room = Room(raises(ZeroDivisionError()))
    call, line = room.call(can_speak=False)
    await room.runtime.run_agent(call)
    assert line.closes == [(1000, "agent")]
    room.runtime.close_call(call, "carrier")


# -- what is remembered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("agent", Ending.FINISHED),
        ("carrier", Ending.FINISHED),
        ("silent_line", Ending.FINISHED),
        ("carrier_lost", Ending.LOST),
        ("protocol_error", Ending.LOST),
        ("slow_reader", Ending.LOST),
        ("drained", Ending.LOST),
        ("flood", Ending.LOST),
    ],
)
def test_the_carrier_is_told_how_a_call_ended(reason: str, ending: Ending) -> None:
    async def scenario() -> None:
        room = Room()
        call, _ = room.call()
        assert room.runtime.ended_of(call.id).ending is Ending.LOST, (
            "the stream is gone, but nobody here has ended it"
        )
        room.runtime.close_call(call, reason)
        assert room.runtime.ended_of(call.id).ending is ending
        assert room.runtime.ended_of("CAunknown").ending is Ending.LOST

    run_virtually(scenario)


@virtual
async def test_a_caller_who_was_handed_on_is_connected_wherever_the_carrier_asks() -> None:
    room = Room()
    call, _ = room.call()
    call.transfer_to = "+15550009999"
    handed_on = Ended(Ending.TRANSFERRED, "+15550009999")
    assert room.runtime.ended_of(call.id) == handed_on, "asked before it has answered that it will"
    room.runtime.close_call(call, "carrier")
    assert room.runtime.ended_of(call.id) == handed_on
    assert room.runtime.stats.calls_ended == {"transferred": 1}


@virtual
async def test_a_carrier_that_cannot_be_served_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
    carriers = replace(config.carriers, twilio=TwilioConfig())
    runtime = Runtime(replace(config, carriers=carriers), waits)
    assert runtime.carriers == {}
    assert "Twilio is not served: carriers.twilio.auth_token is missing" in caplog.text


@virtual
@pytest.mark.parametrize(
    ("public_url", "told"), [("https://bridge.example.com", True), ("http://127.0.0.1:8080", False)]
)
async def test_a_secret_that_everybody_knows_is_told_where_everybody_may_come(
    public_url: str, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
    carriers = replace(config.carriers, telnyx=TelnyxConfig(public_key=Secret(SIMULATED_KEY)))
    server = replace(config.server, public_url=public_url)
    runtime = Runtime(replace(config, carriers=carriers, server=server), waits)
    assert "telnyx" in runtime.carriers
    assert ("carriers.telnyx.public_key is no secret" in caplog.text) is told


@virtual
async def test_a_call_is_found_by_what_it_was_placed_as() -> None:
    room = Room()
    call, _ = room.call()
    call.placed_as = "request-1"
    other, _ = room.call("CA2")
    assert room.runtime.live(call.id) is room.runtime.live("request-1") is call
    assert room.runtime.live(other.id) is other
    assert room.runtime.live("request-2") is None


@virtual
async def test_both_chains_of_audio_are_told_once_a_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    room = Room()
    call, _ = room.call()
    told = [message for message in caplog.messages if "mulaw" in message]
    assert told == [
        "call CA1 started on twilio: caller mulaw 8000 Hz (untouched); bridge mulaw 8000 Hz (untouched)"
    ]
    room.runtime.close_call(call, "carrier")


@virtual
async def test_only_so_many_ends_are_remembered() -> None:
    room = Room()
    for number in range(REMEMBERED_ENDS + 1):
        call, _ = room.call(f"CA{number}")
        room.runtime.close_call(call, "agent")
    assert room.runtime.ended_of("CA0").ending is Ending.LOST
    assert room.runtime.ended_of("CA1").ending is Ending.FINISHED


@virtual
async def test_a_call_leaves_nothing_behind() -> None:
    room = Room()
    ended: list[Call] = []
    room.runtime.on_ended.append(ended.append)
    call, _ = room.call()
    call.ear.push(b"\xff" * 1000)
    room.runtime.close_call(call, "carrier")
    assert ended == [call]
    assert not room.runtime.calls
    assert room.runtime.detector.due == 0
    held = [
        dict(v) for v in vars(room.runtime).values() if isinstance(v, dict) and v != room.runtime.carriers
    ]
    assert [v for v in held if v] == [{call.id: Ended(Ending.FINISHED)}], "nothing but how it ended"


# -- sockets -----------------------------------------------------------------------------------------------------


@virtual
async def test_drained_waits_for_every_socket() -> None:
    runtime = Room().runtime
    await runtime.drained()
    with runtime.holding_a_socket():
        with runtime.holding_a_socket():
            waiting = asyncio.create_task(runtime.drained())
        await asyncio.sleep(1)
        assert not waiting.done()
    await waiting


# -- who listens -------------------------------------------------------------------------------------------------


async def needs_words(_call: Call) -> None:
    """Is of no use without words."""


needs_words.needs_words = True  # type: ignore[attr-defined]
NOBODY = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever")
PULSE = replace(NOBODY, pulse=PulseConfig(base_url="http://127.0.0.1:1"))


async def test_an_agent_that_needs_words_is_refused_at_start() -> None:
    with pytest.raises(
        ConfigError, match=r"^f: agent.entrypoint: .* listens to words: add a \[pulse\] section"
    ):
        Runtime(NOBODY, needs_words, source="f")
    assert Runtime(PULSE, needs_words).transcriber is not None


async def test_an_agent_that_needs_words_places_no_call_where_there_are_none() -> None:
    for config, error in ((NOBODY, "listens to words"), (PULSE, "twilio: ")):
        runtime = Runtime(config, waits)
        with pytest.raises(BridgeError, match=error):
            await runtime.place_call("twilio", "+15550100", "+15550101", f"{__name__}:needs_words")
        await runtime.close()


async def gets_ready(_call: Call) -> None:
    """Does something before the call."""


class NoOptions(Section, frozen=True):
    """Takes none."""


async def get_ready(_options: NoOptions, surroundings: Surroundings) -> None:
    ready.append(surroundings)


ready: list[Surroundings] = []
gets_ready.options_type = NoOptions  # type: ignore[attr-defined]
gets_ready.prepare = get_ready  # type: ignore[attr-defined]


async def test_the_agent_of_a_placed_call_gets_ready_meanwhile() -> None:
    runtime = Runtime(NOBODY, waits)
    with pytest.raises(BridgeError, match="twilio: "):
        await runtime.place_call("twilio", "+15550100", "+15550101", f"{__name__}:gets_ready")
    await runtime.close()
    assert ready == [runtime.surroundings]


async def test_callers_are_heard_by_who_listens() -> None:
    async with ScriptedPulse() as pulse:
        config = replace(NOBODY, pulse=PulseConfig(base_url=pulse.url))
        runtime = Runtime(config, waits)
        assert runtime.transcriber is not None
        await runtime.transcriber.start()
        dialect = TwilioDialect()
        dialect.receive(frame("start"))
        incoming = IncomingCall("CA1", ACCOUNT_ID, "", "", "inbound")
        line = PlayedLine(asyncio.get_running_loop(), [])
        call = runtime.open_call("twilio", incoming, line, Wire(dialect), can_speak=True)
        call.taps.sink(spoken("one", "two"))
        await until(lambda: bool(pulse.lines) and pulse.lines[0].heard_bytes == len(spoken("one", "two")))
        runtime.close_call(call, "carrier")
        await runtime.close()
        await until(lambda: pulse.open == 0)
        assert pulse.lines[0].asked == ["close_stream"]
        assert pulse.handshakes[0].headers["Authorization"] == f"Bearer {config.lightning.api_key.reveal()}"


async def test_a_model_that_is_to_judge_turns_and_is_not_there_is_told_of_at_start() -> None:
    config = replace(NOBODY, turns=TurnsConfig(smart_turn="nowhere.onnx"))
    with pytest.raises(ConfigError, match=r"^here/f: turns.smart_turn: here.nowhere.onnx: No such file"):
        Runtime(config, waits, source="here/f")
    assert Runtime(NOBODY, waits).smart_turn is None
