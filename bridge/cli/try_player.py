"""A flow without a call, for ``bridge flows try``: what it asks for is shown, kept as sound, or only told.

Strategy:

- `Player` takes a flow's actions and gives it their outcomes, as the ivr agent does on a call. Who presses keys, who
  speaks, what answers webhooks and where it is shown are parameters: a test plays an hour of menus in no time.
- The time of a try is the length of its sound: what was heard, and the silences in which the caller was waited for.
- A key is shown when the flow takes it, not when it is typed: before that nobody knows whether it is a secret.
- Nothing happens that costs or that others notice, but for webhooks that are really asked: no transfer, no agent, no
  recording.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from bridge.cli.keyboards import ENTER, LEAVES, NOTHING, SPEAKS, Keyboard
from bridge.cli.try_screen import Screen
from bridge.cli.try_world import BYTES_PER_S, Silent, Speaker, Track, World, over_and_over, silence
from bridge.errors import LightningError, PromptError
from bridge.flows.actions import (
    Action,
    Announce,
    Announced,
    Collect,
    Collected,
    Connect,
    Done,
    Fetch,
    Fetched,
    ForgetKeys,
    HangUp,
    Message,
    NotConnected,
    Outcome,
    PlayMessage,
    PlaySound,
    RunAgent,
    Running,
    TakeMessage,
)
from bridge.flows.machine import FAILED, GAVE_UP, STUCK
from bridge.keypad import MASK, Habit
from bridge.prompts.prompt import Prompt
from bridge.prompts.rendition import Rendition, ToSpeak

if TYPE_CHECKING:
    from bridge.config import BargeInMode
    from bridge.prompts.shelf import Shelf

#: What is left as a message by somebody who only presses Enter.
MADE_UP_MESSAGE: Final = Message("message.wav", 3000)
#: Why a flow ends that has no step for it.
_ENDS: Final = {
    GAVE_UP: "all tries are over, and the step has no otherwise",
    FAILED: "it failed, and the step has no otherwise",
    STUCK: "the flow goes round and round without waiting for anything",
}
#: Presses that let time pass.
_PATIENCE: Final = ("", ENTER, NOTHING)


class _Over(Exception):
    """The call is over, before the flow is. `args[0]` says how."""


class Player:
    """Plays one call of a flow.

    Args:
        shelf: what is said.
        keyboard: who presses keys, and how time passes.
        speaker: who says what is not kept.
        screen: where it is shown.
        world: what else there is.
    """

    def __init__(
        self, shelf: Shelf, keyboard: Keyboard, speaker: Speaker, screen: Screen, world: World
    ) -> None:
        self._shelf, self._keyboard, self._speaker = shelf, keyboard, speaker
        self._screen, self._world = screen, world
        #: What was heard.
        self.track = Track()
        #: Why something was not heard; each reason once.
        self.unheard: list[str] = []
        self._ahead: deque[str] = deque()
        self._step = ""
        #: Whether the next key would belong to those before: the flow asks for a long choice key by key.
        self._goes_on = False
        self._habit = Habit()

    def entered(self, step: str) -> None:
        """Note that the flow has come to `step`, or why it ends: what `machine.run` is given as `note`."""
        self._goes_on = False
        if step in _ENDS:
            self._screen.told(_ENDS[step])
        else:
            self._step = step
            self._screen.step(step)

    async def play(self, running: Running) -> str:
        """Carry out what `running` asks for, to the end. Returns how it ended, in words."""
        try:
            action = next(running)
            while not isinstance(action, HangUp):
                action = running.send(await self._do(action))
        except StopIteration:
            return "the flow is over"
        except _Over as over:
            return str(over)
        finally:
            running.close()
            self._screen.close_line()
        return "the flow hung up"

    async def _do(self, action: Action) -> Outcome:
        self._goes_on = self._goes_on and isinstance(action, Collect)
        match action:
            case Announce():
                return await self._announce(action)
            case PlaySound():
                return await self._play_sound(action)
            case Collect():
                return await self._collect(action)
            case TakeMessage():
                return await self._take_message(action)
            case Fetch():
                return await self._fetch(action)
            case Connect(to):
                return self._connect(to)
            case RunAgent(entrypoint):
                self._screen.told(f"the agent {entrypoint} has the call, and gives it back")
            case PlayMessage(path=path):
                self._screen.told(f"the caller hears {path}")
                return Announced()
            case ForgetKeys():
                self._ahead.clear()
                self._keyboard.forget()
        return Done()

    # -- what is heard -------------------------------------------------------------------------------------------------

    async def _announce(self, asked: Announce) -> Announced:
        return await self._perform(self._rendition(asked), asked.barge_in)

    async def _play_sound(self, asked: PlaySound) -> Announced:
        rendition = self._rendition(Announce(prompt=asked.sound))
        audio, text = await self._audio(rendition), rendition.text or f"♪ {asked.sound}"
        if asked.seconds:
            audio, text = over_and_over(audio, asked.seconds), f"{text} ({asked.seconds:g} s)"
        return await self._perform(Rendition((Prompt(audio, text),)), asked.barge_in)

    async def _perform(self, rendition: Rendition, barge_in: BargeInMode) -> Announced:
        if _keys_cut(barge_in) and await self._keys_wait():
            self._screen.says(rendition.text, "not said: keys are waiting")
            return Announced(by="digit")
        self._screen.says(rendition.text)
        return Announced(await self._hear(await self._audio(rendition), barge_in))

    def _rendition(self, asked: Announce) -> Rendition:
        try:
            return self._shelf.rendition(
                asked.prompt, asked.variables, language=asked.language, private=asked.private
            )
        except PromptError as error:
            self._miss(str(error))
            return Rendition((Prompt(b"", f"({asked.prompt})"),))

    async def _audio(self, rendition: Rendition) -> bytes:
        return b"".join([await self._audio_of(part) for part in rendition.parts])

    async def _audio_of(self, part: Prompt | ToSpeak) -> bytes:
        if isinstance(part, Prompt):
            return part.audio
        try:
            return await self._speaker.speak(part)
        except LightningError as error:
            self._miss(str(error))
            return await Silent().speak(part)

    def _miss(self, reason: str) -> None:
        if reason not in self.unheard:
            self.unheard.append(reason)
            self._screen.told(f"not heard: {reason}")

    async def _hear(self, audio: bytes, barge_in: BargeInMode) -> str:
        """Play `audio`. Returns what cut it short, if anything did."""
        rest = memoryview(audio)
        while rest:
            press = await self._keyboard.during(len(rest) / BYTES_PER_S)
            heard_bytes = len(rest) if press.key in _PATIENCE else round(press.after_s * BYTES_PER_S)
            self.track.audio += rest[:heard_bytes]
            rest = rest[heard_bytes:]
            if by := self._noticed(press.key, barge_in):
                return by
        return ""

    def _noticed(self, key: str, barge_in: BargeInMode) -> str:
        """What cuts short what plays, when `key` does. Keys are kept."""
        if key == LEAVES:
            raise _Over("the caller hung up")
        if key == SPEAKS:
            return "speech" if barge_in in ("speech", "both") else ""
        if key in _PATIENCE or self._habit.explains(key, self.track.seconds):
            return ""
        self._ahead.append(key)
        return "digit" if _keys_cut(barge_in) else ""

    async def _keys_wait(self) -> bool:
        """Whether keys were typed that the flow has not taken yet."""
        while (press := await self._keyboard.during(0)).key:
            self._noticed(press.key, "off")
        return bool(self._ahead)

    # -- what is asked -------------------------------------------------------------------------------------------------

    async def _collect(self, asked: Collect) -> Collected:
        goes_on, self._goes_on = self._goes_on, False
        if not goes_on:
            self._screen.waits()
        collected = await self._keys(asked, goes_on=goes_on)
        self._goes_on = bool(collected.keys) and not collected.finished and not collected.spoke
        if collected.spoke:
            self._screen.waited("speaks")
        elif not (collected.keys or collected.finished or goes_on):
            self._screen.waited("nothing")
        return collected

    async def _keys(self, asked: Collect, *, goes_on: bool) -> Collected:
        keys = ""
        while len(keys) < asked.digits:
            within_s = asked.next_timeout_s if keys else asked.first_timeout_s
            key = (
                self._ahead.popleft()
                if self._ahead
                else await self._awaited(within_s, first=not keys and not goes_on)
            )
            if key in _PATIENCE:
                break
            if self._habit.explains(key, self.track.seconds):
                continue
            if key == SPEAKS:
                if asked.until_speech:
                    return Collected(keys, spoke=True)
                continue  # heard by nobody
            finishes = key in asked.finish_on
            self._screen.pressed(MASK if asked.masked and not finishes else key)
            if finishes:
                return Collected(keys, finished=True)
            keys += key
        if len(keys) == asked.digits > 1:
            self._habit.expect(asked.finish_on, self._ahead, self.track.seconds)
        return Collected(keys)

    async def _awaited(self, within_s: float, *, first: bool = True, patience_s: float = 0.0) -> str:
        """The next key. Whoever lets time pass lets `patience_s` pass, by default all of it."""
        press = await self._keyboard.awaited(within_s, first=first)
        passed_s = (patience_s or within_s) if press.key in _PATIENCE else press.after_s
        self.track.audio += silence(passed_s)
        if press.key == LEAVES:
            self._screen.waited("hangs up")
            raise _Over("the caller hung up")
        return press.key

    async def _take_message(self, asked: TakeMessage) -> Message:
        if asked.beep:
            self.track.audio += await self._audio(self._rendition(Announce(prompt="beep")))
        if message := self._world.message:
            self._screen.told(f"the caller leaves {message.path}")
            self.track.audio += silence(message.ms / 1000)
            return message
        self._screen.told("a message is taken: Enter leaves one, - leaves none")
        leaves_one = (ENTER, SPEAKS, *asked.finish_on)
        while (key := await self._awaited(asked.max_s, patience_s=asked.silence_s)) not in leaves_one:
            if key in _PATIENCE:
                self._screen.told("nothing was said")
                return Message()
        self._screen.told(f"a message is left; it is called {MADE_UP_MESSAGE.path}, and nothing is recorded")
        return MADE_UP_MESSAGE

    # -- what the world does -------------------------------------------------------------------------------------------

    async def _fetch(self, asked: Fetch) -> Fetched:
        self._screen.told(f"{asked.method} {asked.url.partition('?')[0]}")
        hold = await self._audio(self._rendition(Announce(prompt=asked.hold))) if asked.hold else b""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            fetched = await self._world.fetch(self._step, asked)
        finally:
            self.track.audio += over_and_over(hold, loop.time() - began_s)
        self._screen.told(fetched.error or f"answered {fetched.status}")
        return fetched

    def _connect(self, to: str) -> NotConnected:
        if self._world.transfers:
            raise _Over(f"the caller is transferred to {to}")
        self._screen.told(f"the transfer to {to} does not work")
        return NotConnected("bridge flows try --transfers-fail")


def _keys_cut(barge_in: BargeInMode) -> bool:
    return barge_in in ("digits", "both")
