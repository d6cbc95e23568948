"""Requests that are refused before any network, and what they are told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bridge.catalogue import Catalogue
from bridge.errors import InvalidRequest
from bridge.lightning.refusals import problems_of, refuse
from bridge.names import DoorName
from tests.support.lightning_requests import request

PCM = {"output_format": "pcm"}


@pytest.mark.parametrize(
    ("changes", "door"),
    [
        ({}, "live"),
        ({"text": "x" * 8000, "speed": 0.5, "sample_rate": 44100}, "sse"),
        ({"speed": 2, "output_format": "mp3"}, "http"),
        ({"voice_id": "voice_x1"}, "v3.1"),
        (PCM | {"speed": 5, "language": "ar", "voice_id": "emily"}, "v2"),
        (PCM | {"sample_rate": 48000, "voice_id": "rhodes"}, "v4"),
        ({"voice_id": "x", "model": "x", "language": "x"}, "local"),
    ],
)
def test_what_passes(changes: dict[str, Any], door: DoorName) -> None:
    refuse(request(**changes), door)


@pytest.mark.parametrize(
    ("changes", "door", "told"),
    [
        ({"text": ""}, "live", "text: is empty or only whitespace"),
        ({"text": " \n\u2003"}, "local", "text: is empty or only whitespace"),
        ({"text": "x" * 8001}, "live", "text: 8001 characters, more than 8000: give it sentence by sentence"),
        ({"output_format": "mulaw"}, "live", "output_format: older pages say mulaw; the service wants ulaw"),
        ({"output_format": "opus"}, "live", 'output_format: "opus" is none of pcm, wav, mp3, ulaw, alaw'),
        ({}, "v4", 'output_format: door "v4" answers pcm alone, which is converted here'),
        (
            {"sample_rate": 22050},
            "live",
            "sample_rate: 22050 is none of 8000, 16000, 24000, 44100 (older pages name a range",
        ),
        ({"sample_rate": 48000}, "live", "sample_rate: 48000 is none of 8000, 16000, 24000, 44100"),
        ({"speed": 2.1}, "live", "speed: 2.1 is not within 0.5 to 2 (older pages are of Lightning v2"),
        ({"speed": math.nan}, "live", "speed: nan is not within"),
        (PCM | {"speed": 6}, "v2-sse", "speed: 6 is not within 0.1 to 5"),
        ({"model": "lightning-v3.1"}, "live", 'model: did you mean "lightning_v3.1"?'),
        (
            {"language": "en-GB"},
            "live",
            'language: "en-GB" is no language of lightning_v3.1: did you mean "en"?',
        ),
        ({"voice_id": "meher"}, "live", 'voice_id: "meher" is a voice of lightning_v3.1_pro'),
        ({"voice_id": ""}, "live", "voice_id: is empty"),
        (
            PCM | {"language": "hi", "voice_id": "rhodes"},
            "v4",
            'language: "hi" is no language of lightning_v4',
        ),
    ],
)
def test_what_does_not(changes: dict[str, Any], door: DoorName, told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        refuse(request(**changes), door)
    assert refused.value.message.startswith(told)
    assert (refused.value.code, refused.value.request_id) == ("local_check", "r1")


def test_a_text_that_is_still_to_come_may_be_empty_now() -> None:
    refuse(request(text=""), text_follows=True)


def test_all_that_is_wrong_is_found() -> None:
    wrong = request(text=" ", output_format="x", sample_rate=1, speed=9, language="x", voice_id="meher")
    fields = [field for field, _ in problems_of(wrong)]
    assert fields == ["text", "output_format", "sample_rate", "speed", "language", "voice_id"]


def test_what_was_learnt_of_the_voices_counts() -> None:
    catalogue = Catalogue()
    catalogue.learn("lightning_v3.1", ["magnus"])
    with pytest.raises(InvalidRequest, match='"magnum" is no voice of lightning_v3.1; did you mean magnus?'):
        refuse(request(voice_id="magnum"), "live", catalogue)
