"""The examples of config/ivr.toml when something fails: the call goes on, or ends as the flow says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from bridge.emulators.caller_script import Cue, Press, Utterance
from bridge.prompts.sounds import sound
from tests.support.examples import CLOSED, Menu, Telephone, hears, menu
from tests.support.log import tracebacks
from tests.support.waiting import until

NOW: Final = Cue(at_s=0.0)


async def test_what_is_rendered_needs_no_lightning(
    telephone: Telephone, caplog: pytest.LogCaptureFixture
) -> None:
    lightning = telephone.prompts.lightning
    asked = lightning.stats.requests
    lightning.options.refuse = 503
    try:
        await asyncio.gather(
            a_flow_is_heard_when_lightning_is_down(telephone),
            a_webhook_that_hangs_is_waited_for_with_music_and_not_for_long(telephone),
        )
    finally:
        lightning.options.refuse = 0
    assert lightning.stats.requests == asked
    assert tracebacks(caplog) == []


#: Lightning refuses every connection at these bridges, and they take calls all the same.
ALL_THE_SAME: Final = {"server": {"refuse_without_voice": False}}


async def a_flow_is_heard_when_lightning_is_down(telephone: Telephone) -> None:
    clinic = await telephone.dial("clinic", "vonage", at=CLOSED, sections=ALL_THE_SAME)
    assert clinic.hears("The desk is closed now. We open at eight o'clock, from Monday to Friday.")
    assert clinic.menu.stage.server.runtime.stats.voice_failures == 0


async def a_webhook_that_hangs_is_waited_for_with_music_and_not_for_long(telephone: Telephone) -> None:
    async def hangs(_request: web.Request) -> web.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")

    api = web.Application()
    api.router.add_post("/clinic/slots", hangs)
    edits = {"deadline_s = 3": "deadline_s = 1"}
    keys = Press("119800101", NOW)
    clinic = await telephone.dial("clinic", "twilio", keys, api=api, edits=edits, sections=ALL_THE_SAME)
    assert sound("hold_music").audio[160 : 160 * 20] in clinic.report.heard
    assert clinic.hears("Nobody at the reception can take your call just now. Please call again later.")
    assert clinic.menu.stage.server.runtime.stats.agent_errors == 0


# -- the disk, and other files while calls are on ----------------------------------------------------------------------


async def test_a_disk_that_fails_and_files_that_change(
    telephone: Telephone, caller_voice: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(
        a_cache_that_cannot_be_used_leaves_the_voice_to_speak(telephone, caplog),
        a_message_that_the_disk_does_not_take_is_lost_alone(telephone, caller_voice, caplog),
        a_call_keeps_the_files_that_it_began_with(telephone, caplog),
    )
    assert tracebacks(caplog) == []


async def a_cache_that_cannot_be_used_leaves_the_voice_to_speak(
    telephone: Telephone, caplog: pytest.LogCaptureFixture
) -> None:
    not_a_folder = in_the_way(telephone.folder() / "cache")
    sections = {"prompts": {"cache": str(not_a_folder)}}
    clinic = await telephone.dial("clinic", "twilio", at=CLOSED, sections=sections)
    assert clinic.hears("The desk is closed now. We open at eight o'clock, from Monday to Friday.")
    assert clinic.call.ended == "agent"
    stats = clinic.menu.stage.server.runtime.stats.prompts
    assert stats.misses >= 1 and stats.write_failures >= 1
    assert len(warnings_of(str(not_a_folder), caplog)) == 1


async def a_message_that_the_disk_does_not_take_is_lost_alone(
    telephone: Telephone, caller_voice: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder = telephone.folder()
    in_the_way(folder / "recordings")
    async with menu("voicemail", telephone.prompts, folder, at=CLOSED) as m:
        speaks = Utterance.from_wav(caller_voice, Cue(after_bridge_silent_ms=700))
        report = await m.stage.call(speaks, Press("#", NOW))
        stats = m.stage.server.runtime.stats
    assert hears(report.heard, "I did not hear anything. Goodbye.")
    assert (stats.messages_kept, stats.messages_lost, stats.agent_errors) == (0, 1, 0)
    assert len(warnings_of("a message is lost", caplog)) == 1


def in_the_way(path: Path) -> Path:
    """A file where a folder should be."""
    path.write_text("this is in the way")
    return path


def warnings_of(what: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelno == logging.WARNING and what in r.getMessage()]


async def a_call_keeps_the_files_that_it_began_with(
    telephone: Telephone, caplog: pytest.LogCaptureFixture
) -> None:
    folder = telephone.folder()
    edits = {"silence_s = 4": "silence_s = 0.5"}
    async with menu("voicemail", telephone.prompts, folder, at=CLOSED, edits=edits) as m:
        runtime = m.stage.server.runtime
        file = folder / "flows" / "voicemail.toml"
        good = file.read_text("utf-8")
        before = asyncio.create_task(m.stage.call())
        await until(lambda: bool(runtime.calls))

        file.write_text(good.replace('next = "thanks"', 'next = "thank"'))
        status, refused = await reloaded(m)
        assert (status, runtime.library.edition.number) == (422, 1)
        line = 1 + good[: good.index('next = "thanks"')].count("\n")
        assert str(refused["error"]).startswith(f"{file}:{line}: steps.leave_message.next: ")
        assert str(refused["error"]) in caplog.text

        file.write_text(good.replace("I did not hear anything.", "Nothing was said."))
        status, taken = await reloaded(m)
        assert (status, taken["edition"], taken["flows"]) == (200, 2, 3)
        assert runtime.stats.reloads == {"refused": 1, "taken": 1}

        after, first = await asyncio.gather(m.stage.call(), before)
    assert hears(first.heard, "I did not hear anything.")
    assert hears(after.heard, "Nothing was said.")


async def reloaded(m: Menu) -> tuple[int, dict[str, object]]:
    """Ask as `bridge flows reload` does."""
    url = f"{m.stage.config.server.public_url}/flows/reload"
    async with aiohttp.ClientSession() as session, session.post(url) as answer:
        return answer.status, await answer.json()
