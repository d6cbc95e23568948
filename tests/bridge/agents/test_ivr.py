"""The agent that plays flows: which one, which keys are masked, and what it does when things fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.agents.ivr import HOLD_AFTER_S, FlowOnCall, IvrOptions, flow_problems, ivr, masked_steps
from bridge.agents.loader import fault_of, load_agent
from bridge.call import Call
from bridge.config import AgentConfig, BargeInMode
from bridge.errors import CallEnded, ConfigError, LightningError, Unauthorized
from bridge.flows.actions import Announced, Fetch, Fetched, PlayMessage
from bridge.flows.library import Edition
from bridge.flows.messages import Messages
from bridge.flows.model import (
    Agent,
    Flow,
    Gather,
    HangUp,
    Menu,
    Play,
    Record,
    Say,
    Set,
    Step,
    Transfer,
    Webhook,
)
from bridge.flows.webhook import WebhookClient
from bridge.lightning.speech import Synthesis
from bridge.observe.stats import BridgeStats, FlowStats
from bridge.prompts import apology
from bridge.prompts.book import Book, PromptSpec
from bridge.prompts.shelf import Shelf
from bridge.prompts.sounds import sound
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import wav_bytes
from tests.support import agents
from tests.support.call import Scene, build_call
from tests.support.flow_script import flow_of
from tests.support.virtual_time import virtual

END = HangUp()
SPOKEN = b"\x31" * 480
FLOWS = {"clinic": flow_of("end", end=END), "bank": flow_of("end", end=END)}


def config(**options: Any) -> AgentConfig:
    return AgentConfig("bridge.agents.ivr:ivr", options)


# -- which flow --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, flow",
    [
        ("+15550100001", "clinic"),
        ("15550100001", "clinic"),
        ("+1 (555) 010-0001", "clinic"),
        ("sip:bank@voice.example", "bank"),
        ("+15550100009", "voicemail"),
        ("", "voicemail"),
        ("anonymous", "voicemail"),
    ],
)
def test_a_number_has_its_flow_however_a_carrier_writes_it(number: str, flow: str) -> None:
    numbers = {"+1 555-010-0001": "clinic", "sip:bank@voice.example": "bank"}
    assert IvrOptions("voicemail", numbers).flow_of(number, FLOWS) == flow


def test_the_only_flow_there_is_need_not_be_named() -> None:
    assert IvrOptions().flow_of("+1", {"clinic": FLOWS["clinic"]}) == "clinic"
    assert IvrOptions().flow_of("+1", FLOWS) == ""


@pytest.mark.parametrize(
    "options, flows, keys",
    [
        ({"flow": "clinic"}, FLOWS, []),
        ({"flow": "clinic", "numbers": {"+1": "bank"}}, FLOWS, []),
        ({"numbers": {"+1": "bank"}}, FLOWS, []),
        ({}, {"clinic": FLOWS["clinic"]}, []),
        ({}, FLOWS, ["agent.options.flow"]),
        ({}, {}, ["agent.options.flow"]),
        ({"flow": "clinc"}, FLOWS, ["agent.options.flow"]),
        ({"flow": "clinic", "numbers": {"+1": "bnk"}}, FLOWS, ["agent.options.numbers.+1"]),
    ],
)
def test_a_flow_that_is_not_there_is_told_at_start(
    options: dict[str, Any], flows: Mapping[str, Flow], keys: list[str]
) -> None:
    problems = flow_problems(config(**options), flows, "ivr.toml")
    assert [(problem.source, problem.key) for problem in problems] == [("ivr.toml", key) for key in keys]
    assert all(problem.fatal for problem in problems)


def test_other_agents_want_no_flows() -> None:
    assert flow_problems(AgentConfig(options={"flow": "clinc"}), {}) == []


def test_a_wrong_option_is_refused_at_start() -> None:
    with pytest.raises(ConfigError, match=r"agent\.options\.flows: is not a setting; did you mean `flow`"):
        load_agent(config(flows="clinic"))


async def deaf(_call: Call) -> None:
    """An agent that cannot do without words."""


deaf.needs_words = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "step, fault",
    [
        (Agent(entrypoint="bridge.agents.greeter:greeter"), ""),
        (Agent(entrypoint="bridge.agents.greeter:nobody"), "bridge.agents.greeter has no 'nobody'"),
        (
            Agent(entrypoint="bridge.agents.greeter:greeter", options={"greting": "Hi"}),
            "options.greting: is not a setting; did you mean `greeting`?",
        ),
    ],
)
def test_the_agent_of_a_step_is_looked_at_before_calls(step: Agent, fault: str) -> None:
    assert fault_of(step, heard=False) == fault


def test_the_agent_of_a_step_that_needs_words_needs_somebody_who_listens() -> None:
    step = Agent(entrypoint=f"{__name__}:deaf")
    assert fault_of(step, heard=True) == ""
    assert fault_of(step, heard=False).startswith(f"{__name__}:deaf listens to words: add a [pulse] section")


# -- which keys are masked ---------------------------------------------------------------------------------------------


def gather(mask: bool, to: str) -> Gather:
    return Gather(text="Your number?", into="number", mask=mask, next=to)


def test_keys_are_masked_wherever_they_may_be_typed_ahead_for_a_secret() -> None:
    flow = flow_of(
        "welcome",
        welcome=Say(text="Welcome.", next="menu"),
        menu=Menu(text="Account or hours?", choices={"1": "account", "2": "hours"}),
        hours=Say(text="Always."),
        account=gather(False, "pin"),
        pin=gather(True, "end"),
        end=END,
    )
    assert masked_steps(flow) == {"welcome", "menu", "account", "pin"}


def test_without_a_secret_nothing_is_masked() -> None:
    assert masked_steps(flow_of("account", account=gather(False, "end"), end=END)) == frozenset()


# -- on a call ---------------------------------------------------------------------------------------------------------


def on_call(
    texts: Mapping[str, str] = {},
    webhooks: WebhookClient | None = None,
    messages: Messages | None = None,
    **steps: Step,
) -> Scene:
    """A call that plays a flow of these steps, and of these prompts besides the sounds that are always there."""
    book = Book({name: PromptSpec(text=text) for name, text in texts.items()})
    flow = flow_of(next(iter(steps)), **steps)
    edition = Edition(Shelf(book), {"f": flow}, webhooks=webhooks)
    return build_call(edition=replace(edition, messages=messages) if messages else edition)


async def until_over(scene: Scene) -> None:
    await ivr(scene.call)
    scene.close()


@virtual
async def test_a_number_without_a_flow_hears_the_apology() -> None:
    scene = build_call(edition=Edition(flows=FLOWS))
    await until_over(scene)
    assert apology().audio in scene.audio
    assert scene.call.ended == "agent"


@pytest.mark.parametrize(
    "step, how, steps",
    [
        (Say(prompt="beep", next="end"), "hung_up", 2),
        (Menu(prompt="beep", choices={"1": "end"}, tries=1, timeout_s=1.0), "gave_up", 1),
        (Transfer(to="{nobody}"), "failed", 1),
        (Set(values={"x": 1}, next="step"), "stuck", 1001),
        (Agent(entrypoint=f"{__name__}:fails"), "error", 1),
        (Agent(entrypoint=f"{__name__}:sees_the_caller_leave"), "caller_left", 1),
    ],
)
@virtual
async def test_what_became_of_a_flow_is_counted(step: Step, how: str, steps: int) -> None:
    scene = on_call(step=step, end=END)
    with contextlib.suppress(RuntimeError, CallEnded):
        await ivr(scene.call)
    stats = scene.call.edition.stats
    assert (stats.started, stats.steps, stats.ended) == (1, steps, {how: 1})
    scene.close()


async def fails(call: Call) -> None:
    raise RuntimeError("of the agent")


async def sees_the_caller_leave(call: Call) -> None:
    call.end("carrier")


@virtual
async def test_a_flow_is_played_to_its_end() -> None:
    scene = on_call(tone=Play(sound="beep", next="end"), end=END)
    await until_over(scene)
    assert sound("beep").audio in scene.audio
    assert scene.call.ended == "agent"


@virtual
async def test_what_a_key_of_before_would_have_cut_short_is_not_begun() -> None:
    scene = on_call(tone=Play(sound="hold_music", next="end"), end=END)
    scene.press("1")
    await until_over(scene)
    assert scene.audio == b""


async def notes_its_options(call: Call) -> None:
    agents.note(call, call.options)


@virtual
async def test_an_agent_of_a_step_has_its_own_options_and_the_flow_goes_on() -> None:
    step = Agent(entrypoint=f"{__name__}:notes_its_options", options={"table": 7}, next="tone")
    scene = on_call(step=step, tone=Play(sound="beep"))
    before = scene.call.options
    agents.log.pop(scene.call.id, None)  # what another test's call of that id has left
    await until_over(scene)
    assert agents.log.pop(scene.call.id) == [{"table": 7}]
    assert scene.call.options == before
    assert sound("beep").audio in scene.audio


@pytest.mark.parametrize("barge_in, by", [("digits", "digit"), ("off", "")])
async def test_a_message_that_cannot_be_read_is_not_heard_and_the_flow_goes_on(
    tmp_path: Path, barge_in: BargeInMode, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = build_call()
    scene.press("1")
    on_it = FlowOnCall(scene.call, FLOWS["clinic"])
    action = PlayMessage(path=str(tmp_path / "gone.wav"), barge_in=barge_in)
    assert await on_it._do(action) == Announced(by)
    assert ("a message is not heard" in caplog.text) == (by == "")
    scene.close()


async def test_a_message_is_heard(tmp_path: Path) -> None:
    scene = build_call()
    path = tmp_path / "message.wav"
    path.write_bytes(wav_bytes(MULAW_8K, SPOKEN))
    assert await FlowOnCall(scene.call, FLOWS["clinic"])._do(PlayMessage(path=str(path))) == Announced()
    assert SPOKEN in scene.audio
    scene.close()


def refuses(number: int, synthesis: Synthesis) -> None:
    synthesis.finish(Unauthorized("no"))


def asks(to: str) -> Menu:
    return Menu(prompt="ask", choices={"1": to}, timeout_s=1.0, tries=2, otherwise=to)


@virtual
async def test_a_voice_that_fails_leaves_the_keys(caplog: pytest.LogCaptureFixture) -> None:
    scene = on_call({"ask": "Press one."}, menu=asks("tone"), tone=Play(sound="beep"))
    scene.lightning.script = refuses
    playing = asyncio.create_task(until_over(scene))
    await asyncio.sleep(apology().ms / 1000 + 0.5)
    scene.press("1")
    await playing
    assert scene.audio.count(apology().audio) == 1
    assert sound("beep").audio in scene.audio
    assert [r.levelname for r in caplog.records if "not heard whole" in r.getMessage()] == ["WARNING"]


@virtual
async def test_a_voice_that_only_fails_ends_the_call() -> None:
    scene = on_call({"ask": "Press one."}, menu=asks("again"), again=asks("end"), end=END)
    scene.lightning.script = refuses
    with pytest.raises(LightningError):
        await ivr(scene.call)
    scene.close()
    assert scene.audio.count(apology().audio) == 3


class Api(WebhookClient):
    """Somebody who answers after so long, or never."""

    def __init__(self, after_s: float) -> None:
        super().__init__([], {}, FlowStats())
        self.after_s, self.given_up, self.answered = after_s, 0, 0

    async def fetch(self, action: Fetch, *, call_id: str = "") -> Fetched:
        try:
            await asyncio.sleep(self.after_s)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        self.answered += 1
        return Fetched(200, {})


WEBHOOK = Webhook(url="https://api.example/x", hold="hold_music", next="end")


@pytest.mark.parametrize("after_s, music", [(HOLD_AFTER_S / 2, False), (2.0, True)])
def test_music_is_for_those_who_have_to_wait(after_s: float, music: bool) -> None:
    @virtual
    async def waits() -> None:
        scene = on_call(webhooks=Api(after_s), ask=WEBHOOK, end=END)
        await until_over(scene)
        assert (sound("hold_music").audio[: 160 * 20] in scene.audio) is music
        assert scene.call.ended == "agent"

    waits()


@virtual
async def test_who_hangs_up_in_a_webhook_is_not_waited_for() -> None:
    api = Api(after_s=100.0)
    scene = on_call(webhooks=api, ask=WEBHOOK, end=END)
    playing = asyncio.create_task(ivr(scene.call))
    await asyncio.sleep(1.0)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await playing
    scene.close()
    assert api.given_up == 1


class NoDisk(Messages):
    """Keeps messages nowhere, and says that it does."""

    def __init__(self) -> None:
        super().__init__(Path(), BridgeStats())

    async def keep(self, mulaw: bytes, *, call_id: str, step: str, at: datetime, instead_of: str = "") -> str:
        return "message.wav"


TELLS = Webhook(url="https://api.example/x", send=["message"], next="again")
TELLS_AGAIN = Webhook(url="https://api.example/y", next="thanks")


@pytest.mark.parametrize(
    "talks_ms, hangs_up_after_ms, told",
    [(2000, 0, 2), (2000, 1600, 2), (0, 0, 0)],
    ids=["while it is taken", "while somebody is told", "without a word"],
)
def test_of_a_message_somebody_is_told_though_the_caller_hangs_up(
    talks_ms: int, hangs_up_after_ms: int, told: int
) -> None:
    @virtual
    async def hangs_up() -> None:
        api = Api(after_s=1.0)
        leave = Record(beep=False, silence_s=1.0, next="tell")
        scene = on_call(webhooks=api, messages=NoDisk(), leave=leave, tell=TELLS, again=TELLS_AGAIN,
                        thanks=Play(sound="hold_music"))  # fmt: skip
        playing = asyncio.create_task(ivr(scene.call))
        await asyncio.sleep(0.1)
        await scene.talk(talks_ms)
        await scene.be_silent(hangs_up_after_ms)
        scene.call.end("carrier")
        with contextlib.suppress(CallEnded):
            await playing
        assert (api.answered, api.given_up) == (told, 0)
        assert sound("hold_music").audio[:160] not in scene.audio
        scene.close()

    hangs_up()


@virtual
async def test_without_hosts_nobody_is_asked() -> None:
    scene = on_call(ask=WEBHOOK, end=END)
    await until_over(scene)
    assert apology().audio in scene.audio, "a webhook that fails, and says not where to go then"
