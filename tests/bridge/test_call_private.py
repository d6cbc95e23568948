"""What is private is heard by the caller and known to the agent, and shown to nobody else."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from bridge.call import Keys
from bridge.flows.actions import Collected
from bridge.observe import timeline as tl
from bridge.observe.timeline import HIDDEN
from bridge.prompts import Prompt, Rendition, ToSpeak
from tests.support.call import Scene, build_call
from tests.support.virtual_time import virtual

BALANCE = Prompt(b"\x31" * 2400, "Your balance is")
SECRET = ToSpeak("ten dollars and two cents", private=True)
BYE = Prompt(b"\x32" * 2400, "Goodbye.")


def shown(scene: Scene) -> str:
    """All that is kept of the call, as anybody would read it."""
    return msgspec.json.encode(list(scene.call.timeline)).decode()


@virtual
async def test_the_agent_is_told_every_word_and_the_timeline_none() -> None:
    scene = build_call()
    heard = await scene.call.play(Rendition((BALANCE, SECRET, BYE)))
    assert heard.text == scene.call.heard.text == f"Your balance is {SECRET.text} Goodbye."
    assert [entry.text for entry in scene.entries(tl.SpeakingAsked)] == [f"Your balance is {HIDDEN} Goodbye."]
    (ended,) = scene.entries(tl.SpeakingEnded)
    assert ended.heard_text == f"Your balance is {HIDDEN} Goodbye."
    assert "dollars" not in shown(scene)


@pytest.mark.parametrize(
    ("after_s", "told", "kept"),
    [
        (0.2, "Your", "Your"),
        (1.0, "Your balance is ten dollars", f"Your balance is {HIDDEN}"),
        (1.65, f"Your balance is {SECRET.text}", f"Your balance is {HIDDEN}"),
    ],
)
@virtual
async def test_nor_does_it_show_how_much_of_it_was_heard(after_s: float, told: str, kept: str) -> None:
    scene = build_call()
    playing = asyncio.create_task(scene.call.play(Rendition((BALANCE, SECRET, BYE))))
    await asyncio.sleep(after_s)
    scene.press("1")
    assert (await playing).text == told
    assert [entry.heard_text for entry in scene.entries(tl.SpeakingEnded)] == [kept]
    assert "dollars" not in shown(scene)


@virtual
async def test_a_part_of_several_pieces_is_private_in_all_of_them() -> None:
    scene = build_call()
    long = "This sentence holds an account number, and it goes on. " * 8
    heard = await scene.call.play(Rendition((ToSpeak(long, private=True),)))
    assert heard.text == long.strip()
    assert "account" not in shown(scene)


@virtual
async def test_when_the_call_ends_meanwhile_it_is_private_too() -> None:
    scene = build_call()
    playing = asyncio.create_task(scene.call.play(Rendition((SECRET, BYE))))
    await asyncio.sleep(0.9)
    scene.call.end("carrier")
    await asyncio.wait([playing])
    playing.exception()
    assert [entry.heard_text for entry in scene.entries(tl.SpeakingEnded)] == [HIDDEN]


def test_what_is_printed_of_it_shows_nothing() -> None:
    for secret in (Keys("1234"), Collected("1234"), ToSpeak("1234", private=True)):
        assert "1234" not in repr(secret)
    assert Keys("1234") != Keys("1235")
    assert Collected("1234") != Collected("1235")
