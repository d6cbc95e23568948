"""The demo's table and picture, from a call that is made up: every time in them is known."""

from __future__ import annotations

import re
from itertools import combinations
from typing import NamedTuple, cast
from xml.etree import ElementTree

import pytest

from bridge.call import Call
from bridge.cli.demo_picture import svg
from bridge.cli.demo_report import CallStory, shortened
from bridge.emulators.call_report import CallReport
from bridge.emulators.recording import (
    BridgeClosed,
    BridgeStarted,
    CallerStarted,
    CallerStopped,
    ClearReceived,
    Entry,
    HungUp,
    StreamOpened,
    WebhookAnswered,
)
from bridge.observe import timeline as tl

SVG = "{http://www.w3.org/2000/svg}"
SEEN: list[Entry] = [
    WebhookAnswered(at_ms=20, purpose="answer", status=200, took_ms=20),
    StreamOpened(at_ms=40, took_ms=5),
    BridgeStarted(at_ms=300),
    CallerStarted(at_ms=3000, utterance=0),
    ClearReceived(at_ms=3080, dropped_ms=140),
    CallerStopped(at_ms=5000, utterance=0),
    BridgeStarted(at_ms=6000),
    BridgeClosed(at_ms=9990, code=1000),
]
KEPT: list[tl.Entry] = [
    tl.CallStarted(at_ms=0, carrier="twilio", call_id="CA1"),
    tl.SpeakingAsked(at_ms=1, utterance=1, text="Hello & welcome to <everybody>"),
    tl.FirstAudio(at_ms=201, utterance=1, after_ms=200, lightning_ms=199.2),
    tl.SpeakingEnded(
        at_ms=3029, utterance=1, heard_ms=2700, total_ms=9000, heard_text="Hello & welcome", by="speech"
    ),
    tl.BargeIn(at_ms=3029, by="speech", dropped_ms=6300, onset_ms=2960),
    tl.CallerSpoke(at_ms=5600, start_ms=2960, end_ms=4950),
    tl.SpeakingAsked(at_ms=5601, utterance=2, text="Goodbye."),
    tl.FirstAudio(at_ms=5800, utterance=2, after_ms=199, lightning_ms=198),
    tl.SpeakingEnded(at_ms=7000, utterance=2, heard_ms=1000, total_ms=1000, heard_text="Goodbye."),
    tl.CallEnded(at_ms=9930, reason="agent"),
]


class Kept:
    """What the story reads of a call."""

    def __init__(self, entries: list[tl.Entry]) -> None:
        self.timeline = entries


def story(seen: list[Entry] = SEEN, kept: list[tl.Entry] = KEPT, says: str = "Excuse me.") -> CallStory:
    report = CallReport("CA1")
    report.recording.entries.extend(seen)
    report.recording.began_ms = 50.0
    report.recording.said.extend(b"\xff" * 160 * 497)
    report.recording.heard.extend((b"\x20\xa0" * 80) * 400)
    return CallStory(cast(Call, Kept(kept)), report, 50.0, says)


def without(*kinds: type) -> list[Entry]:
    return [entry for entry in SEEN if not isinstance(entry, kinds)]


def texts(picture: str) -> dict[str, ElementTree.Element]:
    return {text.text or "": text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")}


class Box(NamedTuple):
    left: float
    right: float
    y: float


def boxes(picture: str) -> dict[str, Box]:
    """Where each text is, by a generous guess of how wide a letter is."""
    found = {}
    for text, element in texts(picture).items():
        x, width = float(element.attrib["x"]), len(text) * 6.2
        left = {"end": x - width, "middle": x - width / 2}.get(element.get("text-anchor", ""), x)
        found[text] = Box(left, left + width, float(element.attrib["y"]))
    return found


def test_the_story_in_order() -> None:
    told = [(moment.at_ms, moment.who, moment.what) for moment in story().moments()]
    assert told == [
        (0, "caller", "dials"),
        (40, "caller", "carrier opens the media stream"),
        (51, "bridge", "agent says: “Hello & welcome to <everybody>”"),
        (251, "bridge", "first audio leaves, 200 ms after it was asked for"),
        (300, "caller", "hears the bridge"),
        (3000, "caller", "begins to speak"),
        (3079, "bridge", "barge-in by speech; the caller has heard: “Hello & welcome”"),
        (3079, "bridge", "6.30 s that were made are never played"),
        (3080, "caller", "carrier drops 140 ms of buffered audio: silence"),
        (5000, "caller", "has said it"),
        (5650, "bridge", "notices that the caller has fallen silent"),
        (5651, "bridge", "agent says: “Goodbye.”"),
        (5850, "bridge", "first audio leaves, 199 ms after it was asked for"),
        (6000, "caller", "hears the bridge"),
        (7050, "bridge", "the caller has heard: “Goodbye.”"),
        (9980, "bridge", "call ended by the agent"),
        (9990, "caller", "the bridge has hung up"),
    ]


def test_the_figures() -> None:
    assert story().figures() == [
        ("webhook answered", "20 ms"),
        ("first audio", "200 ms (Lightning 199 ms, bridge 0.8 ms)"),
        ("speech onset to clear", "80 ms"),
        ("heard of the greeting", "2.70 s of 9.00 s made"),
        ("heard text", "“Hello & welcome”"),
        ("underruns", "0"),
    ]


@pytest.mark.parametrize(
    "seen, kept, interrupted, spoke",
    [
        (SEEN, KEPT, True, True),
        (without(ClearReceived), KEPT, False, True),
        (SEEN, [entry for entry in KEPT if not isinstance(entry, tl.BargeIn)], False, True),
        (SEEN, [tl.BargeIn(at_ms=1, by="digit", dropped_ms=0)], False, True),
        (without(CallerStarted, ClearReceived), [], False, False),
    ],
)
def test_what_counts_as_an_interruption(
    seen: list[Entry], kept: list[tl.Entry], interrupted: bool, spoke: bool
) -> None:
    assert (story(seen, kept).interrupted, story(seen, kept).caller_spoke) == (interrupted, spoke)


def test_the_picture_says_who_did_what_when_and_what_was_heard() -> None:
    told = texts(svg(story()))
    for text in (
        "bridge greets 0.30 s",
        "caller speaks 3.00 s",
        "bridge is silent 3.08 s",
        "bridge answers 6.00 s",
        "bridge hangs up 9.99 s",
        "“Excuse me.”",
        "“Hello & welcome”",
        "“Goodbye.”",
        "80 ms later: 6.3 s more were made and are not played",
        "9 s",
    ):
        assert text in told, text


def test_nothing_in_the_picture_is_cut_off() -> None:
    for box in boxes(svg(story())).values():
        assert box.left >= 0
        assert box.right <= 960
        assert 0 < box.y < 278


@pytest.mark.parametrize("lasts_s", [10, 40, 600])
def test_no_flag_and_no_second_covers_another(lasts_s: int) -> None:
    told = story([*SEEN[:-1], BridgeClosed(at_ms=lasts_s * 1000 - 10, code=1000)])
    told.report.recording.said.extend(b"\xff" * 8000 * (lasts_s - 10))
    placed = [box for text, box in boxes(svg(told)).items() if text.endswith(" s")]
    assert len(placed) > 10
    for one, other in combinations(placed, 2):
        assert one.y != other.y or one.right <= other.left or other.right <= one.left


def test_strokes_are_where_the_sound_is() -> None:
    paths = [path.attrib["d"] for path in ElementTree.fromstring(svg(story())).iter(f"{SVG}path")]
    caller, bridge = (path for path in paths if path.count("M") > 50)
    heights = [float(height) for height in re.findall(r"v([\d.]+)", bridge)]
    assert min(heights) > 5, "a voice"
    assert {float(height) for height in re.findall(r"v([\d.]+)", caller)} == {0.6}, "a line"


def test_long_words_leave_room_for_the_next() -> None:
    kept = [*KEPT]
    kept[3] = tl.SpeakingEnded(
        at_ms=3029, utterance=1, heard_ms=1, total_ms=2, heard_text="word " * 60, by="speech"
    )
    subtitle = next(text for text in texts(svg(story(kept=kept))) if text.startswith("“word"))
    assert subtitle.endswith("…”")


@pytest.mark.parametrize(
    "seen, kept",
    [
        ([], []),
        (without(CallerStarted, ClearReceived), KEPT),
        ([HungUp(at_ms=100, reason="patience")], []),
    ],
)
def test_a_call_in_which_little_happened_is_drawn_too(seen: list[Entry], kept: list[tl.Entry]) -> None:
    assert "“Excuse me.”" not in texts(svg(story(seen, kept)))
    assert story(seen, kept).figures()


def test_a_call_without_any_sound_is_drawn_too() -> None:
    silent = CallStory(cast(Call, Kept([])), CallReport("CA1"), 0.0)
    ElementTree.fromstring(svg(silent))


def test_a_recording_has_no_words_to_show() -> None:
    assert not [text for text in texts(svg(story(says=""))) if text.startswith("“Excuse")]


def test_shortened() -> None:
    assert (shortened("abc", 3), shortened("abcd", 3), shortened("a b c", 3)) == ("abc", "ab…", "a…")
