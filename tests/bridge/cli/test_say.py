"""``bridge say``: against the emulated Lightning, over a real socket."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.say import HYPHEN, name_hyphens
from bridge.config import Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.cli import Invoke, bridge
from tests.support.lightning_thread import lightning_in_thread
from tests.support.tone_words import spoken

KEY = "sk-a-key-that-stays-secret"
TEXT = "Good morning."


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedLightning]:
    """One that the environment points to."""
    with lightning_in_thread() as emulator:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", emulator.url)
        monkeypatch.setenv("SMALLEST_API_KEY", KEY)
        yield emulator


def figures(out: str) -> dict[str, str]:
    return {line[:17].strip(): line[18:] for line in out.splitlines()}


def test_it_writes_a_wav_and_tells_how_long_it_took(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    done = invoke("say", TEXT, "--sample-rate", 8000, "-o", "out/good.wav")
    assert (done.code, done.err) == (0, "")
    with wave.open(str(tmp_path / "out" / "good.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert file.readframes(file.getnframes()) == spoken(TEXT, format=PCM16_8K)
    told = figures(done.out)
    seconds = PCM16_8K.ms_in(len(spoken(TEXT, format=PCM16_8K))) / 1000
    assert told["wrote"] == f"out/good.wav: pcm at 8000 Hz, {seconds:.2f} s"
    assert told["voice"] == "magnus, lightning_v3.1, en, speed 1"
    assert re.fullmatch(r"\d+ ms", told["first byte"])
    assert re.fullmatch(r"\d+ ms", told["total"])
    factor, times = re.fullmatch(
        r"([\d.]+) \(([\d.]+) times as fast as it plays\)", told["real-time factor"]
    ).groups()  # type: ignore[union-attr]
    assert float(factor) * float(times) == pytest.approx(1, rel=0.2)


def test_without_a_name_it_is_out_wav_with_24_khz(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    assert invoke("say", TEXT).code == 0
    assert read_wav(tmp_path / "out.wav").format == AudioFormat(Encoding.PCM16, 24000)


def test_every_option_reaches_lightning(invoke: Invoke, lightning: EmulatedLightning) -> None:
    options = ("--voice", "sophia", "--model", "lightning_v3.1", "--language", "hi", "--speed", 1.5)
    wire = ("--sample-rate", 16000, "--format", "alaw")
    dictionaries = ("--pronunciation-dict", "names", "--pronunciation-dict", "places")
    assert invoke("say", TEXT, *options, *wire, *dictionaries).code == 0
    asked = lightning.stats.last_request
    assert {name: asked.get(name) for name in ("text", "voice_id", "model", "language", "speed")} == {
        "text": TEXT,
        "voice_id": "sophia",
        "model": "lightning_v3.1",
        "language": "hi",
        "speed": 1.5,
    }
    assert (asked["sample_rate"], asked["output_format"]) == (16000, "alaw")
    assert asked["pronunciation_dicts"] == ["names", "places"]


def test_the_configuration_says_what_options_do_not(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    (tmp_path / "my.toml").write_text('[lightning]\nvoice_id = "sophia"\nspeed = 0.5\n')
    assert invoke("say", TEXT, "-c", "my.toml", "--speed", 2).code == 0
    asked = lightning.stats.last_request
    assert (asked["voice_id"], asked["speed"]) == ("sophia", 2.0)


@pytest.mark.parametrize(
    "name, format",
    [("pcm", PCM16_8K), ("wav", PCM16_8K), ("ulaw", MULAW_8K), ("alaw", ALAW_8K)],
)
@pytest.mark.parametrize(
    "options",
    [EmulatorOptions(), EmulatorOptions(odd_chunks=True), EmulatorOptions(wav_header=True, odd_chunks=True)],
    ids=["plain", "odd", "header"],
)
def test_every_format_is_a_wav_of_that_format(
    invoke: Invoke,
    lightning: EmulatedLightning,
    tmp_path: Path,
    name: str,
    format: AudioFormat,
    options: EmulatorOptions,
) -> None:
    lightning.options.odd_chunks, lightning.options.wav_header = options.odd_chunks, options.wav_header
    done = invoke("say", TEXT, "--format", name, "--sample-rate", 8000)
    assert done.code == 0
    wav = read_wav(tmp_path / "out.wav")
    assert (wav.format, wav.channels) == (format, 1)
    assert wav.audio == spoken(TEXT, format=format)


@pytest.mark.parametrize("rate_hz", [8000, 24000])
@pytest.mark.parametrize("header", [False, True])
def test_mu_law_it_is_even_when_lightning_answers_pcm(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, rate_hz: int, header: bool
) -> None:
    assert invoke("say", TEXT, "--format", "ulaw", "--sample-rate", rate_hz, "-o", "right.wav").code == 0
    lightning.options.answer_pcm, lightning.options.wav_header = True, header
    assert invoke("say", TEXT, "--format", "ulaw", "--sample-rate", rate_hz, "-o", "wrong.wav").code == 0
    right, wrong = read_wav(tmp_path / "right.wav"), read_wav(tmp_path / "wrong.wav")
    assert wrong.format == AudioFormat(Encoding.MULAW, rate_hz)
    assert wrong.audio == right.audio


@pytest.mark.parametrize("characters", [251, 8000, 9000])
def test_a_long_text_is_said_whole(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, characters: int
) -> None:
    text = " ".join(f"Sentence {n} of many." for n in range(1, 500))[: characters - 1] + "."
    assert invoke("say", text, "--sample-rate", 8000, "--speed", 2).code == 0
    pieces = list(lightning.stats.texts)
    assert len(pieces) > 1
    assert max(map(len, pieces)) <= 250
    assert " ".join(pieces) == text
    assert read_wav(tmp_path / "out.wav").audio == b"".join(
        spoken(piece, format=PCM16_8K, speed=2) for piece in pieces
    )


def test_a_hyphen_reads_standard_input(
    invoke: Invoke, lightning: EmulatedLightning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\ufeffGrüß dich.\n".encode())))
    assert invoke("say", "-", "-o", "x.wav").code == 0
    assert list(lightning.stats.texts) == ["Grüß dich."]


@pytest.mark.parametrize(
    "stdin, told",
    [(b"\xff", "standard input: byte 0 is not UTF-8"), (b" \n", "TEXT: there is nothing to say")],
)
def test_standard_input_of_no_use(
    invoke: Invoke, lightning: EmulatedLightning, monkeypatch: pytest.MonkeyPatch, stdin: bytes, told: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    done = invoke("say", "-")
    assert (done.code, done.err) == (2, f"bridge: {told}\n")


@pytest.mark.parametrize(
    "given, named",
    [
        (["-"], [HYPHEN]),
        (["-o", "f", "-"], ["-o", "f", HYPHEN]),
        (["-", "-o", "f"], [HYPHEN, "-o", "f"]),
        (["-o", "-"], ["-o", HYPHEN]),
        (["--out", "-", "-"], ["--out", HYPHEN, HYPHEN]),
        (["--stream-stdin", "-"], ["--stream-stdin", HYPHEN]),
        (["--normalise", "-"], ["--normalise", HYPHEN]),
        (["-c", "-"], ["-c", "-"]),
        (["--voice", "-"], ["--voice", "-"]),
        (["a-b", "--x"], ["a-b", "--x"]),
        ([], []),
    ],
)
def test_which_hyphen_means_standard_input_or_output(given: list[str], named: list[str]) -> None:
    assert name_hyphens(given) == named


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("--voice", "nobody"), "Invalid Voice ID"),
        (("--model", "lightning_v9"), "received 'lightning_v9'"),
    ],
)
def test_what_lightning_refuses_is_told_in_its_words(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = invoke("say", TEXT, *arguments)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("bridge: ")
    assert told in done.err
    assert not (tmp_path / "out.wav").exists(), "no empty file is left behind"


# -- by which door, and with what --------------------------------------------------------------------------------------

DOORS = {
    **dict.fromkeys(("live", "sse", "http", "v3.1", "v3.1-sse"), ("magnus", "lightning_v3.1")),
    **dict.fromkeys(("v2", "v2-sse"), ("magnus", "lightning_v2")),
    "v4": ("brannock", "lightning_v4"),
}


@pytest.mark.parametrize("door", DOORS)
def test_by_every_door_with_the_model_that_it_implies(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, door: str
) -> None:
    voice, model = DOORS[door]
    done = invoke("say", TEXT, "--door", door, "--voice", voice, "--sample-rate", 8000)
    assert (done.code, done.err) == (0, "")
    told = figures(done.out)
    assert (told["door"], told["voice"]) == (door, f"{voice}, {model}, en, speed 1")
    assert read_wav(tmp_path / "out.wav").audio == spoken(TEXT, voice, PCM16_8K)


def test_by_the_door_of_this_machine_without_a_key(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = wav_bytes(PCM16_8K, spoken(TEXT, format=PCM16_8K))
    (tmp_path / "clip.wav").write_bytes(wav)
    (tmp_path / "my.toml").write_text('[lightning]\ndoor = "local"\ncommand = ["cat", "clip.wav"]\n')
    assert invoke("say", TEXT, "-c", "my.toml", "--sample-rate", 8000).code == 0
    assert (tmp_path / "out.wav").read_bytes() == wav


def test_what_another_door_has_no_use_for_is_left_out(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    (tmp_path / "my.toml").write_text('[lightning]\ntext_streaming = "context"\noutput = "ulaw"\n')
    assert invoke("say", TEXT, "-c", "my.toml", "--door", "v2").code == 0
    (tmp_path / "local.toml").write_text('[lightning]\ndoor = "local"\ncommand = ["cat"]\n')
    assert invoke("say", TEXT, "-c", "local.toml", "--door", "live").code == 0
    assert lightning.stats.requests == 2


@pytest.mark.parametrize(
    "arguments, told",
    [
        ((TEXT, "--door", "v4"), '--voice: "magnus" is a voice of lightning_v3.1'),
        ((TEXT, "--model", "lightning_v2"), "--model: lightning_v2 is spoken by a door of its own"),
        ((TEXT, "--language", "tlh"), '--language: "tlh" is no language of lightning_v3.1'),
        (
            ("--stream-stdin", "--door", "sse", "--text-streaming", "context"),
            '--text-streaming: "context" is for door "live"',
        ),
        (
            (TEXT, "--text-streaming", "flush"),
            "--text-streaming: is for text that streams in: add --stream-stdin",
        ),
        ((TEXT, "--stream-stdin"), "TEXT: comes from standard input with --stream-stdin: leave it out"),
        (("--stream-stdin", "--format", "pcm"), "--format: is ulaw with --stream-stdin"),
        (("--stream-stdin", "--sample-rate", 16000), "--sample-rate: is 8000 with --stream-stdin"),
        (("--stream-stdin", "-o", "a.mp3"), "a.mp3: --out: --format ulaw makes a .wav file"),
    ],
)
def test_what_does_not_fit_together_is_told_by_the_name_of_the_option(
    invoke: Invoke, lightning: EmulatedLightning, arguments: tuple[object, ...], told: str
) -> None:
    done = invoke("say", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bridge: {told}")
    assert (lightning.stats.connections, lightning.stats.requests) == (0, 0)


@pytest.mark.parametrize("config, option", [("", ("--normalise",)), ("[speech]\nnormalise = true", ())])
def test_text_is_prepared_by_choice(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, config: str, option: tuple[str, ...]
) -> None:
    (tmp_path / "my.toml").write_text(config)
    assert invoke("say", "**Good** morning.", "-c", "my.toml", *option).code == 0
    assert list(lightning.stats.texts) == ["Good morning."]


def test_a_text_of_which_nothing_is_left_is_nothing_to_say(
    invoke: Invoke, lightning: EmulatedLightning
) -> None:
    done = invoke("say", "***", "--normalise")
    assert (done.code, done.err) == (2, "bridge: TEXT: there is nothing to say\n")


def test_a_wrong_key_is_told_and_not_shown(invoke: Invoke, lightning: EmulatedLightning) -> None:
    lightning.options.api_key = Secret("another")
    done = invoke("say", TEXT)
    assert (done.code, done.err) == (1, "bridge: Invalid or missing API key (code UNAUTHORIZED)\n")


def test_nobody_there(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    done = invoke("say", TEXT)
    assert done.code == 1
    assert done.err == "bridge: cannot connect: Connection refused (code connect)\n"


def test_a_missing_key_is_wrong_use(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("say", TEXT).err == "bridge: lightning.api_key: is missing: set SMALLEST_API_KEY\n"
    (tmp_path / "my.toml").touch()
    done = invoke("say", TEXT, "-c", "my.toml")
    assert (done.code, done.err) == (
        2,
        "bridge: my.toml: lightning.api_key: is missing: set SMALLEST_API_KEY\n",
    )


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("-o", "a.wav", "--format", "mp3"), "a.wav: --out: --format mp3 makes a .mp3 file"),
        (("-o", "a.MP3"), "a.MP3: --out: --format pcm makes a .wav file"),
        (("-o", "folder"), "folder: cannot be written: Is a directory"),
        (("-o", "file/a.wav"), "file/a.wav: cannot be written: "),
        (("-c", "none.toml"), "none.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_spent(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    done = invoke("say", TEXT, *arguments)
    assert done.code == 2
    assert done.err.startswith(f"bridge: {told}")
    assert lightning.stats.requests == 0


def test_a_file_that_was_there_survives_a_failure(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path
) -> None:
    (tmp_path / "out.wav").write_bytes(b"precious")
    assert invoke("say", TEXT, "--voice", "nobody").code == 1
    assert (tmp_path / "out.wav").read_bytes() == b"precious"


def test_nothing_but_figures_where_nobody_watches(lightning: EmulatedLightning, tmp_path: Path) -> None:
    done = bridge("say", TEXT, cwd=tmp_path, SMALLEST_API_KEY=KEY, BRIDGE_LIGHTNING__BASE_URL=lightning.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(figures(done.stdout)) == ["wrote", "voice", "door", "first byte", "total", "real-time factor"]


def test_on_a_terminal_it_shows_how_far_it_is(
    invoke: Invoke, lightning: EmulatedLightning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", terminal)
    done = invoke("say", TEXT)
    assert done.code == 0
    assert "s of audio" in terminal.getvalue()
    assert "wrote" in done.out, "figures go to standard output"
