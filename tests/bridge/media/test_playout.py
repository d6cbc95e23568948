"""Playout, told the time: what leaves when, what was heard, what is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.marks import Mark
from bridge.media.playout import (
    BREAKING_OFF_MS,
    FLOW_LIMIT_S,
    HOLD_LIMIT_MS,
    MARK_GRACE_MS,
    PACKET_MS,
    Outgoing,
    Playout,
)
from bridge.observe.stats import PlayoutStats
from telephony_codecs.formats import MULAW_8K

START_S = 1000.0


def at(ms: float) -> float:
    """`ms` after the first packet, on the clock."""
    return START_S + ms / 1000


def audio(ms: float, sample: bytes = b"\x10") -> bytes:
    return sample * int(ms * 8)


def packets(out: list[Outgoing]) -> list[bytes]:
    return [item for item in out if isinstance(item, bytes)]


def marks(out: list[Outgoing]) -> list[str]:
    return [item.name for item in out if isinstance(item, Mark)]


def playing(
    ms: float, *, lead_ms: int = 200, marks: bool = True, finished: bool = True
) -> tuple[Playout, int]:
    playout = Playout(MULAW_8K, lead_ms=lead_ms, marks=marks)
    generation = playout.begin()
    playout.write(generation, audio(ms))
    if finished:
        playout.finish(generation)
    return playout, generation


def run(
    playout: Playout, until_ms: float, *, from_ms: float = 0, step_ms: float = PACKET_MS
) -> list[Outgoing]:
    out: list[Outgoing] = []
    ms = from_ms
    while ms <= until_ms:
        out += playout.due(at(ms))
        ms += step_ms
    return out


def faults(playout: Playout) -> PlayoutStats:
    """What was counted, but for the packets themselves."""
    return replace(playout.stats, packets=0)


class TestSchedule:
    def test_the_lead_leaves_at_once_and_then_a_packet_every_20_ms(self) -> None:
        playout, _ = playing(1000)
        assert len(playout.due(at(0))) == 10
        assert [len(playout.due(at(ms))) for ms in (19, 20, 39, 40, 60)] == [0, 1, 0, 1, 1]

    @pytest.mark.parametrize("lead_ms, first", [(20, 1), (40, 2), (200, 10), (210, 10)])
    def test_the_lead_is_counted_in_whole_packets(self, lead_ms: int, first: int) -> None:
        playout, _ = playing(1000, lead_ms=lead_ms)
        assert len(playout.due(at(0))) == first

    def test_the_packets_that_have_left_are_counted_whatever_the_size_of_a_message(self) -> None:
        playout = Playout(MULAW_8K, message_ms=100, tail_ms=200)
        generation = playout.begin()
        playout.write(generation, audio(250))
        playout.finish(generation)
        run(playout, 1000)
        assert playout.stats.packets == 15 + 10, "padding and tail too"

    def test_a_late_tick_catches_up_within_the_lead(self) -> None:
        playout, _ = playing(1000)
        playout.due(at(0))
        assert len(playout.due(at(150))) == 7
        assert faults(playout) == PlayoutStats()

    def test_lateness_is_told_against_the_timeline(self) -> None:
        playout, _ = playing(1000)
        playout.due(at(0))
        playout.due(at(25))
        assert playout.late_ms == pytest.approx(5)

    def test_a_slip_beyond_the_lead_moves_the_timeline_and_is_counted(self) -> None:
        playout, _ = playing(2000)
        playout.due(at(0))
        assert len(playout.due(at(500))) == 10, (
            "the carrier ran dry: the lead is filled anew, not 500 ms of it"
        )
        assert playout.stats.slips == 1
        assert playout.stats.underruns == 0

    def test_late_synthesis_is_an_underrun_not_a_slip(self) -> None:
        playout, generation = playing(100, finished=False)
        run(playout, 300)
        playout.write(generation, audio(400))
        assert len(packets(playout.due(at(350)))) == 10
        assert (playout.stats.underruns, playout.stats.slips) == (1, 0)
        assert playout.stats.underrun_ms == pytest.approx(250)

    def test_silence_between_chunks_within_the_lead_is_no_underrun(self) -> None:
        playout, generation = playing(100, finished=False)
        run(playout, 80)
        playout.write(generation, audio(400))
        run(playout, 200, from_ms=90)
        assert faults(playout) == PlayoutStats()

    @given(st.lists(st.integers(1, 60), min_size=1, max_size=200))
    def test_no_tick_pattern_within_the_lead_loses_or_reorders_a_packet(self, steps_ms: list[int]) -> None:
        total = sum(steps_ms)
        playout = Playout(MULAW_8K)
        generation = playout.begin()
        whole = b"".join(i.to_bytes(2, "big") * 80 for i in range(total // PACKET_MS + 60))
        playout.write(generation, whole)
        sent = playout.due(at(0))
        now_ms = 0
        for step_ms in steps_ms:
            now_ms += step_ms
            sent += playout.due(at(now_ms))
            assert playout.buffered_ms(at(now_ms)) > 200 - PACKET_MS - 1e-3
            assert playout.buffered_ms(at(now_ms)) <= 200 + 1e-3
        got = b"".join(packets(sent))
        assert whole.startswith(got)
        assert faults(playout) == PlayoutStats()


class TestFrames:
    @given(st.lists(st.binary(min_size=0, max_size=700), max_size=12))
    def test_every_packet_is_160_bytes_and_no_byte_is_lost(self, chunks: list[bytes]) -> None:
        playout = Playout(MULAW_8K)
        generation = playout.begin()
        for chunk in chunks:
            playout.write(generation, chunk)
        playout.finish(generation)
        sent = packets(run(playout, 2000))
        whole = b"".join(chunks)
        assert all(len(packet) == 160 for packet in sent)
        assert b"".join(sent)[: len(whole)] == whole
        assert set(b"".join(sent)[len(whole) :]) <= {0xFF}, "the tail is mu-law silence"

    def test_the_same_bytes_pass_through_untouched(self) -> None:
        playout = Playout(MULAW_8K)
        generation = playout.begin()
        every_code = bytes(range(256)) * 5
        playout.write(generation, every_code)
        assert b"".join(packets(playout.due(at(0)))) == every_code


class TestMarks:
    def test_one_every_second_and_one_at_the_end(self) -> None:
        playout, generation = playing(2500)
        assert marks(run(playout, 3000)) == [f"{generation}.1000", f"{generation}.2000", f"{generation}.2500"]

    def test_an_utterance_of_whole_seconds_is_not_marked_twice_at_its_end(self) -> None:
        playout, generation = playing(2000)
        assert marks(run(playout, 3000)) == [f"{generation}.1000", f"{generation}.2000"]

    def test_the_last_mark_follows_the_last_packet_even_if_finish_comes_late(self) -> None:
        playout, generation = playing(100, finished=False)
        assert marks(run(playout, 40)) == []
        playout.finish(generation)
        assert marks(playout.due(at(60))) == [f"{generation}.100"]

    def test_a_carrier_without_marks_gets_none(self) -> None:
        playout, _ = playing(1500, marks=False)
        assert marks(run(playout, 2000)) == []
        assert not playout.done(at(1490))
        assert playout.done(at(1500))


class TestHeard:
    def test_nothing_before_the_first_packet(self) -> None:
        playout, _ = playing(1000)
        assert playout.heard_ms(at(500)) == 0

    def test_by_the_clock_until_a_mark_comes(self) -> None:
        playout, _ = playing(5000)
        run(playout, 700)
        assert playout.heard_ms(at(700)) == pytest.approx(700)

    def test_never_more_than_was_sent(self) -> None:
        playout, _ = playing(5000)
        playout.due(at(0))
        assert playout.heard_ms(at(9000)) == 200

    def test_never_more_than_was_written(self) -> None:
        playout, _ = playing(210)
        run(playout, 400)
        assert playout.heard_ms(at(400)) == 210, "the padding of the tail is not speech"

    def test_a_mark_is_truth_and_the_clock_goes_on_from_it(self) -> None:
        playout, generation = playing(5000)
        run(playout, 1300)
        playout.mark_played(f"{generation}.1000", at(1150))
        assert playout.heard_ms(at(1300)) == pytest.approx(1150)

    def test_a_mark_still_out_says_its_place_has_not_been_reached(self) -> None:
        playout, generation = playing(5000)
        run(playout, 2900)
        playout.mark_played(f"{generation}.1000", at(1000))
        assert playout.heard_ms(at(2900)) == 2000

    def test_after_an_underrun_the_gap_is_not_counted_as_heard(self) -> None:
        playout, generation = playing(200, finished=False)
        run(playout, 1000)
        playout.write(generation, audio(1000))
        run(playout, 1300, from_ms=1000)
        assert playout.heard_ms(at(1300)) == pytest.approx(500)

    def test_clear_tells_what_was_heard_and_the_rest_is_gone(self) -> None:
        playout, generation = playing(5000)
        run(playout, 400)
        assert playout.clear(at(410)) == pytest.approx(410)
        assert playout.due(at(420)) == []
        assert playout.queued_ms == 0
        assert not playout.active
        assert playout.generation != generation


class TestGenerations:
    def test_audio_of_a_cleared_generation_cannot_be_queued(self) -> None:
        playout, old = playing(1000, finished=False)
        run(playout, 100)
        playout.clear(at(100))
        assert playout.write(old, audio(100)) is False
        new = playout.begin()
        assert playout.write(old, audio(100, b"\x22")) is False
        playout.write(new, audio(100, b"\x33"))
        assert set(b"".join(packets(playout.due(at(200))))) == {0x33}
        assert playout.stats.stale_writes == 2

    def test_finish_of_an_old_generation_does_nothing(self) -> None:
        playout, old = playing(1000, finished=False)
        playout.clear(at(0))
        new = playout.begin()
        playout.finish(old)
        assert playout.write(new, audio(20))

    def test_marks_that_a_clear_threw_back_are_stale(self) -> None:
        playout, old = playing(3000)
        run(playout, 1500)
        playout.clear(at(1500))
        playout.mark_played(f"{old}.1000", at(1510))
        playout.begin()
        playout.mark_played(f"{old}.1000", at(1520))
        assert playout.stats.stale_marks == 2
        assert playout.heard_ms(at(1520)) == 0

    @pytest.mark.parametrize("name", ["", "hello", "999.20", "-1.5", "٣.20", "1.20.3x"])
    def test_marks_we_never_sent_are_counted_and_do_nothing(self, name: str) -> None:
        playout, _ = playing(1000)
        playout.due(at(0))
        playout.mark_played(name, at(10))
        assert playout.stats.unknown_marks + playout.stats.stale_marks == 1
        assert playout.heard_ms(at(10)) == pytest.approx(10)

    def test_two_utterances_at_once_are_refused(self) -> None:
        playout, _ = playing(100)
        with pytest.raises(RuntimeError, match="still on"):
            playout.begin()


class TestDone:
    def test_when_the_last_mark_comes(self) -> None:
        playout, generation = playing(500)
        run(playout, 520)
        assert not playout.done(at(520))
        playout.mark_played(f"{generation}.500", at(530))
        assert playout.done(at(530))

    def test_without_the_last_mark_the_clock_decides_after_a_grace(self) -> None:
        playout, _ = playing(500)
        run(playout, 520)
        assert not playout.done(at(500 + MARK_GRACE_MS - 1))
        assert playout.done(at(500 + MARK_GRACE_MS + 1))
        assert playout.stats.missing_marks == 1

    def test_an_utterance_without_audio_is_done_once_finished(self) -> None:
        playout = Playout(MULAW_8K)
        generation = playout.begin()
        assert not playout.done(at(0))
        playout.finish(generation)
        playout.due(at(0))
        assert playout.done(at(0))


class TestHold:
    def test_held_packets_wait_and_a_short_hold_is_not_heard(self) -> None:
        playout, _ = playing(2000)
        playout.due(at(0))
        playout.hold(at(0))
        assert run(playout, 100) == []
        playout.release()
        assert len(playout.due(at(110))) == 5
        assert faults(playout) == PlayoutStats()

    def test_a_hold_that_outlasts_the_lead_moves_the_timeline_but_is_nobodys_fault(self) -> None:
        playout, _ = playing(2000)
        playout.due(at(0))
        playout.hold(at(0))
        playout.hold(at(150))
        run(playout, 600)
        playout.release()
        assert len(playout.due(at(600))) == 10
        assert faults(playout) == PlayoutStats()
        assert playout.heard_ms(at(700)) == pytest.approx(300)

    def test_a_hold_that_nobody_ends_ends_by_itself(self) -> None:
        playout, _ = playing(2000)
        playout.due(at(0))
        playout.hold(at(0))
        assert run(playout, HOLD_LIMIT_MS - 1) == []
        assert len(playout.due(at(HOLD_LIMIT_MS))) == 10


class TestTakingBack:
    @given(st.lists(st.integers(1, 700), min_size=1, max_size=8), st.floats(0, 900), st.integers(0, 30))
    def test_what_is_taken_back_is_the_newest_that_is_here_and_nothing_else(
        self, sizes: list[int], ms: float, ticks: int
    ) -> None:
        playout = Playout(MULAW_8K, lead_ms=40)
        generation = playout.begin()
        whole = b"".join(bytes([0x10 + number]) * size for number, size in enumerate(sizes))
        at_byte = 0
        for size in sizes:
            playout.write(generation, whole[at_byte : at_byte + size])
            at_byte += size
        sent = b"".join(packets(run(playout, ticks * PACKET_MS)))
        taken_ms = playout.take_back(generation, ms)
        taken = round(taken_ms * 8)
        assert taken == min(int(ms * 8 + 1e-6), len(whole) - len(sent))
        assert playout.written_ms == pytest.approx((len(whole) - taken) / 8)
        playout.write(generation, b"\x70" * 100)
        playout.finish(generation)
        rest = b"".join(packets(run(playout, 5000, from_ms=ticks * PACKET_MS)))
        assert (sent + rest).rstrip(b"\xff") == whole[: len(whole) - taken] + b"\x70" * 100

    def test_of_an_utterance_that_is_over_or_complete_nothing_is(self) -> None:
        playout, generation = playing(1000)
        assert playout.take_back(generation, 100) == 0, "its tail is padded, and its end marked"
        playout.clear(at(0))
        assert playout.take_back(generation, 100) == 0


def grouped(
    message_ms: int,
    ms: float = 0,
    *,
    lead_ms: int = 200,
    tail_ms: int = 0,
    marks: bool = True,
    clear: bool = True,
) -> tuple[Playout, int]:
    """A playout for a carrier that wants messages of a size, with `ms` of an unfinished utterance in it."""
    playout = Playout(
        MULAW_8K, lead_ms=lead_ms, message_ms=message_ms, tail_ms=tail_ms, marks=marks, clear=clear
    )
    generation = playout.begin()
    playout.write(generation, audio(ms))
    return playout, generation


class TestMessages:
    @pytest.mark.parametrize("message_ms", [20, 40, 60, 100, 200])
    @pytest.mark.parametrize("lead_ms", [20, 100, 200])
    def test_whole_messages_leave_and_the_carrier_never_has_less_than_with_small_ones(
        self, message_ms: int, lead_ms: int
    ) -> None:
        playout, _ = grouped(message_ms, 6000, lead_ms=lead_ms)
        for ms in range(0, 4000, PACKET_MS):
            sent = packets(playout.due(at(ms)))
            assert {len(message) for message in sent} <= {message_ms * 8}
            assert playout.buffered_ms(at(ms)) > lead_ms - PACKET_MS - 1e-3
            assert playout.buffered_ms(at(ms)) <= lead_ms + message_ms - PACKET_MS + 1e-3
        assert faults(playout) == PlayoutStats()

    @pytest.mark.parametrize("lead_ms", [0, 19])
    def test_a_packet_at_least_is_ahead(self, lead_ms: int) -> None:
        with pytest.raises(ValueError, match="lead_ms must be 20 or more"):
            Playout(MULAW_8K, lead_ms=lead_ms)

    @pytest.mark.parametrize("message_ms", [0, 10, 30, -20])
    def test_messages_are_made_of_frames(self, message_ms: int) -> None:
        with pytest.raises(ValueError, match="multiple of 20"):
            Playout(MULAW_8K, message_ms=message_ms)

    @given(st.sampled_from([40, 100, 200]), st.lists(st.binary(max_size=3000), max_size=8))
    def test_the_end_is_padded_to_a_whole_message_and_no_byte_is_lost(
        self, message_ms: int, chunks: list[bytes]
    ) -> None:
        playout, generation = grouped(message_ms)
        for chunk in chunks:
            playout.write(generation, chunk)
        playout.finish(generation)
        sent = b"".join(packets(run(playout, 5000)))
        whole = b"".join(chunks)
        assert len(sent) == -(-len(whole) // (message_ms * 8)) * message_ms * 8
        assert sent[: len(whole)] == whole
        assert set(sent[len(whole) :]) <= {0xFF}

    @pytest.mark.parametrize("message_ms, positions", [(60, [1020, 2040, 2520]), (200, [1000, 2000, 2600])])
    def test_marks_stand_between_messages_about_every_second(
        self, message_ms: int, positions: list[int]
    ) -> None:
        playout, generation = grouped(message_ms, 2500)
        playout.finish(generation)
        assert marks(run(playout, 4000)) == [f"{generation}.{position}" for position in positions]

    def test_a_word_whose_message_is_not_full_in_time_is_heard_to_its_end(self) -> None:
        playout, generation = grouped(200, 430)
        sent = run(playout, 400 - BREAKING_OFF_MS - 1)
        assert len(packets(sent)) == 2, "there is time yet"
        (message,) = packets(playout.due(at(400 - BREAKING_OFF_MS)))
        assert message == audio(30) + b"\xff" * 170 * 8
        assert playout.written_ms == 600, "the silence is part of it now"
        assert faults(playout) == PlayoutStats(padded_messages=1)
        playout.write(generation, audio(200, b"\x22"))
        (message,) = packets(run(playout, 600, from_ms=380))
        assert message == audio(200, b"\x22")
        assert faults(playout) == PlayoutStats(padded_messages=1)

    def test_what_has_not_begun_does_not_break_off(self) -> None:
        playout, _ = grouped(200, 130)
        assert run(playout, 5000) == []

    def test_the_tail_follows_the_last_mark_at_once_and_is_no_speech(self) -> None:
        playout, generation = grouped(20, 100, tail_ms=80)
        playout.finish(generation)
        out = playout.due(at(0))
        assert [isinstance(item, Mark) for item in out] == [False] * 5 + [True] + [False] * 4
        assert b"".join(packets(out)[5:]) == b"\xff" * 80 * 8
        assert playout.heard_ms(at(5000)) == 100
        playout.mark_played(f"{generation}.100", at(100))
        assert playout.done(at(100))

    def test_what_comes_next_begins_behind_the_tail(self) -> None:
        playout, generation = grouped(20, 100, tail_ms=400, lead_ms=200)
        playout.finish(generation)
        playout.due(at(0))
        playout.mark_played(f"{generation}.100", at(100))
        playout.close()
        playout.write(playout.begin(), audio(1000))
        assert len(packets(playout.due(at(100)))) == 0, "400 ms are in the carrier's buffer already"
        assert len(packets(run(playout, 400, from_ms=120))) == 5
        assert playout.heard_ms(at(550)) == pytest.approx(50)

    def test_an_utterance_without_sound_has_no_tail(self) -> None:
        playout, generation = grouped(20, tail_ms=80)
        playout.finish(generation)
        assert playout.due(at(0)) == []


class TestWithoutClear:
    def test_what_was_held_up_before_its_first_message_is_not_made_up_for(self) -> None:
        playout = Playout(MULAW_8K, marks=False, clear=False)
        playout.write(playout.begin(), audio(1000))
        playout.due(at(0))
        playout.clear(at(0))
        playout.write(playout.begin(), audio(4000))
        assert playout.due(at(0)) == [], "the carrier is still busy with what was interrupted"
        playout.stop_flow(at(0), 2.0)
        assert len(playout.due(at(2000))) == 10, "the lead, not the two seconds besides"
        assert playout.heard_ms(at(2100)) == pytest.approx(100)

    def test_what_was_sent_will_be_heard(self) -> None:
        playout, _ = grouped(20, 5000, marks=False, clear=False)
        run(playout, 400)
        assert playout.heard_ms(at(400)) == pytest.approx(400)
        assert playout.clear(at(400)) == 600

    def test_but_never_more_than_was_written(self) -> None:
        playout, generation = grouped(100, 130, marks=False, clear=False)
        playout.finish(generation)
        run(playout, 40)
        assert playout.clear(at(40)) == 130

    def test_the_next_utterance_begins_where_the_carrier_has_played_the_last(self) -> None:
        playout, _ = grouped(20, 5000, marks=False, clear=False)
        run(playout, 400)
        playout.clear(at(400))
        playout.write(playout.begin(), audio(1000))
        assert packets(playout.due(at(400))) == []
        assert len(packets(playout.due(at(440)))) == 2
        assert playout.heard_ms(at(600)) == 0
        run(playout, 700, from_ms=460)
        assert playout.heard_ms(at(700)) == pytest.approx(100)
        assert faults(playout) == PlayoutStats()

    def test_after_a_clear_the_next_begins_at_once(self) -> None:
        playout, _ = grouped(20, 5000)
        run(playout, 400)
        playout.clear(at(400))
        playout.write(playout.begin(), audio(1000))
        assert len(packets(playout.due(at(400)))) == 10


class TestFlow:
    def test_nothing_is_sent_until_the_carrier_says_so(self) -> None:
        playout, _ = playing(5000)
        run(playout, 100)
        playout.stop_flow(at(100))
        assert run(playout, 900, from_ms=120) == []
        playout.resume_flow()
        assert len(packets(playout.due(at(900)))) == 10, "its buffer is filled anew"
        assert faults(playout) == PlayoutStats(flow_stops=1), "and nobody is to blame"

    def test_or_until_the_time_is_over_that_it_named(self) -> None:
        playout, _ = playing(5000)
        playout.due(at(0))
        playout.stop_flow(at(0), 0.1)
        assert run(playout, 99) == []
        assert len(playout.due(at(100))) == 5

    @pytest.mark.parametrize("for_s", [0.0, 3600.0])
    def test_a_carrier_that_forgets_to_say_so_is_not_waited_for_for_ever(self, for_s: float) -> None:
        playout, _ = playing(5000)
        playout.due(at(0))
        playout.stop_flow(at(0), for_s)
        assert playout.due(at(FLOW_LIMIT_S * 1000 - 1)) == []
        assert len(playout.due(at(FLOW_LIMIT_S * 1000))) == 10

    def test_it_holds_for_the_next_utterance_too(self) -> None:
        playout, _ = playing(5000)
        playout.due(at(0))
        playout.stop_flow(at(0))
        playout.clear(at(10))
        playout.write(playout.begin(), audio(100))
        assert playout.due(at(20)) == []
        playout.resume_flow()
        assert len(packets(playout.due(at(40)))) == 5


class TestAnotherLine:
    def test_nothing_is_sent_meanwhile_nothing_twice_and_nobody_is_to_blame(self) -> None:
        playout, generation = playing(2000)
        first = run(playout, 300)
        playout.suspend()
        assert run(playout, 5000, from_ms=320) == []
        assert playout.heard_ms(at(5000)) == 500, "all that went into the lost line"
        playout.resume(at(5000))
        rest = run(playout, 8000, from_ms=5000)
        assert b"".join(packets([*first, *rest])) == audio(2000)
        assert faults(playout) == PlayoutStats()
        assert playout.heard_ms(at(5000)) == 500
        playout.mark_played(f"{generation}.1000", at(5510))
        assert playout.heard_ms(at(5600)) == pytest.approx(1090)

    def test_marks_that_went_into_the_lost_line_are_not_waited_for(self) -> None:
        playout, _ = playing(100)
        run(playout, 40)
        playout.suspend()
        assert not playout.done(at(60))
        playout.resume(at(80))
        assert playout.done(at(80))
        assert playout.heard_ms(at(80)) == 100

    def test_a_line_may_change_while_nobody_speaks(self) -> None:
        playout = Playout(MULAW_8K)
        playout.suspend()
        playout.resume(at(1000))
        playout.write(playout.begin(), audio(100))
        assert len(packets(playout.due(at(1000)))) == 5


def test_what_was_sent_before_a_pause_cannot_be_taken_back() -> None:
    playout, generation = playing(600, finished=False)
    run(playout, 40)
    sent_ms = playout.written_ms - playout.queued_ms
    assert playout.pause(at(50))
    assert playout.queued_ms > 600 - sent_ms, "some of it is to be sent again"
    assert playout.take_back(generation, 1000) == pytest.approx(600 - sent_ms)
    assert playout.take_back(generation, 1000) == 0


def test_a_tail_behind_a_buffer_that_ran_dry_is_played_from_then_on() -> None:
    playout = Playout(MULAW_8K, lead_ms=20, tail_ms=300, marks=False, clear=False)
    generation = playout.begin()
    playout.write(generation, bytes(MULAW_8K.bytes_in(100)))
    for now_ms in range(0, 300, 10):
        playout.due(at(now_ms))
    playout.finish(generation)
    assert len(playout.due(at(300))) == 300 // 20
    assert playout.stats.underruns == 0, "nobody missed anything"
    assert playout.buffered_ms(at(300)) == pytest.approx(300)
    assert not playout.done(at(590))
    assert playout.done(at(601))
