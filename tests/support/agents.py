"""Agents for tests. Each leaves what it learnt in `log`, by call id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from bridge.call import Call
from bridge.errors import CallEnded, LightningError, ListenOnly
from bridge.observe.timeline import FirstAudio
from bridge.prompts import apology
from tests.support.waiting import until

#: What an agent was told, by call id.
log: dict[str, list[object]] = {}


def note(call: Call, *things: object) -> None:
    log.setdefault(call.id, []).extend(things)


LONG = " ".join(f"This is sentence number {n} of a long text." for n in range(1, 13))


async def says_hello(call: Call) -> None:
    note(call, await call.say("Hello from the bridge."))
    await call.hang_up()


async def says_long(call: Call) -> None:
    note(call, await call.say(LONG))
    await call.hang_up()


async def cannot_be_interrupted(call: Call) -> None:
    note(call, await call.say("This must be heard whole.", interruptible=False))
    await call.hang_up()


async def only_speech_interrupts(call: Call) -> None:
    note(call, await call.say("Keys do nothing to this sentence.", barge_in="speech"))
    await call.hang_up()


async def answers_twice(call: Call) -> None:
    note(call, await call.say(LONG))
    note(call, await call.say("Second utterance."))
    await call.hang_up()


async def streams(call: Call) -> None:
    async def words() -> AsyncIterator[str]:
        for word in ["Text", "that", "streams", "in.", "Sentence", "by", "sentence", "it", "is", "spoken."]:
            yield f"{word} "

    note(call, await call.say(words()))
    await call.hang_up()


async def gathers(call: Call) -> None:
    await call.say("Please enter your number.")
    note(call, await call.gather(digits=4, timeout_s=1.0))
    await call.hang_up()


async def meets_a_failure(call: Call) -> None:
    try:
        note(call, await call.say("This sentence will not be spoken to its end, whatever we do."))
    except LightningError as error:
        note(call, error)
    await call.hang_up()


async def lets_a_failure_through(call: Call) -> None:
    await call.say("This sentence will not be spoken.")


async def plays(call: Call) -> None:
    note(call, await call.play(apology()))
    await call.hang_up()


async def waits_for_ever(call: Call) -> None:
    try:
        async for turn in call.turns():
            note(call, turn)
        await call.say("too late")
    except CallEnded as error:
        note(call, error)
        raise


async def clings_on(call: Call) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        note(call, "cancelled")
        raise


async def never_stops(call: Call) -> None:
    while True:
        await call.say(LONG)


async def is_broken_for_some(call: Call) -> None:
    if call.from_number.endswith("13"):
        raise ZeroDivisionError("a bug of the agent's")
    await says_hello(call)


async def cannot_be_cancelled(call: Call) -> None:
    while True:
        try:
            await asyncio.sleep(0.5)
            return
        except asyncio.CancelledError:
            note(call, "cancelled")


async def says_its_texts(call: Call) -> None:
    for text in call.options["texts"]:
        try:
            note(call, await call.say(text))
        except LightningError as error:
            note(call, error)
    await call.hang_up()


async def says_its_texts_when_a_key_is_pressed(call: Call) -> None:
    await call.gather(digits=1, timeout_s=10.0)
    await says_its_texts(call)


async def finds_that_it_may_only_listen(call: Call) -> None:
    try:
        await call.say("This is said to nobody.")
    except ListenOnly as error:
        note(call, error)
    await call.hang_up()


async def hands_the_caller_on(call: Call) -> None:
    (to,) = call.options["texts"]
    await call.transfer(to)


async def answers_when_it_is_quiet(call: Call) -> None:
    """Says the first of its texts; and the second when whoever interrupted that has fallen silent again."""
    first, second = call.options["texts"]
    heard = await call.say(first)
    note(call, heard)
    if heard.by == "speech":
        async for _turn in call.turns(timeout_s=5.0):
            break
    note(call, await call.say(second))
    await call.hang_up()


async def streams_its_tokens(call: Call) -> None:
    """As a language model writes: a token and then another; some of them only when the caller has begun to hear."""
    tokens, held_back = list(call.options["tokens"]), int(call.options["held_back"])
    given_at_ms = 0.0

    async def written() -> AsyncIterator[str]:
        nonlocal given_at_ms
        for number, token in enumerate(tokens):
            if number == len(tokens) - held_back:
                given_at_ms = (time.monotonic() - call.started_s) * 1000
                await until(lambda: any(isinstance(entry, FirstAudio) for entry in call.timeline))
            yield token
            await asyncio.sleep(call.options["token_s"])

    heard = await call.say(written())
    note(call, heard, given_at_ms)
    await call.hang_up()


async def tells_and_waits(call: Call) -> None:
    """For tests of a process: says on standard output that it is there, and stays."""
    print("the agent is on the line", flush=True)
    await waits_for_ever(call)
