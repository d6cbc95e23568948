"""Files at start and later: refused whole, read again by a signal or by who has the operators' token."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from msgspec.structs import replace

from bridge.config import Config, Secret, TranscriberConfig
from bridge.errors import ConfigError
from bridge.observe.stats import TranscriberStats
from bridge.problems import FilesRefused
from bridge.server.flows import reloading_on_hangup
from bridge.server.serve import Server, running
from tests.support.bridge import make_config
from tests.support.transcriber import ScriptedTranscriber
from tests.support.waiting import until

GOOD = 'start = "end"\n[steps.end]\ndo = "hang_up"\ntext = "Goodbye."\n'
BAD = GOOD.replace("hang_up", "hang_out")
TOKEN = Secret("a-token-for-tests")


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    file = tmp_path / "flows" / "main.toml"
    write(file, GOOD)
    return file


def write(file: Path, text: str) -> None:
    file.write_text(text)


def configured(flow: Path, **server: Any) -> Config:
    """Serves that flow. Nobody speaks: nobody calls."""
    folders = {"flows": {"folder": str(flow.parent)}, "prompts": {"cache": str(flow.parent.parent / "cache")}}
    silent = {"spare_connections": 0}
    return make_config(
        "http://127.0.0.1:9", "bridge.agents.ivr:ivr", lightning=silent, server=server, **folders
    )


@asynccontextmanager
async def serving(flow: Path, **server: Any) -> AsyncIterator[Server]:
    async with running(configured(flow, **server), source="bridge.toml") as made:
        yield made


async def asked(server: Server, **headers: str) -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{server.port}/flows/reload"
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


# -- at start ----------------------------------------------------------------------------------------------------------


async def test_bad_files_keep_a_server_from_starting(flow: Path) -> None:
    write(flow, BAD)
    with pytest.raises(FilesRefused, match=r'main\.toml:3: steps\.end\.do: must be one of .*"hang_up"'):
        async with serving(flow):
            raise AssertionError("it serves")


class Listener(ScriptedTranscriber):
    """Notes when it is started and closed, in `kept`."""

    kept: ClassVar[list[str]] = []

    async def start(self) -> None:
        self.kept.append("started")

    async def close(self) -> None:
        self.kept.append("closed")


def listener(_options: dict[str, object], _stats: TranscriberStats) -> Listener:
    return Listener()


async def test_what_was_opened_is_closed_when_a_server_cannot_start(flow: Path) -> None:
    write(flow, BAD)
    config = replace(configured(flow), transcriber=TranscriberConfig(entrypoint=f"{__name__}:listener"))
    Listener.kept.clear()
    with pytest.raises(FilesRefused):
        async with running(config, source="bridge.toml"):
            raise AssertionError("it serves")
    assert Listener.kept == ["started", "closed"]


@pytest.mark.parametrize("greeting, refused", [("Hello.", True), ("Hello {name}.", False)])
async def test_an_agent_that_a_step_names_gets_ready_at_start(
    flow: Path, greeting: str, refused: bool
) -> None:
    named = 'start = "name"\n[steps.name]\ndo = "set"\nvalues = { name = "Ada" }\nnext = "ask"\n'
    step = '[steps.ask]\ndo = "agent"\nentrypoint = "bridge.agents.hydra:agent"\n'
    write(flow, f'{named}{step}[steps.ask.options]\nfailure_transfer = "boss"\ngreeting = "{greeting}"\n')
    told: list[tuple[str, str]] = []
    try:
        async with serving(flow):
            pass
    except ConfigError as error:
        told.append((error.key, Path(error.source).name))
    assert told == ([("steps.ask.options.failure_transfer", "main.toml")] if refused else [])


async def test_a_flow_that_the_configuration_wants_must_be_there(flow: Path) -> None:
    config = configured(flow)
    config = replace(config, agent=replace(config.agent, options={"flow": "other"}))
    with pytest.raises(FilesRefused, match=r"^bridge\.toml: agent\.options\.flow: there is no flow 'other'"):
        async with running(config, source="bridge.toml"):
            raise AssertionError("it serves")


# -- later -------------------------------------------------------------------------------------------------------------


async def test_good_files_are_taken_and_bad_ones_told(flow: Path) -> None:
    async with serving(flow) as server:
        assert await asked(server) == (200, {"edition": 2, "flows": 1, "prompts": 1, "problems": []})
        write(flow, BAD)
        status, told = await asked(server)
        assert status == 422
        assert told["error"] in told["problems"] and f"{flow}:3: steps.end.do: " in told["error"]
        assert server.runtime.library.edition.number == 2
        assert server.runtime.stats.reloads == {"taken": 1, "refused": 1}


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 403),
        ({"Authorization": "Bearer another"}, 403),
        ({"Authorization": f"Bearer {TOKEN.reveal()}"}, 200),
    ],
)
async def test_only_operators_may(flow: Path, headers: dict[str, str], status: int) -> None:
    async with serving(flow, admin_token=TOKEN) as server:
        assert (await asked(server, **headers))[0] == status
        assert server.runtime.library.edition.number == (2 if status == 200 else 1)


@pytest.fixture
def old_handler() -> Iterator[None]:
    """Leaves SIGHUP as it was."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this platform has no SIGHUP")
@pytest.mark.usefixtures("old_handler")
async def test_a_signal_reads_them_again(flow: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(flow) as server:
        library, stats = server.runtime.library, server.runtime.stats
        with reloading_on_hangup(library):
            signal.raise_signal(signal.SIGHUP)
            await until(lambda: library.edition.number == 2)
            write(flow, BAD)
            signal.raise_signal(signal.SIGHUP)
            await until(lambda: stats.reloads["refused"] == 1)
            assert library.edition.number == 2
        assert f"{flow}:3: steps.end.do: " in caplog.text
