"""What is known of Lightning: which voice, language and door belong to which model, and how a mistake is told."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalogue import (
    KNOWN,
    MODELS,
    PRO_VOICES,
    Catalogue,
    pool_of,
    problem_with_language,
    problem_with_model,
    problems_of_entry,
)
from bridge.config_lightning import LightningConfig
from bridge.names import DoorName

PRO = "lightning_v3.1_pro"
BASE = "lightning_v3.1"

# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "model"),
    [
        *(("live", model) for model in MODELS),
        *(("v3.1-sse", model) for model in MODELS),
        ("sse", "lightning_v3.1_pro_01_27"),
        ("http", "lightning_v3.2"),
        ("live", "lightning_v5_pro"),
        ("v2", "lightning_v2"),
        ("v2-sse", "lightning_v2"),
        ("v4", "lightning_v4"),
        ("local", "whatever"),
    ],
)
def test_what_each_door_speaks(door: DoorName, model: str) -> None:
    assert problem_with_model(model, door) == ""


@pytest.mark.parametrize(
    ("door", "model", "told"),
    [
        ("live", "lightning-v3.1", 'did you mean "lightning_v3.1"? "lightning-v3.1" is how paths'),
        ("live", "lightning-v3.1-pro", 'did you mean "lightning_v3.1_pro"?'),
        ("live", "lightning_v2", 'set door = "v2"'),
        ("sse", "lightning-v4", 'set door = "v4"'),
        ("live", "lightning-large", "is retired, whatever older pages say: lightning_v3.1 took its place"),
        ("live", "lightning", "is retired"),
        ("live", "lightning_v3.1_prp", 'did you mean "lightning_v3.1_pro"?'),
        ("live", "gpt", f'"gpt" is none of {", ".join(MODELS)}'),
        ("live", "lightning_v3.0", "is none of"),
        ("v3.1", "lightning_v3.2", "is none of"),
        ("v2", BASE, 'door "v2" speaks lightning_v2 alone: set model = "lightning_v2"'),
        ("v4", "lightning-v4", 'set model = "lightning_v4"'),
    ],
)
def test_what_it_does_not(door: DoorName, model: str, told: str) -> None:
    assert told in problem_with_model(model, door)


# -- languages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "door", "languages"),
    [
        (BASE, "live", "auto en hi ta sv he"),
        (PRO, "live", "auto en hi ja el ar he"),
        ("lightning_v9", "live", "auto en ja"),
        ("lightning_v2", "v2", "en hi ar he"),
        (BASE, "v2", "en ar"),  # a request's model, which this door does not look at
        ("lightning_v4", "v4", "en auto"),
        (BASE, "local", "xx"),
    ],
)
def test_languages_that_are_spoken(model: str, door: DoorName, languages: str) -> None:
    assert [problem_with_language(language, model, door) for language in languages.split()] == [""] * len(
        languages.split()
    )


@pytest.mark.parametrize(
    ("language", "model", "door", "told"),
    [
        ("ja", BASE, "live", 'spoken by lightning_v3.1_pro alone: set model = "lightning_v3.1_pro"'),
        ("en-US", BASE, "live", 'did you mean "en"?'),
        ("HI", PRO, "live", 'did you mean "hi"?'),
        ("xx", BASE, "live", "which speaks auto en hi"),
        ("", BASE, "live", "which speaks"),
        ("auto", "lightning_v2", "v2", "which speaks en hi"),
        ("sv", "lightning_v2", "v2-sse", "no language of lightning_v2"),
        ("hi", "lightning_v4", "v4", "no language of lightning_v4, which speaks en auto"),
        ("he", "lightning_v4", "v4", "no language of lightning_v4"),
    ],
)
def test_languages_that_are_not(language: str, model: str, door: DoorName, told: str) -> None:
    assert told in problem_with_language(language, model, door)


# -- voices ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "pool"),
    [
        (BASE, BASE),
        ("lightning_v3.1_02_27", BASE),
        (PRO, PRO),
        ("lightning_v3.1_pro_07_26", PRO),
        ("lightning-v3.1-pro", PRO),
        ("lightning_v4", "lightning_v4"),
        ("lightning_v2", None),
        ("lightning_v3.2", None),
    ],
)
def test_pools(model: str, pool: str | None) -> None:
    assert pool_of(model) == pool


@pytest.mark.parametrize(
    ("voice_id", "model"),
    [
        ("magnus", BASE),
        ("meher", PRO),
        ("meher", "lightning_v3.1_pro_10_26"),
        ("brannock", "lightning_v4"),
        ("brand-new", BASE),
        ("voice_aB3", PRO),
        ("meher", "lightning_v3.2"),
        ("emily", "lightning_v2"),
    ],
)
def test_voices_that_nothing_is_known_against(voice_id: str, model: str) -> None:
    assert KNOWN.problem_with_voice(voice_id, model) == ""


@pytest.mark.parametrize(
    ("voice_id", "model", "told"),
    [
        (
            "meher",
            BASE,
            '"meher" is a voice of lightning_v3.1_pro and gives wrong audio with lightning_v3.1: set model = '
            '"lightning_v3.1_pro", or take a voice of lightning_v3.1 such as magnus, sophia, olivia, devansh, '
            "maithili, kartik",
        ),
        (
            "magnus",
            "lightning_v3.1_pro_07_26",
            'set model = "lightning_v3.1", or take a voice of lightning_v3.1_pro',
        ),
        ("rhodes", BASE, 'set model = "lightning_v4" and door = "v4"'),
        ("sophia", "lightning_v4", "such as brannock, rhodes"),
        (" ", BASE, "is empty"),
    ],
)
def test_voices_of_another_pool(voice_id: str, model: str, told: str) -> None:
    assert told in KNOWN.problem_with_voice(voice_id, model)


def learnt(**pools: list[str]) -> Catalogue:
    catalogue = Catalogue()
    for name, voices in pools.items():
        catalogue.learn({"base": "lightning-v3.1", "pro": PRO}[name], voices)
    return catalogue


def test_a_listed_pool_is_the_whole_truth_about_itself() -> None:
    catalogue = learnt(base=["magnus", "zoltan", "meher"])
    assert catalogue.problem_with_voice("zoltan", BASE) == ""
    assert catalogue.problem_with_voice("meher", BASE) == "", "the service knows better"
    assert catalogue.problem_with_voice("voice_x", BASE) == ""
    assert "did you mean zoltan?" in catalogue.problem_with_voice("Zoltam", BASE)
    assert (
        catalogue.problem_with_voice("qqq", BASE) == '"qqq" is no voice of lightning_v3.1; it has magnus, ...'
    )
    assert "is a voice of lightning_v3.1" in catalogue.problem_with_voice("zoltan", PRO)
    assert catalogue.problem_with_voice("unheard-of", PRO) == "", "of the other nothing was said"
    assert KNOWN.problem_with_voice("zoltan", PRO) == "", "what one has learnt is its own"


def test_a_listing_without_any_voice_we_know_is_recommended_by_name() -> None:
    assert "it has ab, cd, ..." in learnt(pro=["cd", "ab"]).problem_with_voice("xyz", PRO)


@pytest.mark.parametrize(
    "catalogue",
    [
        learnt(base=["magnus", "meher", "zoltan"], pro=["zoltan", "meher", "magnus"]),
        learnt(base=["magnus", "zoltan", *PRO_VOICES]),
        learnt(base=[]),
    ],
    ids=["the same for both", "holds the other's", "empty"],
)
def test_the_union_of_the_pools_teaches_nothing(catalogue: Catalogue) -> None:
    assert catalogue.problem_with_voice("unheard-of", BASE) == ""
    assert catalogue.problem_with_voice("meher", BASE) == KNOWN.problem_with_voice("meher", BASE) != ""


@given(st.text(string.printable, max_size=30), st.sampled_from([*MODELS, "lightning_v4", "x"]))
def test_any_voice_is_judged(voice_id: str, model: str) -> None:
    reason = learnt(base=["a", "b"]).problem_with_voice(voice_id, model)
    assert reason == "" or voice_id in reason or not voice_id.strip()


# -- entries -----------------------------------------------------------------------------------------------------------

V2: dict[str, Any] = {"door": "v2", "model": "lightning_v2"}
V4: dict[str, Any] = {"door": "v4", "model": "lightning_v4", "voice_id": "rhodes"}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"model": PRO, "voice_id": "meher", "language": "ja"},
        {"text_streaming": "context"},
        {"door": "v3.1", "text_streaming": "flush"},
        {"output": "alaw"},
        {"output": "pcm", "sample_rate": 44100},
        {"door": "local"},
        {"door": "local", "command": ["espeak"], "model": "x", "voice_id": "x", "language": "x"},
        V2,
        V4,
    ],
)
def test_entries_that_fit_together(entry: dict[str, Any]) -> None:
    assert list(problems_of_entry(LightningConfig(**entry))) == []


@pytest.mark.parametrize(
    ("entry", "field", "told"),
    [
        ({"model": "lightning-v3.1"}, "model", "did you mean"),
        ({"door": "v4"}, "model", 'set model = "lightning_v4"'),
        (V4 | {"language": "hi"}, "language", "which speaks en auto"),
        (V4 | {"voice_id": "magnus"}, "voice_id", "such as brannock, rhodes"),
        ({"voice_id": "meher"}, "voice_id", 'set model = "lightning_v3.1_pro"'),
        ({"command": ["espeak"]}, "command", 'is for door = "local" alone, and door is "live"'),
        (
            {"door": "sse", "text_streaming": "context"},
            "text_streaming",
            'is for door "live"; set "sentences"',
        ),
        ({"door": "http", "text_streaming": "flush"}, "text_streaming", 'is for door "live" and "v3.1"'),
        ({"door": "v3.1", "text_streaming": "context"}, "text_streaming", "is for"),
        ({"output": "ulaw", "sample_rate": 16000}, "output", "needs sample_rate = 8000, not 16000"),
        (V2 | {"output": "ulaw"}, "output", 'unknown to door "v2": set "auto"'),
        (V4 | {"output": "alaw"}, "output", 'unknown to door "v4"'),
    ],
)
def test_entries_that_do_not(entry: dict[str, Any], field: str, told: str) -> None:
    ((found, reason),) = problems_of_entry(LightningConfig(**entry))
    assert found == field
    assert told in reason
