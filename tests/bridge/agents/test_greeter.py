"""The built-in agent, on a real call in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.agents.greeter import GreeterOptions, greeter
from bridge.errors import CallEnded
from bridge.observe import timeline as tl
from tests.support.call import Scene, build_call
from tests.support.virtual_time import virtual

SPEECH, SILENCE = [0.95] * 20, [0.01] * 60


def greeting(scene: Scene, **options: Any) -> asyncio.Task[None]:
    """The greeter at work, while the test goes on."""
    scene.call.options = {"greeting": "Hello there.", "reply": "I see.", **options}
    return asyncio.create_task(greeter(scene.call))


def said(scene: Scene) -> list[tuple[str, str]]:
    return [(entry.heard_text, entry.by) for entry in scene.entries(tl.SpeakingEnded)]


@virtual
async def test_it_greets_and_hangs_up_when_nobody_speaks() -> None:
    scene = build_call()
    began_s = scene.pacer.clock()
    await greeting(scene, goodbye_after_s=3.0)
    assert said(scene) == [("Hello there.", "")]
    assert scene.line.closes == [(1000, "agent")]
    spoke_s = len("Hello there.") * 0.05
    assert scene.pacer.clock() - began_s == pytest.approx(spoke_s + 3.0, abs=0.1)


@virtual
async def test_it_answers_each_time_the_caller_falls_silent() -> None:
    scene = build_call()
    task = greeting(scene)
    await asyncio.sleep(2)
    for _ in range(2):
        scene.hear(*SPEECH, *SILENCE)
        await asyncio.sleep(2)
    scene.call.end("carrier")
    await task
    assert said(scene) == [("Hello there.", ""), ("I see.", ""), ("I see.", "")]


@virtual
async def test_interrupted_it_stops_and_listens() -> None:
    scene = build_call()
    task = greeting(scene, greeting="One two three four five six seven eight nine ten.")
    await asyncio.sleep(1)
    scene.hear(*SPEECH)
    await asyncio.sleep(0.1)
    ((heard, by),) = said(scene)
    assert by == "speech"
    assert heard.startswith("One")
    assert "ten" not in heard
    scene.hear(*SILENCE)
    await asyncio.sleep(1)
    assert said(scene)[1:] == [("I see.", "")]
    task.cancel()


@virtual
async def test_without_a_goodbye_it_waits_as_long_as_the_call_lasts() -> None:
    scene = build_call()
    task = greeting(scene, goodbye_after_s=0)
    await asyncio.sleep(100)
    assert not task.done()
    scene.call.end("carrier")
    await task
    assert scene.line.closes == []


@virtual
async def test_a_caller_who_hangs_up_while_it_speaks_ends_it() -> None:
    scene = build_call()
    task = greeting(scene)
    await asyncio.sleep(0.2)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await task


def test_its_options_are_named_for_the_loader() -> None:
    assert greeter.options_type is GreeterOptions  # type: ignore[attr-defined]
    assert GreeterOptions().goodbye_after_s == 30
