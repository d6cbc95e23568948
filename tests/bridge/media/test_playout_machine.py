"""Playout against a carrier that is only a buffer: whatever is asked when, what was heard is what it has played."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.media.marks import Mark
from bridge.media.playout import PACKET_MS, Playout
from telephony_codecs.formats import MULAW_8K

BYTES_PER_MS = 8
SILENCE = b"\xff"
#: Less than any packet, more than what floating point does to a clock.
HAIR_MS = 1e-3


class Buffer:
    """A carrier's buffer: plays what it has, in order, and falls silent when it has nothing."""

    def __init__(self) -> None:
        self._free_at_s = 0.0
        self._parts: list[tuple[float, float]] = []
        self._lost_ms = 0.0
        #: Heard before it went back.
        self.before_ms = 0.0
        self._marks: list[tuple[str, float]] = []

    def begin(self) -> None:
        self._parts, self._lost_ms, self.before_ms = [], 0.0, 0.0

    def take(self, ms: int, now_s: float) -> None:
        start_s = max(now_s, self._free_at_s)
        self._parts.append((start_s, ms))
        self._free_at_s = start_s + ms / 1000

    def mark(self, name: str, now_s: float) -> None:
        self._marks.append((name, max(now_s, self._free_at_s)))

    def answered(self, now_s: float) -> list[str]:
        """The marks that it has come to and not told of yet."""
        reached = [name for name, at_s in self._marks if at_s <= now_s]
        self._marks = [(name, at_s) for name, at_s in self._marks if at_s > now_s]
        return reached

    def clear(self, now_s: float) -> None:
        self._free_at_s = now_s
        self._parts = [
            (at_s, min(ms, max(0.0, (now_s - at_s) * 1000))) for at_s, ms in self._parts if at_s < now_s
        ]
        self._marks = [(name, now_s) for name, _ in self._marks]  # a clear sends them all back

    def lose(self, now_s: float) -> None:
        """The line is another one, with an empty buffer."""
        self._lost_ms += sum(ms for _, ms in self._parts)
        self._parts, self._marks, self._free_at_s = [], [], now_s

    def go_back(self, ms: float, now_s: float) -> None:
        """It goes on from that place: what was played behind it will be played again, and counts once."""
        self.before_ms = self.played_ms(now_s)
        self._parts, self._lost_ms = [], ms

    def played_ms(self, now_s: float) -> float:
        """How much of the newest utterance; what a lost line had counts."""
        parts_ms = sum(min(max(0.0, (now_s - at_s) * 1000), ms) for at_s, ms in self._parts)
        return max(self.before_ms, self._lost_ms + parts_ms)

    def buffered_ms(self, now_s: float) -> float:
        return max(0.0, self._free_at_s - now_s) * 1000


class PlayoutMachine(RuleBasedStateMachine):
    """Every utterance is a count of bytes that are no silence, so that padding can be told from it."""

    @initialize(
        lead_ms=st.sampled_from([20, 40, 60, 200, 210]),
        message_ms=st.sampled_from([20, 40, 100, 200]),
        tail_ms=st.sampled_from([0, 0, 20, 300]),
        marks=st.booleans(),
        clear=st.booleans(),
    )
    def draw_up(self, lead_ms: int, message_ms: int, tail_ms: int, marks: bool, clear: bool) -> None:
        self.playout = Playout(
            MULAW_8K, lead_ms=lead_ms, message_ms=message_ms, tail_ms=tail_ms, marks=marks, clear=clear
        )
        self.message_ms, self.tail_ms = message_ms, -(-tail_ms // message_ms) * message_ms
        self.marks, self.can_clear = marks, clear
        self.carrier, self.now_s = Buffer(), 1000.0
        self.codes = count()
        self.written, self.sent = bytearray(), bytearray()
        self.generation, self.finished, self.suspended, self.paused = 0, False, False, False
        self.sent_before = 0
        self.heard_ms = 0.0

    # -- time ----------------------------------------------------------------------------------------------

    @rule(ms=st.one_of(st.sampled_from([0.0, 19.0, 20.0]), st.floats(0, 60), st.floats(0, 1500)))
    def wait(self, ms: float) -> None:
        """Nobody asks for so long: the process has stalled."""
        self.now_s += ms / 1000

    @rule(ms=st.floats(0, 40), times=st.integers(1, 30))
    def run(self, ms: float, times: int) -> None:
        for _ in range(times):
            self.now_s += ms / 1000
            self._send()

    def _send(self) -> None:
        for item in self.playout.due(self.now_s):
            assert not self.suspended
            assert not self.paused
            if isinstance(item, Mark):
                assert self.marks
                self.carrier.mark(item.name, self.now_s)
            else:
                assert len(item) == self.message_ms * BYTES_PER_MS
                self.carrier.take(self.message_ms, self.now_s)
                self.sent += item
        allowed_ms = self.playout.lead_ms + self.message_ms - PACKET_MS + self.tail_ms
        assert self.carrier.buffered_ms(self.now_s) <= allowed_ms + HAIR_MS

    # -- an utterance --------------------------------------------------------------------------------------

    @rule(size=st.integers(160, 12000))
    def say(self, size: int) -> None:
        if self.playout.active:
            self.interrupt()
        self._begin()
        self.write(size)
        self._send()

    def _begin(self) -> None:
        self.generation = self.playout.begin()
        self.carrier.begin()
        self.written.clear()
        self.sent_before += len(self.sent)
        self.sent.clear()
        self.finished, self.paused, self.heard_ms = False, False, 0.0

    @rule(size=st.one_of(st.integers(0, 700), st.integers(0, 16000)))
    def write(self, size: int) -> None:
        audio = bytes(next(self.codes) % 255 for _ in range(size))
        taken = self.playout.write(self.generation, audio)
        assert taken == (self.playout.active and not self.finished)
        if taken:
            self.written += audio

    @precondition(lambda self: self.playout.active and not self.finished)
    @rule(ms=st.floats(0, 900))
    def take_back(self, ms: float) -> None:
        taken = round(self.playout.take_back(self.generation, ms) * BYTES_PER_MS)
        del self.written[len(self.written) - taken :]

    @precondition(lambda self: self.playout.active)
    @rule()
    def finish(self) -> None:
        self.playout.finish(self.generation)
        self.finished = True

    @precondition(lambda self: self.playout.active)
    @rule()
    def interrupt(self) -> None:
        heard_ms = self.playout.clear(self.now_s)
        if self.can_clear:
            assert heard_ms <= self.carrier.played_ms(self.now_s) + HAIR_MS
            self.carrier.clear(self.now_s)
            self.paused = False
        else:
            assert heard_ms == min(len(self.sent) / BYTES_PER_MS, self.playout.written_ms)
        assert not self.playout.active

    @precondition(lambda self: self.playout.active and self.playout.done(self.now_s))
    @rule()
    def end(self) -> None:
        assert self.finished
        assert bytes(self.sent).replace(SILENCE, b"") == self.written, "all of it was sent"
        if not self.marks:
            assert self.carrier.buffered_ms(self.now_s) <= HAIR_MS, "and played"
        self.playout.close()

    # -- paused --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.playout.active and not self.paused)
    @rule()
    def pause(self) -> None:
        heard_ms, queued_ms = self.playout.heard_ms(self.now_s), self.playout.queued_ms
        self.paused = self.playout.pause(self.now_s)
        assert self.paused == self.can_clear
        if self.paused:
            self.carrier.clear(self.now_s)
            self._take_back_sent(heard_ms, self.playout.queued_ms - queued_ms)

    def _take_back_sent(self, heard_ms: float, taken_ms: int) -> None:
        self.resumes_ms = self._sent_of_it_ms() - taken_ms
        assert self.resumes_ms > heard_ms - self.message_ms, "no more is heard twice than one message"
        assert self.resumes_ms <= heard_ms + HAIR_MS or taken_ms >= 1000, "nothing is left out"
        sent_bytes = self.resumes_ms * BYTES_PER_MS
        self.sent_before += len(self.sent) - sent_bytes
        del self.sent[sent_bytes:]

    def _sent_of_it_ms(self) -> int:
        """Without the tail."""
        sent_ms = len(self.sent) // BYTES_PER_MS
        whole_ms = -(-self.playout.written_ms // self.message_ms) * self.message_ms
        return min(sent_ms, round(whole_ms)) if self.finished else sent_ms

    @precondition(lambda self: self.paused)
    @rule()
    def go_on(self) -> None:
        self.playout.go_on(self.now_s)
        self.carrier.go_back(self.resumes_ms, self.now_s)
        self.paused = False
        self.heard_is_what_was_played()
        self._send()

    @precondition(lambda self: self.playout.active and self.can_clear and not self.paused)
    @rule(after_ms=st.floats(0, 60), for_ms=st.floats(0, 1000))
    def doubt(self, after_ms: float, for_ms: float) -> None:
        """Somebody coughs."""
        self.run(after_ms, 1)
        self.pause()
        self.wait(for_ms)
        self.go_on()

    # -- what holds it up ----------------------------------------------------------------------------------

    @rule(ms=st.floats(0, 900))
    def hold(self, ms: float) -> None:
        self.playout.hold(self.now_s)
        self._send()
        self.now_s += ms / 1000
        self._send()

    @rule()
    def release(self) -> None:
        self.playout.release()

    @precondition(lambda self: not self.suspended)
    @rule(for_s=st.sampled_from([0.0, 0.1, 3.0]))
    def stop_flow(self, for_s: float) -> None:
        self.playout.stop_flow(self.now_s, for_s)

    @precondition(lambda self: not self.suspended)
    @rule()
    def resume_flow(self) -> None:
        self.playout.resume_flow()

    @rule()
    def lose_line(self) -> None:
        self.playout.suspend()
        self.suspended = True

    @precondition(lambda self: self.suspended)
    @rule()
    def find_line(self) -> None:
        self.carrier.lose(self.now_s)
        self.playout.resume(self.now_s)
        self.suspended = False

    @precondition(lambda self: not self.suspended)
    @rule()
    def answer_marks(self) -> None:
        for name in self.carrier.answered(self.now_s):
            self.playout.mark_played(name, self.now_s)
            if self.playout.active:
                self.heard_ms = 0.0  # a late answer tells that the guess was ahead

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def every_byte_is_sent_once_and_in_order(self) -> None:
        told = bytes(self.sent).replace(SILENCE, b"")
        assert self.written.startswith(told)

    @invariant()
    def packets_are_counted(self) -> None:
        sent_ms = (self.sent_before + len(self.sent)) // BYTES_PER_MS
        assert self.playout.stats.packets == sent_ms // PACKET_MS

    @precondition(lambda self: self.playout.active)
    @invariant()
    def heard_is_what_was_played(self) -> None:
        heard_ms = self.playout.heard_ms(self.now_s)
        played_ms = min(self.carrier.played_ms(self.now_s), self.playout.written_ms)
        assert heard_ms <= played_ms + HAIR_MS
        if not self.paused:
            sent_ms = max(len(self.sent) / BYTES_PER_MS, self.carrier.before_ms)
            assert heard_ms <= sent_ms + HAIR_MS
            assert heard_ms >= self.heard_ms - HAIR_MS, "what was heard stays heard"
        if not self.marks:
            assert abs(heard_ms - played_ms) <= HAIR_MS
        self.heard_ms = heard_ms


def test_whatever_is_asked_when_the_carrier_has_played_what_we_say_was_heard() -> None:
    run_state_machine_as_test(PlayoutMachine, settings=settings(stateful_step_count=50))
