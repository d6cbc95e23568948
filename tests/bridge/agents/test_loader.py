"""From an entrypoint to an agent: every mistake is told at start, by key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.agents.conversation import Manners
from bridge.agents.greeter import GreeterOptions, greeter
from bridge.agents.loader import Agent, load_agent, prepare, prepare_quietly, require_words
from bridge.config import AgentConfig
from bridge.errors import ConfigError
from bridge.surroundings import Surroundings

Load = Callable[..., Agent]

GOOD = """
import functools
import msgspec
from typing import Annotated

class Options(msgspec.Struct, forbid_unknown_fields=True):
    times: Annotated[int, msgspec.Meta(ge=1)] = 1

async def agent(call): ...
async def with_default(call, more=None): ...
async def with_options(call): ...
with_options.options_type = Options
class Deep:
    async def method(self, call): ...
bound = Deep().method
partial = functools.partial(with_default, more=1)

def not_async(call): ...
async def no_call(): ...
async def two(call, other): ...
async def generator(call): yield
a_number = 5
nothing = None
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load ``<module>:<name>``, the module having this text."""
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(entrypoint: str, text: str = GOOD, **options: Any) -> Agent:
        (tmp_path / "my_agents.py").write_text(text)
        return load_agent(AgentConfig(entrypoint, options), "bridge.toml")

    yield loaded
    sys.modules.pop("my_agents", None)


def test_the_default_is_the_greeter() -> None:
    assert load_agent(AgentConfig()) is greeter


@pytest.mark.parametrize("name", ["agent", "with_default", "with_options", "bound", "partial"])
def test_what_is_an_agent(load: Load, name: str) -> None:
    assert load(f"my_agents:{name}") is getattr(sys.modules["my_agents"], name)


NOT_ONE = "must be an `async def` of one argument, the call"


@pytest.mark.parametrize(
    "entrypoint, text, reason",
    [
        ("no_such_module:agent", "", "cannot import no_such_module: No module named 'no_such_module'; "
                                     "is its folder in PYTHONPATH?"),
        ("my_agents.deeper:agent", "", "cannot import my_agents.deeper: No module named 'my_agents.deeper'; "
                                       "'my_agents' is not a package; is its folder in PYTHONPATH?"),
        ("my_agents:agent", "import no_such_library", "cannot import my_agents: No module named 'no_such_library'"),
        ("my_agents:agent", "\n1 / 0", "cannot import my_agents: ZeroDivisionError: division by zero ({}, line 2)"),
        ("my_agents:agent", "from bridge import nobody", "cannot import my_agents: ImportError: cannot import name "),
        ("my_agents:agent", "def (", "cannot import my_agents: SyntaxError: invalid syntax"),
        (".relative:agent", "", "cannot import .relative: TypeError: "),
        ("my_agents:nobody", GOOD, "my_agents has no 'nobody'"),
        ("my_agents:nothing", GOOD, "my_agents has no 'nothing'"),
        ("my_agents:not_async", GOOD, f"my_agents:not_async {NOT_ONE}"),
        ("my_agents:no_call", GOOD, f"my_agents:no_call {NOT_ONE}"),
        ("my_agents:two", GOOD, f"my_agents:two {NOT_ONE}"),
        ("my_agents:generator", GOOD, f"my_agents:generator {NOT_ONE}"),
        ("my_agents:a_number", GOOD, f"my_agents:a_number {NOT_ONE}"),
        ("my_agents:Deep", GOOD, f"my_agents:Deep {NOT_ONE}"),
    ],
)  # fmt: skip
def test_what_is_none(load: Load, tmp_path: Path, entrypoint: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(entrypoint, text)
    assert (caught.value.key, caught.value.source) == ("agent.entrypoint", "bridge.toml")
    assert caught.value.reason.startswith(reason.format(tmp_path / "my_agents.py"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tines": 1}, "bridge.toml: agent.options.tines: is not a setting; did you mean `times`?"),
        ({"times": "x"}, "bridge.toml: agent.options.times: must be a whole number, not text in quotes"),
        ({"times": 0}, "bridge.toml: agent.options.times: must be >= 1"),
    ],
)
def test_options_that_the_agent_does_not_take(load: Load, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("my_agents:with_options", **options)
    assert str(caught.value) == message


def test_an_agent_that_names_no_options_takes_any(load: Load) -> None:
    load("my_agents:agent", anything=[1, 2])


def test_an_agent_that_needs_words_is_refused_where_there_are_none(load: Load) -> None:
    agent = load("my_agents:agent", GOOD + "agent.needs_words = True")
    config = AgentConfig("my_agents:agent")
    require_words(agent, config, heard=True)
    require_words(load("my_agents:with_default"), config, heard=False)
    with pytest.raises(ConfigError) as caught:
        require_words(agent, config, "bridge.toml", heard=False)
    assert str(caught.value) == (
        "bridge.toml: agent.entrypoint: my_agents:agent listens to words: add a [pulse] section, or name another "
        "[transcriber]"
    )


async def test_what_an_agent_prepares_is_given_its_options_and_surroundings() -> None:
    given: list[object] = []

    async def agent(_call: object) -> None: ...

    async def get_ready(options: GreeterOptions, surroundings: Surroundings) -> None:
        given.extend((options.reply, surroundings))

    agent.options_type = GreeterOptions  # type: ignore[attr-defined]
    agent.prepare = get_ready  # type: ignore[attr-defined]
    surroundings = Surroundings()
    await prepare(agent, AgentConfig("x:y", {"reply": "Yes."}), surroundings)
    assert given == ["Yes.", surroundings]


@pytest.mark.parametrize(
    "key, whole", [("reply", "agent.options.reply"), ("agent.entrypoint", "agent.entrypoint")]
)
async def test_what_it_refuses_is_told_by_key(key: str, whole: str) -> None:
    async def agent(_call: object) -> None: ...

    async def get_ready(_options: GreeterOptions, _surroundings: Surroundings) -> None:
        raise ConfigError("is not good enough", key=key)

    agent.options_type = GreeterOptions  # type: ignore[attr-defined]
    agent.prepare = get_ready  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as caught:
        await prepare(agent, AgentConfig("x:y"), Surroundings(), "bridge.toml")
    assert str(caught.value) == f"bridge.toml: {whole}: is not good enough"


async def polite(call: object) -> None: ...


polite.options_type = Manners  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options, key",
    [
        ({"filler": "one_momnt"}, "filler"),
        ({"reprompt": ["Are you there?", "menu.there"]}, "reprompt"),
        ({"filler": "one_moment", "greeting": "shop.hello", "goodbye": "Goodbye.", "apology": ""}, ""),
    ],
)
async def test_the_id_of_a_prompt_that_there_is_not_is_told_at_start(
    options: dict[str, Any], key: str
) -> None:
    surroundings = Surroundings()
    surroundings.prompts = {"shop.hello"}
    caught: list[str] = []
    try:
        await prepare(polite, AgentConfig("x:polite", options), surroundings)
    except ConfigError as error:
        caught.append(error.key)
    assert caught == ([f"agent.options.{key}"] if key else [])


async def test_what_is_wrong_is_logged_where_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    surroundings = Surroundings()
    surroundings.prompts = ()
    await prepare_quietly(polite, AgentConfig("x:polite", {"filler": "one_momnt"}), surroundings)
    assert 'x:polite cannot do its work: agent.options.filler: there is no prompt "one_momnt"' in caplog.text


async def test_who_has_nothing_to_prepare_is_ready() -> None:
    await prepare(greeter, AgentConfig(), Surroundings())
