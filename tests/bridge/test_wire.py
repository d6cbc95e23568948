"""Between playout and socket: nothing in the way of mu-law, and a message in is a message out for all else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.dialect import Dialect
from bridge.media.marks import Mark
from bridge.wire import Wire
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_to_mulaw, mulaw_decode, mulaw_encode, mulaw_to_alaw
from telephony_codecs.pcm import level_dbfs
from telephony_codecs.transcoder import Transcoder

WIDE = AudioFormat(Encoding.PCM16, 16000)
EVERY_CODE = bytes(range(256)) * 5


class Plain(Dialect):
    """A protocol without any wrapping."""

    carrier = "plain"

    def __init__(self, inbound: AudioFormat, outbound: AudioFormat) -> None:
        self.inbound_format, self.outbound_format = inbound, outbound

    def audio(self, payload: bytes) -> bytes:
        return payload

    def mark(self, name: str) -> Sequence[bytes]:
        return (b"before", name.encode())


def tone(ms: int) -> bytes:
    return b"".join(bytes([0x10 + n % 8, 0x90 + n % 8]) for n in range(ms * 4))


def test_mu_law_passes_untouched() -> None:
    dialect = Plain(MULAW_8K, MULAW_8K)
    wire = Wire(dialect)
    heard: list[bytes] = []
    assert wire.messages([EVERY_CODE]) == [EVERY_CODE]
    assert wire.listener(heard.append) == heard.append, "nothing is in between"
    assert str(wire) == "caller mulaw 8000 Hz (untouched); bridge mulaw 8000 Hz (untouched)"


def test_a_law_is_one_table_away_in_both_directions() -> None:
    wire = Wire(Plain(ALAW_8K, ALAW_8K))
    heard: list[bytes] = []
    assert wire.messages([EVERY_CODE]) == [mulaw_to_alaw(EVERY_CODE)]
    wire.listener(heard.append)(EVERY_CODE)
    assert heard == [alaw_to_mulaw(EVERY_CODE)]


def test_both_chains_are_told() -> None:
    assert str(Wire(Plain(PCM16_8K, MULAW_8K))) == (
        "caller pcm16 8000 Hz -> mulaw 8000 Hz; bridge mulaw 8000 Hz (untouched)"
    )


def test_marks_and_audio_keep_their_order() -> None:
    wire = Wire(Plain(MULAW_8K, MULAW_8K))
    assert wire.messages([b"one", Mark("1.20"), b"two"]) == [b"one", b"before", b"1.20", b"two"]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 24000, 48000])
@pytest.mark.parametrize("message_ms", [20, 100, 200])
def test_every_message_is_as_long_as_it_was(rate_hz: int, message_ms: int) -> None:
    target = AudioFormat(Encoding.PCM16, rate_hz)
    wire = Wire(Plain(MULAW_8K, target))
    for _ in range(2):
        sent = wire.messages([tone(message_ms)] * 10)
        assert {len(message) for message in sent} == {target.bytes_in(message_ms)}
        wire.begin()


def test_nothing_of_an_utterance_is_heard_in_the_next() -> None:
    wire = Wire(Plain(MULAW_8K, WIDE))
    assert level_dbfs(wire.messages([tone(20)])[0]) > -30
    wire.begin()
    (quiet,) = wire.messages([MULAW_8K.silence(20)])
    assert quiet == WIDE.silence(20)


def test_linear_audio_is_the_decoded_mu_law_itself() -> None:
    assert Wire(Plain(MULAW_8K, PCM16_8K)).messages([EVERY_CODE]) == [mulaw_decode(EVERY_CODE)]


def test_the_caller_is_heard_whatever_the_carrier_sends_and_however_it_is_cut() -> None:
    wire = Wire(Plain(WIDE, MULAW_8K))
    heard: list[bytes] = []
    listen = wire.listener(heard.append)
    audio = b"\x00\x10\x00\xf0" * 1600
    for start in range(0, len(audio), 333):
        listen(audio[start : start + 333])
    assert sum(map(len, heard)) == pytest.approx(len(audio) / 4, abs=8 * 4 + 1), "4 ms are in the filter"


def test_what_cannot_be_converted_is_told_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        Wire(Plain(AudioFormat(Encoding.PCM16, 7999), MULAW_8K))


# -- every format that a carrier may have ------------------------------------------------------------------------

FORMATS = [ALAW_8K, *(AudioFormat(Encoding.PCM16, rate_hz) for rate_hz in (8000, 16000, 24000, 48000))]


def sine_hz(hz: float, ms: float) -> bytes:
    """A tone at half of full scale, in mu-law."""
    return mulaw_encode(
        np.round(np.sin(np.arange(int(ms * 8)) * 2 * np.pi * hz / 8000) * 16000).astype("<i2").tobytes()
    )


@given(
    target=st.sampled_from(FORMATS),
    utterances=st.lists(st.lists(st.sampled_from([20, 40, 100, 200]), min_size=1, max_size=12), max_size=3),
)
def test_n_ms_in_are_n_ms_out_at_once_in_every_utterance(
    target: AudioFormat, utterances: list[list[int]]
) -> None:
    wire = Wire(Plain(MULAW_8K, target))
    told: dict[tuple[int, ...], list[bytes]] = {}
    for sizes in [*utterances, *utterances]:
        wire.begin()
        sent = [wire.messages([tone(ms)])[0] for ms in sizes]
        assert [len(message) for message in sent] == [target.bytes_in(ms) for ms in sizes]
        assert told.setdefault(tuple(sizes), sent) == sent, "an utterance is the same whatever came before it"


@pytest.mark.parametrize("target", FORMATS, ids=str)
def test_a_tone_is_the_same_tone_whole_and_at_its_level(target: AudioFormat) -> None:
    wire, back = (
        Wire(Plain(MULAW_8K, target)),
        Transcoder(target, AudioFormat(Encoding.PCM16, target.rate_hz)),
    )
    whole = sine_hz(1000, 1000)
    sent = b"".join(wire.messages([whole[start : start + 160] for start in range(0, len(whole), 160)]))
    heard = np.frombuffer(back.feed(sent) + back.flush(), "<i2").astype(float)
    assert len(heard) == target.rate_hz, "a second"
    middle = heard[target.rate_hz // 10 : -target.rate_hz // 10] * np.hanning(target.rate_hz * 8 // 10)
    power = np.abs(np.fft.rfft(middle)) ** 2
    hz = np.fft.rfftfreq(len(middle), 1 / target.rate_hz)
    near = np.abs(hz - 1000) < 10
    assert hz[power.argmax()] == pytest.approx(1000, abs=1)
    assert 10 * np.log10(power[near].sum() / power[~near].sum()) > 30, "mu-law itself leaves some 38 dB"
    assert np.abs(heard[target.rate_hz // 10 : -target.rate_hz // 10]).max() == pytest.approx(16000, rel=0.05)


@pytest.mark.parametrize("target", FORMATS, ids=str)
def test_the_first_message_already_sounds(target: AudioFormat) -> None:
    wire = Wire(Plain(MULAW_8K, target))
    (first,) = wire.messages([sine_hz(1000, 20)])
    linear = Transcoder(target, AudioFormat(Encoding.PCM16, target.rate_hz)).feed(first)
    assert level_dbfs(linear[len(linear) // 2 :]) > -12, (
        "but for the filter's few milliseconds it is all there"
    )
