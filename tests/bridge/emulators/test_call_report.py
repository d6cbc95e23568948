"""What a report tells, and the two voices of the recording."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.recording import (
    BridgeStarted,
    CallerStarted,
    CallRecording,
    ClearReceived,
    DigitPressed,
    Entry,
    Faulted,
    MarkEchoed,
    Underrun,
    WebhookAnswered,
)
from bridge.emulators.twiml import Verb
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.wav import read_wav


def clear(at_ms: float) -> ClearReceived:
    return ClearReceived(at_ms=at_ms, dropped_ms=0)


def talk(at_ms: float) -> CallerStarted:
    return CallerStarted(at_ms=at_ms, utterance=0)


def report(*entries: Entry, **fields: object) -> CallReport:
    made = CallReport("CA1", **fields)  # type: ignore[arg-type]
    made.recording.entries += entries
    return made


@pytest.mark.parametrize(
    ("entries", "onset_to_clear"),
    [
        ([], []),
        ([clear(10)], []),
        ([talk(100)], [None]),
        ([clear(50), talk(100)], [None]),
        ([talk(100), clear(220), clear(300)], [120]),
        ([talk(100), clear(220), talk(400), clear(500)], [120, 100]),
        ([talk(100), talk(400), clear(500)], [None, 100]),
    ],
)
def test_a_clear_belongs_to_the_speech_before_it(
    entries: list[Entry], onset_to_clear: list[float | None]
) -> None:
    assert report(*entries).onset_to_clear_ms == onset_to_clear


def test_a_clear_belongs_to_the_key_before_it() -> None:
    assert report(DigitPressed(at_ms=10, digit="1"), clear(12)).digit_to_clear_ms == [2]


@pytest.mark.parametrize(
    ("outcome", "close_code", "ok"),
    [
        (Outcome.HUNG_UP, 1000, True),
        (Outcome.BRIDGE_CLOSED, 1000, True),
        (Outcome.BRIDGE_CLOSED, 1001, True),
        (Outcome.BRIDGE_CLOSED, 1005, True),
        (Outcome.BRIDGE_CLOSED, 1006, False),
        (Outcome.BRIDGE_CLOSED, 1008, False),
        (Outcome.BRIDGE_CLOSED, 1011, False),
        (Outcome.NO_STREAM, None, False),
        (Outcome.WEBHOOK_REFUSED, None, False),
        (Outcome.STREAM_REFUSED, None, False),
        (Outcome.UNREACHABLE, None, False),
    ],
)
def test_whether_the_call_went_as_it_should(outcome: Outcome, close_code: int | None, ok: bool) -> None:
    assert report(outcome=outcome, close_code=close_code).ok is ok


def test_a_call_that_never_came_about_has_no_figures() -> None:
    made = report(outcome=Outcome.UNREACHABLE, detail="nobody there")
    assert (made.first_media_ms, made.first_heard_ms, made.webhook_ms) == (None, None, None)
    assert made.summary() == [("outcome", "unreachable: nobody there"), ("call", "CA1")]


def test_the_summary_tells_a_person_all_of_it() -> None:
    made = report(
        WebhookAnswered(at_ms=5, purpose="answer", status=200, took_ms=4.6),
        BridgeStarted(at_ms=150.4),
        Underrun(at_ms=300, gap_ms=40),
        talk(1000),
        clear(1120),
        talk(2000),
        MarkEchoed(at_ms=2100, name="m"),
        Faulted(at_ms=2200, code=31951, detail="no such event"),
        outcome=Outcome.BRIDGE_CLOSED,
        detail="with 1000",
        stream_sid="MZ1",
        verbs=(Verb("Say", text="bye"), Verb("Hangup")),
        late_ms=3.2,
    )
    made.recording.arrive(150, bytes(320))
    assert made.summary() == [
        ("outcome", "bridge closed: with 1000"),
        ("call", "CA1"),
        ("webhook answered after", "5 ms"),
        ("bridge first heard at", "150 ms"),
        ("speech onset to clear", "120 ms, -"),
        ("audio from the bridge", "40 ms, in 1 packets"),
        ("underruns", "1, 40 ms of silence"),
        ("marks echoed", "1"),
        ("simulation late by at most", "3 ms"),
        ("fault", "31951: no such event"),
        ("then", "<Say>bye <Hangup>"),
    ]
    assert made.first_media_ms == 150


def test_entries_serialise_under_their_names() -> None:
    entry = MarkEchoed(at_ms=1.5, name="m")
    encoded = msgspec.json.encode(entry)
    assert encoded == b'{"kind":"mark_echoed","name":"m","cleared":false,"at_ms":1.5}'
    assert msgspec.json.decode(encoded, type=Entry) == entry


def test_the_stereo_file_has_the_axis_of_the_entries(tmp_path: Path) -> None:
    recording = CallRecording()
    recording.began_ms = 30
    recording.said += b"\x20" * 160
    recording.heard += b"\x30" * 320
    wav = read_wav(recording.write_stereo(tmp_path / "new" / "call.wav"))
    assert (wav.format, wav.channels, wav.duration_ms) == (PCM16_8K, 2, 70)
    lead_in = PCM16_8K.silence(30)
    assert wav.channel(0) == lead_in + mulaw_decode(b"\x20" * 160 + MULAW_8K.silence(20))
    assert wav.channel(1) == lead_in + mulaw_decode(b"\x30" * 320)
