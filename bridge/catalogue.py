"""What Lightning is known to take: models, languages, voices, and which belong together. No I/O.

Strategy:

- Refused is what is known to be wrong; what is merely unknown passes. A voice that no list names may be new, a
  cloned one is the account's own, a model with a newer version is the service's business.
- Base and Pro have voices of their own. The service does not refuse a voice of the other pool, it speaks with a wrong
  one: only here can that be told.
- A pool that was asked for (`Catalogue.learn`) is the whole truth about itself, unless the answer was the union of
  the pools, which some sources say it is.
- A reason names what is wrong, what is right, and the mend; where older pages of the vendor say otherwise, that too.

Sources: the service's generated contract for ranges and languages, the model cards for voices and what each model
accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bridge.config_lightning import LightningConfig
from bridge.names import DoorName
from bridge.nearest import meant

MAX_TEXT_CHARS: Final = 8000
OUTPUT_FORMATS: Final = ("pcm", "wav", "mp3", "ulaw", "alaw")
SAMPLE_RATES_HZ: Final = (8000, 16000, 24000, 44100)
V4_SAMPLE_RATES_HZ: Final = (*SAMPLE_RATES_HZ, 48000)
SPEEDS: Final = (0.5, 2.0)
V2_SPEEDS: Final = (0.1, 5.0)

BASE, PRO, V2, V4 = "lightning_v3.1", "lightning_v3.1_pro", "lightning_v2", "lightning_v4"
#: What the unified doors and those of v3.1 take. The last is a preview that only one third party mentions.
MODELS: Final = (BASE, PRO, "lightning_v3.1_pro_07_26", "lightning_v3.1_pro_10_26")
#: A checkpoint of a model that is known, or a version that is newer than this table.
_DATED: Final = re.compile(r"lightning_v3\.1(_pro)?_\d\d_\d\d")
_VERSION: Final = re.compile(r"lightning_v(\d+)(?:\.(\d+))?(?:_\w+)?")
_NEWEST: Final = (3, 1)

#: Which model a door speaks, where its path says so.
DOOR_MODEL: Final[dict[DoorName, str]] = {"v2": V2, "v2-sse": V2, "v4": V4}
DOORS_OF_V31: Final[frozenset[DoorName]] = frozenset({"v3.1", "v3.1-sse"})
#: Doors that know nothing but PCM.
PCM_DOORS: Final[frozenset[DoorName]] = frozenset({"v2", "v2-sse", "v4"})
#: Doors that take text bit by bit, and how.
STREAMING_DOORS: Final[dict[str, tuple[DoorName, ...]]] = {
    "sentences": (),
    "context": ("live",),
    "flush": ("live", "v3.1"),
}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_V2_LANGUAGES: Final = _words("en hi mr kn ta bn gu de fr es it pl nl ru ar he")
_BASE_LANGUAGES: Final = _words("auto en hi mr gu pa bn or ta te kn ml es fr de it nl sv pt pl ru")
#: `he` is in the service's schema and on no model's card: not known to be wrong for either.
_DOUBTFUL: Final = ("he",)
_PRO_LANGUAGES: Final = (*_BASE_LANGUAGES, *_words("el fi no zh ja ko id ms vi tr ar"))
_V4_LANGUAGES: Final = ("en", "auto")

BASE_VOICES: Final = _words("""
    magnus sophia olivia devansh maithili kartik liam avery
    quinn mia daniel rachel nicole elizabeth jordan robert johnny lucas ronald blofeld zorin felix malcolm lauren
    hannah vanessa brooke ilsa christine william erica chloe sunidhi chinmayi aanya siya anuja avni ishani yuvika
    advika sana sameera srishti sakshi maya wasim rehan parth atharv vivaan aarush neel mihir
    daniella camilla alba marcos david nerea miguel
    jeevan rajeshwari vaisakh shibi srihari padmaja rupali nilesh niharika dhruvit deepashri pranav
""")
PRO_VOICES: Final = _words("""
    meher kaitlyn rhea aviraj sophie sam blake
    zariya kareena mishka inaaya saira aarini vyom zoravar reyansh ahan ellie cressida ottilie elowen seraphina
    henry benedict cormac rupert finley savannah amelia zoe ruby leah jenna kate molly sara fiona austin jack leo luke
    owen mrunal manasi ketaki tejaswini mandar tushar malar nila tamilselvi mathan dinesh prabhu ezhil kavin tamizh
    barath sakthi murugan parvathy lakshmi vishnu sreenath unni aravindan sravani swathi naveen charan sasank bhaskar
    gopal manohar spoorthi rashmi varsha sahana rakshith kishore yogesh gowtham shankar basava jasleen manmeet rajdeep
    tejinder sukhdeep amrit gagandeep rajib tanmoy subhro arghya indranil sasmita ankita subrat debasish sambit pratik
    rakesh smruti krupa riddhi jignesh mit keval layla adam hazel vivian dylan silas eli nora bryce miles cole aria
    mila daisy jasper june sasha roman beau wes kai hanna lea petra max ben markus finn martina ines paula sebastian
    mateo gabriel manon juliette lucie elise amelie louis nicolas maxime raphael silvia concetta arianna davide luca
    leonardo juliana leticia gustavo thiago bruno catarina francisco anastasia ekaterina olga irina andrei nikolai
    maksim katerina dimitra athina dimitris vasilis aino helmi venla mika timo matti solveig marit kristian espen ewa
    joanna tomasz jakub
""")
#: Pool -> its voices, the ones to recommend first. Pools are called as their plain model is.
_VOICES: Final = {BASE: BASE_VOICES, PRO: PRO_VOICES, V4: ("brannock", "rhodes")}
_RECOMMENDED: Final = 6
_CLONED: Final = "voice_"


def pool_of(model: str) -> str | None:
    """The pool of voices that `model` speaks with; None when that is not known."""
    plain = model.replace("-", "_")
    if plain == BASE or (_DATED.fullmatch(plain) and "_pro" not in plain):
        return BASE
    if plain == PRO or _DATED.fullmatch(plain):
        return PRO
    return V4 if plain == V4 else None


class Catalogue:
    """Which voice belongs to which model: what is known from the start, and what the service has said since."""

    def __init__(self) -> None:
        self._listed: dict[str, frozenset[str]] = {}

    def learn(self, model: str, voice_ids: Iterable[str]) -> None:
        """`voice_ids` is the service's answer to which voices `model` has; an empty one teaches nothing."""
        pool, listing = pool_of(model), frozenset(voice_ids)
        if pool and listing:
            self._listed[pool] = listing

    def problem_with_voice(self, voice_id: str, model: str) -> str:
        """Why `model` should not be asked for `voice_id`; empty when nothing is known against it."""
        pool = pool_of(model)
        if not voice_id.strip():
            return "is empty: name a voice"
        if pool is None or voice_id.startswith(_CLONED) or voice_id in self._voices_of(pool):
            return ""
        for other in _VOICES:
            if other != pool and voice_id in self._voices_of(other):
                return (
                    f'"{voice_id}" is a voice of {other} and gives wrong audio with {model}: '
                    f'set model = "{other}"{_door_of(other)}, or take a voice of {pool} such as {self._some(pool)}'
                )
        if self._authoritative(pool):
            return f'"{voice_id}" is no voice of {pool}; {self._nearest(voice_id, pool)}'
        return ""

    def _authoritative(self, pool: str) -> bool:
        """Whether `pool`'s listing is its own, and not that of all pools together."""
        if pool not in self._listed:
            return False
        listing = self._listed[pool]
        others = [other for other in _VOICES if other != pool]
        return not any(
            listing == self._listed.get(other) or 2 * len(listing & set(_VOICES[other])) > len(_VOICES[other])
            for other in others
        )

    def _voices_of(self, pool: str) -> Iterable[str]:
        return self._listed[pool] if self._authoritative(pool) else _VOICES[pool]

    def _some(self, pool: str) -> str:
        voices = self._voices_of(pool)
        known = [voice for voice in _VOICES[pool] if voice in voices]
        return ", ".join((known or sorted(voices))[:_RECOMMENDED])

    def _nearest(self, voice_id: str, pool: str) -> str:
        near = meant(voice_id.casefold(), self._voices_of(pool), most=3)
        return near or f"it has {self._some(pool)}, ..."


#: What is known from the start. Whoever learns more makes a catalogue of their own.
KNOWN: Final = Catalogue()


def _door_of(pool: str) -> str:
    return ' and door = "v4"' if pool == V4 else ""


# -- one value ---------------------------------------------------------------------------------------------------------


def problem_with_model(model: str, door: DoorName) -> str:
    """Why `door` cannot speak with `model`; empty when nothing is known against it."""
    if door in DOOR_MODEL:
        wanted = DOOR_MODEL[door]
        return "" if model == wanted else f'door "{door}" speaks {wanted} alone: set model = "{wanted}"'
    if door == "local" or model in MODELS or _DATED.fullmatch(model):
        return ""
    plain = model.replace("-", "_")
    if "-" in model and (plain in MODELS or _DATED.fullmatch(plain)):
        return f'did you mean "{plain}"? "{model}" is how paths and older pages write it'
    if plain in (V2, V4):
        return f'{plain} is spoken by a door of its own: set door = "{plain.removeprefix("lightning_")}"'
    if plain in ("lightning", "lightning_large"):
        return f'"{model}" is retired, whatever older pages say: {BASE} took its place'
    if door not in DOORS_OF_V31 and _is_newer(model):
        return ""
    near = meant(plain, MODELS, mark='"')
    return f'"{model}" is none of {", ".join(MODELS)}' + (f"; {near}" if near else "")


def _is_newer(model: str) -> bool:
    version = _VERSION.fullmatch(model)
    return version is not None and (int(version[1]), int(version[2] or 0)) > _NEWEST


def problem_with_language(language: str, model: str, door: DoorName) -> str:
    """Why `model` through `door` cannot speak `language`; empty when nothing is known against it."""
    speaks, who = _languages(model, door)
    if door == "local" or language in speaks or language in _DOUBTFUL and speaks is not _V4_LANGUAGES:
        return ""
    if speaks is _BASE_LANGUAGES and language in _PRO_LANGUAGES:
        return f'"{language}" is spoken by {PRO} alone: set model = "{PRO}" and one of its voices'
    plain = re.split(r"[-_]", language.casefold())[0]
    hint = f': did you mean "{plain}"?' if plain in speaks else ""
    return f'"{language}" is no language of {who}{hint or ", which speaks " + " ".join(speaks)}'


def _languages(model: str, door: DoorName) -> tuple[tuple[str, ...], str]:
    """What is spoken, and by whom."""
    model = DOOR_MODEL.get(door, model)
    if model == V2:
        return _V2_LANGUAGES, V2
    if model == V4:
        return _V4_LANGUAGES, V4
    return (_BASE_LANGUAGES, BASE) if pool_of(model) == BASE else (_PRO_LANGUAGES, model)


# -- values together ---------------------------------------------------------------------------------------------------


def problems_with_voice(
    door: DoorName, model: str, language: str, voice_id: str, catalogue: Catalogue = KNOWN
) -> Iterator[tuple[str, str]]:
    """Why `door` cannot speak as these ask: field and reason, the decisive first."""
    if door == "local":
        return  # whatever its program does with them
    if wrong_model := problem_with_model(model, door):
        yield "model", wrong_model
        return
    if wrong_language := problem_with_language(language, model, door):
        yield "language", wrong_language
    if wrong_voice := catalogue.problem_with_voice(voice_id, model):
        yield "voice_id", wrong_voice


# -- an entry of the configuration -------------------------------------------------------------------------------------


def problems_of_entry(entry: LightningConfig) -> Iterator[tuple[str, str]]:
    """What in an entry of ``[lightning]`` does not fit together: key and reason, the decisive first."""
    yield from problems_with_voice(entry.door, entry.model, entry.language, entry.voice_id)
    yield from _unusable_settings(entry)


def _unusable_settings(entry: LightningConfig) -> Iterator[tuple[str, str]]:
    door, output = entry.door, entry.output
    if entry.command and door != "local":
        yield "command", f'is for door = "local" alone, and door is "{door}"'
    if entry.text_streaming != "sentences" and door not in STREAMING_DOORS[entry.text_streaming]:
        takes = " and ".join(f'"{name}"' for name in STREAMING_DOORS[entry.text_streaming])
        yield "text_streaming", f'"{entry.text_streaming}" is for door {takes}; set "sentences" for "{door}"'
    if output in ("ulaw", "alaw") and door in PCM_DOORS:
        yield "output", f'"{output}" is unknown to door "{door}": set "auto", and PCM is converted here'
    elif output in ("ulaw", "alaw") and entry.sample_rate != 8000:
        yield (
            "output",
            f'"{output}" is the telephone\'s and needs sample_rate = 8000, not {entry.sample_rate}',
        )
