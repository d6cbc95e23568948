"""What one caller is hearing: queue, lead, marks, heard. Clock-free; every method is told the time.

Strategy:

- Time is absolute. What is `n` ms into an utterance is played by the carrier at `origin + n ms`; it leaves us `lead_ms`
  before that. Late ticks catch up within the lead. Only when the carrier's buffer must have run dry is the origin
  moved, and that is counted: an underrun when the synthesis was late, a slip when our own clock was.
- Audio leaves in messages of the carrier's size, 20 ms or more, and only in whole ones. The larger they are the more is
  sent ahead, so that the buffer never holds less than it would with small ones.
- One utterance at a time. `begin` opens a generation, `clear` ends it. Audio and marks of another generation are
  counted and dropped: stale audio cannot be queued, so it cannot be sent.
- What was heard is what `marks.py` makes of the clock.
- The tail is padded with silence to a whole message. So is a word that would break off in the middle because the rest
  of its message is late.
- A carrier that cannot clear plays all that it was sent: that counts as heard, and what comes next begins behind it.
- Paused, an utterance takes back what was not heard of it. It goes on from there, its places and what was heard are
  counted as before, and marks of the stretch before the pause are stale.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, TypeAlias

from bridge.media.marks import Mark, Marks
from bridge.media.unheard import Unheard
from bridge.observe.stats import PlayoutStats
from telephony_codecs.formats import AudioFormat
from telephony_codecs.reframer import Reframer

PACKET_MS: Final = 20
MARK_EVERY_MS: Final = 1000
#: How long after the clock says that all is played we still wait for the last mark.
MARK_GRACE_MS: Final = 1000.0
#: Whoever holds must decide sooner; a line that falls mute in that moment must not silence us for good.
HOLD_LIMIT_MS: Final = 500.0
#: The carrier wants no more for now, and does not say until when; or says so for longer than anybody would wait.
FLOW_LIMIT_S: Final = 10.0
#: With so little left in the carrier's buffer, part of a message goes out padded rather than late.
BREAKING_OFF_MS: Final = 40.0
#: Floating point may put a tick a hair before its packet; that must not cost a packet.
_HAIR_MS: Final = 1e-6


Outgoing: TypeAlias = bytes | Mark


class Playout:
    """The audio on its way to one caller.

    Args:
        audio_format: what `write` takes and packets hold.
        lead_ms: audio kept in the carrier's buffer; `PACKET_MS` or more.
        message_ms: audio in one message, a multiple of `PACKET_MS`.
        tail_ms: silence sent after each utterance, for a carrier that keeps the last of its buffer back.
        marks: whether the carrier answers marks.
        clear: whether the carrier can throw away what it has buffered.

    Raises:
        ValueError: `message_ms` is no multiple of `PACKET_MS`, or `lead_ms` less than one.
    """

    def __init__(
        self,
        audio_format: AudioFormat,
        *,
        lead_ms: int = 200,
        message_ms: int = PACKET_MS,
        tail_ms: int = 0,
        marks: bool = True,
        clear: bool = True,
    ) -> None:
        if message_ms < PACKET_MS or message_ms % PACKET_MS:
            raise ValueError(f"message_ms must be a multiple of {PACKET_MS}, not {message_ms}")
        if lead_ms < PACKET_MS:
            raise ValueError(f"lead_ms must be {PACKET_MS} or more, not {lead_ms}")
        self.audio_format = audio_format
        self.lead_ms = lead_ms
        self.stats = PlayoutStats()
        self.generation = 0
        self._message_ms, self._ahead_ms = message_ms, lead_ms + message_ms - PACKET_MS
        #: Never so early that it could not leave at once.
        self._breaking_off_ms = min(BREAKING_OFF_MS, lead_ms - PACKET_MS)
        self._tail = [audio_format.silence(message_ms)] * -(-tail_ms // message_ms)
        self._can_mark, self._can_clear = marks, clear
        self._marks = Marks(self.stats)
        self._reframer = Reframer(audio_format.bytes_in(message_ms))
        self._messages: deque[bytes] = deque()
        self._unheard = Unheard(message_ms, self._ahead_ms + MARK_EVERY_MS if clear else 0)
        self._active = False
        #: Until when nothing may be sent, because the carrier, or the lack of one, says so.
        self._stopped_until_s = 0.0
        #: When the carrier has played what it has of earlier utterances.
        self._free_at_s = 0.0
        self._restart()

    def _restart(self) -> None:
        self._messages.clear()
        self._unheard.restart()
        self._marks.restart()
        #: Whether it is paused, how often it was, and what had been heard then.
        self.paused = False
        self._pauses = 0
        self._heard_before_ms = 0.0
        #: What had been sent before the last pause, some of it silence that filled a message up.
        self._sent_before_ms = 0
        self._reframer = Reframer(self._reframer.frame_bytes)
        self._written_bytes = 0
        self._sent_ms = 0
        self._origin_s: float | None = None
        self._complete = self._end_marked = False
        self._was_held = self._starved = False
        self._held_until_s = 0.0
        #: How late the newest packet left, against its place on the timeline.
        self.late_ms = 0.0

    # -- writing -----------------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Open an utterance. Returns its generation, which `write` and `finish` must name.

        Raises:
            RuntimeError: one is still on; `clear` or `close` it first.
        """
        if self._active:
            raise RuntimeError("an utterance is still on: clear or close it first")
        self._restart()
        self._active = True
        self.generation += 1
        return self.generation

    def write(self, generation: int, audio: bytes) -> bool:
        """Queue `audio`, of any size. False when that generation is over: the audio is dropped."""
        if generation != self.generation or not self._active or self._complete:
            self.stats.stale_writes += 1
            return False
        self._written_bytes += len(audio)
        self._messages.extend(self._reframer.feed(audio))
        return True

    def take_back(self, generation: int, ms: float) -> float:
        """Drop up to `ms` of the newest audio, as far as it was never sent. Returns how many milliseconds it was."""
        if generation != self.generation or not self._active or self._complete:
            return 0.0
        unsent_ms = max(0.0, self.written_ms - self._sent_before_ms)
        messages, wanted = self._messages, self.audio_format.bytes_in(min(ms, unsent_ms))
        tail = self._reframer.take()
        while len(tail) < wanted and messages:
            tail = messages.pop() + tail
        taken = min(wanted, len(tail))
        messages.extend(self._reframer.feed(tail[: len(tail) - taken]))
        self._written_bytes -= taken
        return self.audio_format.ms_in(taken)

    def finish(self, generation: int) -> None:
        """Say that all of the utterance is written: the tail is padded and will be marked."""
        if generation == self.generation and self._active and not self._complete:
            self._complete = True
            if tail := self._reframer.flush(self.audio_format.silent_sample):
                self._messages.append(tail)

    def clear(self, now_s: float) -> float:
        """Drop what is queued and end the generation.

        The caller's next duty: send the carrier's own clear, if it has one, whether or not anything was queued here.

        Returns:
            The milliseconds that were heard of it; of a carrier that cannot clear also those that still will be.
        """
        heard_ms = self.heard_ms(now_s) if self._can_clear else min(self._sent_ms, self.written_ms)
        self.close()
        if self._can_clear:
            self._free_at_s = 0.0
        return heard_ms

    def close(self) -> None:
        """End the utterance; its generation is over."""
        if self._active and self._origin_s is not None and not self.paused:
            self._free_at_s = self._origin_s + self._sent_ms / 1000
        self._messages.clear()
        self._marks.forget()
        self._active = False
        self.generation += 1

    # -- sending -----------------------------------------------------------------------------------------------

    def due(self, now_s: float) -> list[Outgoing]:
        """The messages and marks to send now, in order. Call it at least once every `PACKET_MS` while `active`."""
        waits = self.paused or now_s < self._held_until_s or now_s < self._stopped_until_s
        if waits or not self._active:
            return []
        out: list[Outgoing] = []
        messages, message_ms, before_ms = self._messages, self._message_ms, self._sent_ms
        if not messages and message_ms > PACKET_MS:
            self._save_word(now_s)
        for _ in range(min(self._owed(now_s), len(messages)) if messages else 0):
            message = messages.popleft()
            out.append(message)
            self._unheard.add(message)
            self._sent_ms += message_ms
            if self._sent_ms % MARK_EVERY_MS < message_ms and messages:
                self._mark(out)
        if self._complete and not messages and not self._end_marked:
            self._end(out, now_s)
        self._starved = not messages and not self._complete
        self.stats.packets += (self._sent_ms - before_ms) // PACKET_MS
        return out

    def _owed(self, now_s: float) -> int:
        """How many messages the timeline wants sent by now; moves the origin if the carrier ran dry."""
        sent_ms = self._sent_ms
        if self._origin_s is None:
            self._origin_s = max(now_s, self._free_at_s)
        dry_ms = (now_s - self._origin_s) * 1000 - sent_ms
        if dry_ms > _HAIR_MS:
            self._origin_s = now_s - sent_ms / 1000
            if sent_ms:
                self._count_dry(dry_ms)
        ours = sent_ms and not (self._starved or self._was_held)
        self.late_ms = max(0.0, dry_ms + self.lead_ms - PACKET_MS) if ours else 0.0
        self._was_held = False
        wanted_ms = (now_s - self._origin_s) * 1000 + self._ahead_ms + _HAIR_MS - sent_ms
        return int(wanted_ms / self._message_ms)

    def _count_dry(self, dry_ms: float) -> None:
        if self._was_held:
            return  # our own choice, not a fault
        if self._starved:
            self.stats.underruns += 1
            self.stats.underrun_ms += dry_ms
        else:
            self.stats.slips += 1

    def _end(self, out: list[Outgoing], now_s: float) -> None:
        """The last of the utterance has left: mark it, and push it out of the carrier's buffer."""
        self._end_marked = True
        if self._sent_ms:
            if self._tail and self._origin_s is not None and self.buffered_ms(now_s) < 0:
                # It ran dry before: the tail is played from now on.
                self._origin_s = now_s - self._sent_ms / 1000
            self._mark(out)
            out += self._tail
            self._sent_ms += len(self._tail) * self._message_ms

    def _save_word(self, now_s: float) -> None:
        """Fill part of a message up with silence if its sound would break off otherwise. It counts as written."""
        part_bytes = self._reframer.pending_bytes
        if part_bytes and self._sent_ms and self.buffered_ms(now_s) <= self._breaking_off_ms:
            self._messages.append(self._reframer.flush(self.audio_format.silent_sample))
            self._written_bytes += self._reframer.frame_bytes - part_bytes
            self.stats.padded_messages += 1

    def _mark(self, out: list[Outgoing]) -> None:
        if self._can_mark:
            out.append(self._marks.set(self.generation, self._sent_ms, self._pauses))

    def hold(self, now_s: float) -> None:
        """Send nothing more until `release`: the caller may be about to talk. Ends by itself after `HOLD_LIMIT_MS`."""
        self._held_until_s = now_s + HOLD_LIMIT_MS / 1000
        self._was_held = True

    def release(self) -> None:
        """Go on. What is due by now leaves with the next tick."""
        self._held_until_s = 0.0

    def pause(self, now_s: float) -> bool:
        """Take back what was not heard yet, and send nothing until `go_on`.

        The caller's next duty: send the carrier's own clear.

        Returns:
            False where nothing can be paused: no utterance is on, or the carrier cannot clear.
        """
        if not (self._active and self._can_clear) or self.paused:
            return False
        self._heard_before_ms = self.heard_ms(now_s)
        self._sent_before_ms = max(self._sent_before_ms, self._sent_ms)
        self._sent_ms, taken = self._unheard.take_since(self._heard_before_ms)
        self._messages.extendleft(reversed(taken))
        self.paused = True
        self._pauses += 1
        self._marks.forget()
        self._end_marked = False
        self._held_until_s = self._free_at_s = 0.0
        return True

    def go_on(self, now_s: float) -> None:
        """Send the rest, from the message in which it was paused. It leaves with the next tick."""
        if self.paused:
            self.paused = False
            self._begin_anew(now_s)

    def stop_flow(self, now_s: float, for_s: float = 0.0) -> None:
        """The carrier takes nothing more: until `resume_flow`, or for `for_s`, and no longer than `FLOW_LIMIT_S`."""
        self.stats.flow_stops += 1
        self._stopped_until_s = now_s + min(for_s or FLOW_LIMIT_S, FLOW_LIMIT_S)
        self._was_held = True

    def resume_flow(self) -> None:
        """The carrier takes audio again. What is due by now leaves with the next tick."""
        self._stopped_until_s = 0.0

    def suspend(self) -> None:
        """The line is lost: send nothing until there is another one, see `resume`."""
        self._stopped_until_s = inf

    def resume(self, now_s: float) -> None:
        """There is another line, with nothing in its buffer. What went into the lost one counts as heard."""
        self._stopped_until_s = self._free_at_s = 0.0
        self._marks.forget()
        self._begin_anew(now_s)

    def _begin_anew(self, now_s: float) -> None:
        """The carrier has nothing in its buffer, and plays what is not sent yet from `now_s` on."""
        if self._origin_s is not None:
            self._origin_s = now_s - self._sent_ms / 1000
            self._marks.reached(self._sent_ms, now_s)
        self._was_held = True

    # -- what was heard ----------------------------------------------------------------------------------------

    def mark_played(self, name: str, now_s: float) -> None:
        """The carrier answered a mark. After a clear that means nothing: it answers those it threw away too."""
        self._marks.answered(name, self.generation, now_s)

    def heard_ms(self, now_s: float) -> float:
        """Milliseconds of this utterance that the caller has heard by `now_s`."""
        heard_ms = self._heard_before_ms
        if self._origin_s is not None and not self.paused:
            by_clock_ms = min((now_s - self._origin_s) * 1000, self._sent_ms, self.written_ms)
            heard_ms = max(heard_ms, self._marks.corrected(by_clock_ms, now_s))
        return min(heard_ms, self.written_ms)

    def plays_at_s(self, position_ms: float) -> float | None:
        """When the carrier plays what is at `position_ms`, by the clock alone; None while it has not been sent."""
        if self._origin_s is None or position_ms >= self._sent_ms:
            return None
        return self._origin_s + position_ms / 1000

    def done(self, now_s: float) -> bool:
        """Whether the whole utterance has been heard, by its last mark or, failing that, by the clock."""
        if not (self._complete and self._end_marked):
            return False
        if not self._marks.pending:
            return self._can_mark or self.buffered_ms(now_s) <= 0
        if self.buffered_ms(now_s) > -MARK_GRACE_MS:
            return False
        self.stats.missing_marks += 1
        return True

    # -- state -------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether an utterance is on."""
        return self._active

    @property
    def written_ms(self) -> float:
        """Milliseconds written to this utterance so far, without the padding of the tail."""
        return self.audio_format.ms_in(self._written_bytes)

    @property
    def queued_ms(self) -> int:
        """Milliseconds waiting here to be sent."""
        return len(self._messages) * self._message_ms

    def buffered_ms(self, now_s: float) -> float:
        """Milliseconds in the carrier's buffer by the clock; negative for how long it has been dry."""
        if self._origin_s is None or self.paused:
            return 0.0
        return self._sent_ms - (now_s - self._origin_s) * 1000
