"""The examples of config/ivr.toml on stage: their own files, their made-up API, and prompts rendered once for all.

Strategy:

- The files are copied, and only what must differ is changed: the port of the API, and what callers would wait for.
- Lightning speaks in tones, and in a thread: what is rendered is kept by who speaks it, so calls find it only when they
  ask the same Lightning.
- What a caller heard is asked for by its words: their pitches, one after the other.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, groupby
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from bridge.call import Call
from bridge.config import Config, LightningConfig, load_config
from bridge.emulators.call_report import CallReport
from bridge.emulators.caller_script import Action
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.speech_engine import ToneEngine
from bridge.flows.library import read_edition
from bridge.observe.metrics import exposition
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.renderer import Renderer
from bridge.prompts.shelf import Shelf
from tests.support.bridge import API_KEY, Stage, stage
from tests.support.carrier_cases import all_cases
from tests.support.in_thread import in_thread
from tests.support.source import ROOT
from tests.support.tone_words import spoken, tones_in

CONFIG: Final = ROOT / "config"
#: Where the made-up API is in the files.
API_ADDRESS: Final = "127.0.0.1:8090"
#: Faster than anybody likes to be spoken to: calls are in real time.
SPEED: Final = 2.0
#: A Tuesday, when the clinic is open.
OPEN: Final = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
#: The night after, when nobody is anywhere.
CLOSED: Final = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)


def example_config() -> Config:
    """config/ivr.toml as it stands."""
    return load_config(CONFIG / "ivr.toml", {})


def made_up_api() -> Any:
    """The API of config/ivr_api.py, on the day of `OPEN`."""
    spec = importlib.util.spec_from_file_location("ivr_api", CONFIG / "ivr_api.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Api(OPEN.date())


# -- prompts -----------------------------------------------------------------------------------------------------------


@dataclass
class Rendered:
    """Prompts that are ready, and who has spoken them."""

    lightning: EmulatedLightning
    cache: Path

    @property
    def voice(self) -> dict[str, Any]:
        """Of ``[lightning]``, for who wants to find them."""
        return {"base_url": self.lightning.url, "speed": SPEED, "concurrency": 10}


@contextmanager
def rendered(cache: Path) -> Iterator[Rendered]:
    """All fixed prompts of the examples, in `cache`; their Lightning speaks for as long as the block runs."""
    with in_thread(EmulatedLightning(engine=ToneEngine())) as lightning:
        made = Rendered(lightning, cache)
        asyncio.run(_render(replace(example_config().lightning, api_key=API_KEY, **made.voice), cache))
        yield made


async def _render(config: LightningConfig, cache: Path) -> None:
    kept = PromptCache(cache, PromptStats())
    shelf = Shelf(read_edition(example_config())[0].shelf.book, kept, config=config)
    shelf.warm()
    async with Renderer(config, kept, kept.stats) as renderer:
        report = await renderer.render(shelf.missing())
    assert report.failures == [] and report.rendered
    await shelf.close()


# -- bridges -----------------------------------------------------------------------------------------------------------


@dataclass
class Menu:
    """A bridge that plays one of the examples."""

    stage: Stage
    #: The made-up API.
    api: Any
    #: The copied files.
    folder: Path

    @property
    def messages(self) -> list[Path]:
        """What callers have left."""
        return sorted((self.folder / "recordings").glob("*"))


@asynccontextmanager
async def menu(
    flow: str,
    prompts: Rendered,
    folder: Path,
    *,
    at: datetime = OPEN,
    api: web.Application | None = None,
    edits: Mapping[str, str] | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    **changes: Any,
) -> AsyncIterator[Menu]:
    """Set one of the examples up.

    Args:
        flow: which one.
        folder: where its files are copied to.
        at: what time it is for business hours.
        api: who answers webhooks, instead of the made-up API.
        edits: what the flows say instead of what they say, so that nobody need wait long.
        sections, changes: as of `stage`.
    """
    made_up = made_up_api()
    async with TestServer(api or made_up.app()) as server:  # one that hangs is over when nobody waits
        address = f"{server.host}:{server.port}"
        copied(folder, {API_ADDRESS: address, **(edits or {})})
        wanted: dict[str, dict[str, Any]] = {
            "lightning": prompts.voice | {"hedge_after_s": 0.0},
            "agent": {"options": {"flow": flow}},
            "prompts": {"folder": str(folder / "prompts"), "cache": str(prompts.cache)},
            "flows": {
                "folder": str(folder / "flows"),
                "webhook_hosts": [f"http://{address}"],
                "recordings": str(folder / "recordings"),
            },
        }
        for name, keys in (sections or {}).items():
            wanted.setdefault(name, {}).update(keys)
        async with stage("bridge.agents.ivr:ivr", sections=wanted, **changes) as s:
            s.server.runtime.library.now = lambda: at
            yield Menu(s, made_up, folder)


def copied(folder: Path, edits: Mapping[str, str]) -> None:
    """The examples' files in `folder`, with something else in the flows than what they say."""
    for part in ("flows", "prompts"):
        shutil.copytree(CONFIG / part, folder / part)
    for path in (folder / "flows").iterdir():
        text = path.read_text("utf-8")
        for old, new in edits.items():
            text = text.replace(old, new)
        path.write_text(text, "utf-8")


# -- calls -------------------------------------------------------------------------------------------------------------


@dataclass
class Dialled:
    """A call that is over, and what there was around it."""

    report: CallReport
    call: Call
    menu: Menu
    #: As they are scraped.
    metrics: str

    def hears(self, text: str) -> bool:
        """Whether the caller has heard `text`, all of it and in one go."""
        return hears(self.report.heard, text)

    @property
    def handed_to(self) -> list[str]:
        """Whom the carrier was told to connect the caller to, when the stream was over."""
        return [verb.text for verb in self.report.verbs]


#: What `Telephone.dial` hands on to `menu`.
_OF_MENU: Final = frozenset({"at", "api", "edits", "sections"})


class Telephone:
    """Dials the examples, each call at a bridge of its own."""

    def __init__(self, prompts: Rendered, folder: Path) -> None:
        self.prompts, self._folder = prompts, folder
        self._numbers = count()

    def folder(self) -> Path:
        """A fresh one, for a bridge."""
        folder = self._folder / f"bridge-{next(self._numbers)}"
        folder.mkdir()
        return folder

    async def dial(self, flow: str, carrier: str, *actions: Action, **changes: Any) -> Dialled:
        """Dial one of the examples, to the end of the call. `changes` are those of `menu` and of the plan."""
        plan = {name: changes.pop(name) for name in list(changes) if name not in _OF_MENU}
        section = all_cases()[carrier].section
        async with menu(flow, self.prompts, self.folder(), carrier=carrier, section=section, **changes) as m:
            report = await m.stage.call(*actions, **{"hang_up_after_s": 20.0} | plan)
            await m.stage.server.runtime.drained()
            metrics = exposition(m.stage.server.runtime)[0].decode()
            return Dialled(report, m.stage.the_call, m, metrics)


# -- what was heard ----------------------------------------------------------------------------------------------------


def pitches_of(mulaw: bytes) -> list[int]:
    """The pitches that are heard, one after the other; two equal ones in a row are one."""
    return [pitch for pitch, _ in groupby(tone.pitch_hz for tone in tones_in(mulaw))]


def hears(heard: bytes, text: str) -> bool:
    """Whether `text` is heard, all of it and in one go."""
    wanted, found = pitches_of(spoken(text, speed=SPEED)), pitches_of(heard)
    return any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))
