"""Configuration: what it is, where it comes from, and how every mistake in it is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.twilio import TwilioConfig
from bridge.config import Config, PulseConfig, Secret, ServerConfig, load_config, require_for_serving
from bridge.errors import ConfigError

Load = Callable[..., Config]
#: More than any parser's stack.
NESTED = "[" * 100_000


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a file with this text, and these variables; the file's name in errors is ``FILE``."""

    def loaded(text: str | bytes = "", **environ: str) -> Config:
        path = tmp_path / "bridge.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        try:
            return load_config(path, environ)
        except ConfigError as error:
            source = error.source.replace(str(path), "FILE")
            raise ConfigError(error.reason, key=error.key, source=source) from None

    return loaded


# -- what is right -----------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    assert load_config(environ={}) == Config()


def test_the_file_sets_what_it_names_and_nothing_else(load: Load) -> None:
    config = load(
        '[server]\nport = 9000\n[agent.options]\nGreeting = "Hi"\n[carriers.twilio]\nauth_token = "t"'
    )
    assert config.server == ServerConfig(port=9000)
    assert config.agent.options == {"Greeting": "Hi"}
    assert config.carriers.twilio == TwilioConfig(auth_token=Secret("t"))
    assert config.lightning == Config().lightning


def test_the_byte_order_mark_that_some_editors_write_is_no_error(load: Load) -> None:
    assert load(b"\xef\xbb\xbf[server]\nport = 9000").server.port == 9000


@pytest.mark.parametrize(
    "variable, text, section, value",
    [
        ("BRIDGE_SERVER__PORT", "9000", "server.port", 9000),
        ("BRIDGE_SERVER__DRAIN_TIMEOUT_S", "2.5", "server.drain_timeout_s", 2.5),
        ("BRIDGE_SERVER__ADMIN_TOKEN", "12", "server.admin_token", Secret("12")),
        (
            "BRIDGE_LIGHTNING__BASE_URL",
            "http://127.0.0.1:9001",
            "lightning.base_url",
            "http://127.0.0.1:9001",
        ),
        ("BRIDGE_LIGHTNING__SPEED", "2", "lightning.speed", 2.0),
        (
            "BRIDGE_LIGHTNING__PROXY",
            "http://u:p@proxy:3128",
            "lightning.proxy",
            Secret("http://u:p@proxy:3128"),
        ),
        ("BRIDGE_BARGE_IN__MODE", "digits", "barge_in.mode", "digits"),
        ("BRIDGE_PLAYOUT__LEAD_MS", "100", "playout.lead_ms", 100),
        ("BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN", "t", "carriers.twilio.auth_token", Secret("t")),
        ("BRIDGE_AGENT__ENTRYPOINT", "my.agents:one", "agent.entrypoint", "my.agents:one"),
        ("BRIDGE_AGENT__OPTIONS", '{greeting = "Hi"}', "agent.options", {"greeting": "Hi"}),
        ("BRIDGE_AGENT__OPTIONS__GREETING", "Hello, = you", "agent.options", {"greeting": "Hello, = you"}),
        ("BRIDGE_AGENT__OPTIONS__MENU__KEYS", "[1, 2]", "agent.options", {"menu": {"keys": [1, 2]}}),
        ("BRIDGE_AGENT__OPTIONS__COUNT", "5", "agent.options", {"count": 5}),
        ("BRIDGE_AGENT__OPTIONS__TEXT", "1\nserver = 2", "agent.options", {"text": "1\nserver = 2"}),
        pytest.param("BRIDGE_AGENT__OPTIONS__T", NESTED, "agent.options", {"t": NESTED}, id="nested"),
        ("SMALLEST_API_KEY", "sk-1", "lightning.api_key", Secret("sk-1")),
    ],
)
def test_every_section_can_be_set_from_the_environment(
    variable: str, text: str, section: str, value: object
) -> None:
    found: Any = load_config(environ={variable: text})
    for name in section.split("."):
        found = getattr(found, name)
    assert found == value


def test_the_environment_is_stronger_than_the_file(load: Load) -> None:
    file = '[server]\nport = 1\nhost = "::1"\n[lightning]\napi_key = "of-the-file"\n[agent.options]\na = 1\nb = 2'
    config = load(
        file, BRIDGE_SERVER__PORT="2", SMALLEST_API_KEY="of-the-environment", BRIDGE_AGENT__OPTIONS__B="3"
    )
    assert (config.server.port, config.server.host) == (2, "::1")
    assert config.lightning.api_key == Secret("of-the-environment")
    assert config.agent.options == {"a": 1, "b": 3}


def test_an_option_of_the_environment_may_be_a_table_where_the_file_has_none(load: Load) -> None:
    assert load("[agent.options]\na = 1", BRIDGE_AGENT__OPTIONS__A__B="2").agent.options == {"a": {"b": 2}}


def test_our_own_variable_is_stronger_than_the_usual_one() -> None:
    environ = {"SMALLEST_API_KEY": "usual", "BRIDGE_LIGHTNING__API_KEY": "own"}
    assert load_config(environ=environ).lightning.api_key == Secret("own")


def test_an_empty_usual_key_is_none(load: Load) -> None:
    assert load('[lightning]\napi_key = "a"', SMALLEST_API_KEY="").lightning.api_key == Secret("a")


def test_variables_that_are_not_ours_are_left_alone() -> None:
    environ = {"BRIDGE": "1", "BRIDGE_HOME": "/", "MY_BRIDGE_SERVER__PORT": "1", "bridge_server__port": "1"}
    assert load_config(environ=environ) == Config()


def test_without_an_environment_the_process_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_SERVER__PORT", "4321")
    assert load_config().server.port == 4321


def test_changes_leave_out_what_is_none() -> None:
    lightning = Config().lightning.with_changes({"voice_id": "sophia", "model": None})
    assert (lightning.voice_id, lightning.model) == ("sophia", Config().lightning.model)


# -- what is wrong -----------------------------------------------------------------------------------------------------

PLAIN_URL = "must be http:// or https://host[:port][/path], without a query or a user"
MODES = 'must be one of "off", "digits", "speech", "both"'
HEADER = "holds a blank or another character that no HTTP header can carry"


@pytest.mark.parametrize(
    "text, message",
    [
        ("[server]\nprot = 1", "server.prot: is not a setting; did you mean `port`?"),
        ("[sever]\nport = 1", "sever: is not a setting; did you mean `server`?"),
        ("[playout]\nxyz = 1", "playout.xyz: is not a setting; here are lead_ms"),
        ("[carriers.twillio]\na = 1", "carriers.twillio: is not a setting; did you mean `twilio`?"),
        (
            "[carriers.twilio]\nsid = 1",
            "carriers.twilio.sid: is not a setting; here are account_sid, auth_token, listen_only, listen_dial, "
            "api_url",
        ),
        (
            '"a b" = 1',
            "a b: is not a setting; here are server, lightning, speech, barge_in, playout, prompts, flows, dtmf, "
            "pulse, transcriber, turns, budget, carriers, agent",
        ),
        ('[server]\nport = "x"', "server.port: must be a whole number, not text in quotes"),
        ("[server]\nport = 1.5", "server.port: must be a whole number, not a number"),
        ("[server]\nport = true", "server.port: must be a whole number, not true or false"),
        ("[server]\nhost = [1]", "server.host: must be text in quotes, not a list"),
        ("server = 5", "server: must be a table, not a whole number"),
        ("[carriers]\ntwilio = 5", "carriers.twilio: must be a table, not a whole number"),
        (
            '[carriers.telnyx]\napi_url = "api.telnyx.example"',
            "carriers.telnyx.api_url: must be http:// or https://host[:port][/path], without a query or a user",
        ),
        ("[agent]\noptions = 3", "agent.options: must be a table, not a whole number"),
        ("[server]\ndrain_timeout_s = 1979-05-27", "server.drain_timeout_s: must be a number, not a date"),
        ("[lightning]\napi_key = 3", "lightning.api_key: must be text in quotes"),
        ("[server]\nport = 70000", "server.port: must be <= 65535"),
        (
            '[server]\ntrusted_proxies = ["::1", "10.0.0.1/8"]',
            "server.trusted_proxies: 10.0.0.1/8 has host bits set; write an address,"
            " or a network such as 203.0.113.0/24",
        ),
        ("[server]\nport = -1", "server.port: must be >= 0"),
        ("[server]\ndrain_timeout_s = -1", "server.drain_timeout_s: must be >= 0"),
        ("[server]\ndrain_timeout_s = inf", "server.drain_timeout_s: must be <= 86400"),
        ("[lightning]\nspeed = 2.01", "lightning.speed: must be <= 2"),
        ("[lightning]\nspeed = nan", "lightning.speed: must be >= 0.5"),
        ("[lightning]\nconcurrency = 0", "lightning.concurrency: must be >= 1"),
        ("[lightning]\nspare_connections = -1", "lightning.spare_connections: must be >= 0"),
        ("[lightning]\nstall_timeout_s = 0", "lightning.stall_timeout_s: must be > 0"),
        ('[lightning]\nvoice_id = ""', "lightning.voice_id: must not be empty"),
        ("[barge_in]\nthreshold = 1.0", "barge_in.threshold: must be < 1"),
        ("[barge_in]\nonset_ms = 10", "barge_in.onset_ms: must be >= 32"),
        ("[playout]\nlead_ms = 5000", "playout.lead_ms: must be <= 2000"),
        ('[barge_in]\nmode = "loud"', f"barge_in.mode: {MODES}"),
        ("[barge_in]\nmode = 3", f"barge_in.mode: {MODES}"),
        ('[agent]\nentrypoint = "no colon"', 'agent.entrypoint: must be "module:function"'),
        ("[agent]\nentrypoint = 3", 'agent.entrypoint: must be "module:function"'),
        ('[lightning]\nbase_url = ""', "lightning.base_url: must not be empty"),
        ('[lightning]\napi_key = "a b"', f"lightning.api_key: {HEADER}"),
        ('[server]\nadmin_token = "a\\n"', f"server.admin_token: {HEADER}"),
        ('[lightning]\nproxy = "proxy:3128"', "lightning.proxy: must be http://[user:password@]host:port"),
        *(
            (f'[lightning]\nbase_url = "{url}"', f"lightning.base_url: {PLAIN_URL}")
            for url in (
                "api.smallest.ai",
                "https://api..example.com",
                "ftp://host",
                "wss://host",
                "http://",
                "http://host:0",
                "http://host:99999",
                "http://host:port",
                "http://[::1",
                "http://host/?a=1",
                "http://host/#a",
                "http://user:password@host",
                "http://:password@host",
                "http://ho st",
            )
        ),
        ('[server]\npublic_url = "voice.example.com"', f"server.public_url: {PLAIN_URL}"),
        ("[server", "is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        (b"\xff\xfe", "is not TOML: byte 0 is not UTF-8"),
        pytest.param(f"a = {NESTED}", "is not TOML: nested too deep", id="nested"),
    ],
)
def test_mistakes_in_the_file(load: Load, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value) == f"FILE: {message}"


@pytest.mark.parametrize(
    "variable, text, message",
    [
        ("BRIDGE_SERVER__PORT", "x", "server.port: must be a whole number"),
        ("BRIDGE_SERVER__PORT", "", "server.port: must be a whole number"),
        ("BRIDGE_SERVER__PORT", "-1", "server.port: must be >= 0"),
        ("BRIDGE_SERVER__PROT", "1", "server.prot: is not a setting; did you mean `port`?"),
        ("BRIDGE_SERVER__PORT__X", "1", "server.port.x: is not a setting: server.port is no table"),
        (
            "BRIDGE_CARRIERS__TWILLIO__AUTH_TOKEN",
            "t",
            "carriers.twillio: is not a setting; did you mean `twilio`?",
        ),
        ("BRIDGE_CARRIERS__TWILIO", "t", "carriers.twilio: must be a table"),
        ("BRIDGE_AGENT__OPTIONS", "5", "agent.options: must be a table"),
        ("BRIDGE_BARGE_IN__MODE", "loud", f"barge_in.mode: {MODES}"),
        ("BRIDGE_LIGHTNING__SPEED", "nan", "lightning.speed: must be >= 0.5"),
        ("BRIDGE_LIGHTNING__VOICE_ID", "", "lightning.voice_id: must not be empty"),
        ("BRIDGE_LIGHTNING__VOICE_ID", "\udcff", "lightning.voice_id: is not UTF-8"),
        ("BRIDGE_LIGHTNING__BASE_URL", "x", f"lightning.base_url: {PLAIN_URL}"),
        ("BRIDGE_LIGHTNING__API_KEY", "sk ", f"lightning.api_key: {HEADER}"),
        ("SMALLEST_API_KEY", "sk\n", f"lightning.api_key: {HEADER}"),
        ("SMALLEST_API_KEY", "\udcff", f"lightning.api_key: {HEADER}"),
        ("BRIDGE_SERVER_PORT", "1", "is not read; did you mean BRIDGE_SERVER__PORT?"),
        ("BRIDGE_BARGE_IN_MODE", "off", "is not read; did you mean BRIDGE_BARGE_IN__MODE?"),
    ],
)
def test_mistakes_in_the_environment_name_the_variable(
    load: Load, variable: str, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load("[server]\nport = 1", **{variable: text})
    assert str(caught.value) == f"{variable}: {message}"


def test_a_mistake_of_the_file_is_not_mended_by_the_environment(load: Load) -> None:
    with pytest.raises(ConfigError, match="^FILE: server.port"):
        load('[server]\nport = "x"', BRIDGE_SERVER__PORT="1")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    for path, reason in ((missing, "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as caught:
            load_config(path, {})
        assert str(caught.value) == f"{path}: cannot be read: {reason}"


# -- fallbacks ---------------------------------------------------------------------------------------------------------

TWO = """
[[lightning.fallbacks]]
model = "lightning_v3.1_pro"
voice_id = "meher"
[[lightning.fallbacks]]
base_url = "https://elsewhere.example.com"
api_key = "other"
"""
DOORS = '"live", "sse", "http", "v3.1", "v3.1-sse", "v2", "v2-sse", "v4", "local"'


def test_a_variable_sets_a_key_of_a_fallback_that_the_file_has(load: Load) -> None:
    lightning = load(
        TWO, BRIDGE_LIGHTNING__FALLBACKS__0__API_KEY="k0", BRIDGE_LIGHTNING__FALLBACKS__1__SPEED="1.5"
    ).lightning
    assert [entry.api_key.reveal() for entry in lightning.entries] == ["", "k0", "other"]
    assert [entry.speed for entry in lightning.entries] == [1, 1, 1.5]


def test_a_list_in_a_variable_is_written_as_in_the_file(load: Load) -> None:
    config = load(BRIDGE_LIGHTNING__DOOR="local", BRIDGE_LIGHTNING__COMMAND='["say", "-x"]')
    assert config.lightning.command == ["say", "-x"]
    (fallback,) = load(BRIDGE_LIGHTNING__FALLBACKS='[{speed = 2.0, api_key = "k"}]').lightning.fallbacks
    assert (fallback.speed, fallback.api_key) == (2.0, Secret("k"))


@pytest.mark.parametrize(
    "text, message",
    [
        ('door = "v9"', f"[2].door: must be one of {DOORS}"),
        ("sample_rate = 11025", "[2].sample_rate: must be one of 8000, 16000, 24000, 44100"),
        ("speed = 3", "[2].speed: must be <= 2"),
        ('speed = "x"', "[2].speed: must be a number, not text in quotes"),
        ('voice_id = ""', "[2].voice_id: must not be empty"),
        ("api_key = 3", "[2].api_key: must be text in quotes"),
        ('door = "local"\ncommand = [3]', "[2].command[0]: must be text in quotes, not a whole number"),
        ('voise_id = "x"', "[2].voise_id: is not a setting; did you mean `voice_id`?"),
        ("fallbacks = []", "[2].fallbacks: is not a setting; here are base_url"),
        ('base_url = "api.example.com"', f"[2].base_url: {PLAIN_URL}"),
        ('proxy = "proxy:3128"', "[2].proxy: must be http://[user:password@]host:port"),
        ('api_key = "a b"', f"[2].api_key: {HEADER}"),
        ("", "[2]: is the same as lightning, and would fail as that did"),
        (TWO.split("]]")[1].split("[[")[0], "[2]: is the same as lightning.fallbacks[0], and would fail"),
        ("concurrency = 5", "[2].concurrency: lightning has 1 for the same api_key, and an account has one"),
        ('api_key = "other"\nconcurrency = 5', "[2].concurrency: lightning.fallbacks[1] has 1 for the same"),
        ('door = "v4"', '[2].model: (as in [lightning]) door "v4" speaks lightning_v4 alone'),
        ('door = "v2"\nmodel = "lightning_v2"\nlanguage = "sv"', '[2].language: "sv" is no language of'),
        (
            'model = "lightning_v3.1_pro"',
            '[2].voice_id: (as in [lightning]) "magnus" is a voice of lightning_v3.1',
        ),
        ('command = ["x"]', '[2].command: is for door = "local" alone'),
        ('output = "ulaw"\nsample_rate = 16000', '[2].output: "ulaw" is the telephone'),
    ],
)
def test_mistakes_in_a_fallback(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{TWO}\n[[lightning.fallbacks]]\n{text}")
    assert str(caught.value).startswith(f"FILE: lightning.fallbacks{message}")


@pytest.mark.parametrize(
    "variable, text, message",
    [
        ("2__API_KEY", "k", "[2]: is not in the file: there are 2, [0] to [1]"),
        ("2", "k", "[2]: must be a table"),
        ("0", "k", "[0]: must be a table"),
        ("0__DOR", "live", "[0].dor: is not a setting; did you mean `door`?"),
        ("DOOR", "live", ".door: is not a setting: lightning.fallbacks is a list; its first item is "),
        ("0__DOOR", "v9", f"[0].door: must be one of {DOORS}"),
        ("0__SPEED", "9", "[0].speed: must be <= 2"),
        ("1__API_KEY", "a b", f"[1].api_key: {HEADER}"),
        ("1__BASE_URL", "x", f"[1].base_url: {PLAIN_URL}"),
        ("1__COMMAND", "[3]", "[1].command[0]: must be text in quotes, not a whole number"),
        ("9" * 5000, "x", f".{'9' * 5000}: is not a setting: lightning.fallbacks is a list"),
    ],
)  # fmt: skip
def test_mistakes_in_the_environment_of_a_fallback(
    load: Load, variable: str, text: str, message: str
) -> None:
    variable = f"BRIDGE_LIGHTNING__FALLBACKS__{variable}"
    with pytest.raises(ConfigError) as caught:
        load(TWO, **{variable: text})
    assert str(caught.value).startswith(f"{variable}: lightning.fallbacks{message}")


@pytest.mark.parametrize(
    "text, there", [("", "is none"), (TWO.split("[[")[1].join(["[[", ""]), "is one, [0]")]
)
def test_how_many_fallbacks_there_are(load: Load, text: str, there: str) -> None:
    with pytest.raises(
        ConfigError, match=re.escape(f"lightning.fallbacks[7]: is not in the file: there {there}")
    ):
        load(text, BRIDGE_LIGHTNING__FALLBACKS__7__SPEED="1")


@pytest.mark.parametrize(
    "text",
    [
        '[lightning]\ntext_streaming = "context"\n[[lightning.fallbacks]]\ndoor = "http"',
        '[lightning]\ndoor = "local"\ncommand = ["x"]\n[[lightning.fallbacks]]\ndoor = "live"',
        '[[lightning.fallbacks]]\ndoor = "local"\nconcurrency = 9\n'
        '[[lightning.fallbacks]]\napi_key = "b"\nconcurrency = 7',
    ],
    ids=["streaming", "command", "concurrency"],
)  # fmt: skip
def test_what_a_fallback_may_have_from_above_or_for_itself(load: Load, text: str) -> None:
    assert load(text).lightning.fallbacks


def test_what_does_not_belong_together_is_told_by_its_key(load: Load) -> None:
    with pytest.raises(
        ConfigError, match='^FILE: lightning.voice_id: "meher" is a voice of lightning_v3.1_pro'
    ):
        load('[lightning]\nvoice_id = "meher"')
    with pytest.raises(ConfigError, match="^BRIDGE_LIGHTNING__MODEL: lightning.model: did you mean"):
        load(BRIDGE_LIGHTNING__MODEL="lightning-v3.1")
    with pytest.raises(ConfigError, match="^FILE: lightning.sample_rate: must be one of 8000, 16000"):
        load("[lightning]\nsample_rate = 48000")


def test_without_an_account_no_key_is_missing(load: Load) -> None:
    local = load(
        '[lightning]\ndoor = "local"\n[carriers.twilio]\nauth_token = "t"\n[server]\npublic_url = "https://a.example.com"'
    )
    require_for_serving(local)


# -- what serving needs ------------------------------------------------------------------------------------------------


def served(
    public_url: str = "https://voice.example.com", api_key: str = "k", auth_token: str = "t"
) -> Config:
    environ = {
        "BRIDGE_SERVER__PUBLIC_URL": public_url,
        "SMALLEST_API_KEY": api_key,
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": auth_token,
    }
    return load_config(environ={name: text for name, text in environ.items() if text})


@pytest.mark.parametrize(
    "public_url",
    [
        "https://voice.example.com",
        "https://voice.example.com:8443/bridge/",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost",
    ],
)
def test_what_can_be_served(public_url: str) -> None:
    require_for_serving(served(public_url))


@pytest.mark.parametrize(
    "public_url",
    ["http://voice.example.com", "http://10.0.0.1", "http://0.0.0.0:8080", "http://localhost.example.com"],
)
def test_carriers_need_tls(public_url: str) -> None:
    with pytest.raises(ConfigError, match=r"^bridge.toml: server.public_url: must be https://.*wss://"):
        require_for_serving(served(public_url), "bridge.toml")


def test_a_configuration_that_was_made_in_code_is_checked_too() -> None:
    server = msgspec.structs.replace(Config().server, public_url="voice.example.com")
    with pytest.raises(ConfigError, match="public_url: must be http"):
        require_for_serving(msgspec.structs.replace(served(), server=server))


@pytest.mark.parametrize(
    "config, message",
    [
        (
            served(public_url=""),
            "f: server.public_url: is missing: carriers sign it and connect to it. "
            "Set it in the file or as BRIDGE_SERVER__PUBLIC_URL.",
        ),
        (
            served(api_key=""),
            "f: lightning.api_key: is missing: the Smallest AI key (SMALLEST_API_KEY works too). "
            "Set it in the file or as BRIDGE_LIGHTNING__API_KEY.",
        ),
        (
            served(api_key="", auth_token=""),
            "f: lightning.api_key: is missing: the Smallest AI key (SMALLEST_API_KEY works too). "
            "Set it in the file or as BRIDGE_LIGHTNING__API_KEY. So is carriers.",
        ),
        (
            load_config(environ={"BRIDGE_CARRIERS__TWILIO__ACCOUNT_SID": "AC1"}),
            "f: server.public_url: is missing: carriers sign it and connect to it. Set it in the file or as "
            "BRIDGE_SERVER__PUBLIC_URL. So are lightning.api_key and carriers.twilio.auth_token.",
        ),
    ],
)
def test_what_is_missing_is_told_all_at_once(config: Config, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        require_for_serving(config, "f")
    assert str(caught.value) == message


# -- who listens -------------------------------------------------------------------------------------------------------

KEYWORD = 'must be a word or phrase without commas, and perhaps its boost from 1 to 10, such as "Smallest:4"'


def test_pulse_is_there_with_its_section_or_a_key_of_it(load: Load) -> None:
    assert load().pulse is None
    assert load("[pulse]").pulse == PulseConfig()
    assert load(BRIDGE_PULSE__LANGUAGE="hi").pulse == PulseConfig(language="hi")


@pytest.mark.parametrize(
    "text, message",
    [
        *(
            (f'keywords = ["Smallest", "{word}"]', f"keywords[1]: {KEYWORD}")
            for word in ("", "a,b", "a:b", "a:0", "a:11", "a:-1", "a:4:4", ":4", "a\\nb", "a" * 101)
        ),
        (f"keywords = {['word'] * 101}", "keywords: must be at most 100 of them"),
        ('base_url = "wss://pulse.example.com"', f"base_url: {PLAIN_URL}"),
        ('api_key = "a b"', "api_key: holds a blank or another character that no HTTP header can carry"),
        ('proxy = "socks5://proxy:1080"', "proxy: must be http://[user:password@]host:port"),
        ("eou_timeout_ms = 99", "eou_timeout_ms: must be >= 100"),
        ('language = ""', "language: must not be empty"),
    ],
)
def test_mistakes_about_pulse(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"[pulse]\n{text}")
    assert str(caught.value) == f"FILE: pulse.{message}"


@pytest.mark.parametrize("word", ["Smallest", "New York:4", "Müller:10", "हाँ:2.5"])
def test_words_to_expect(load: Load, word: str) -> None:
    config = load(f'[pulse]\nkeywords = ["{word}"]')
    assert config.pulse is not None
    assert config.pulse.keywords == [word]


def test_pulse_needs_a_key_where_lightning_has_none() -> None:
    local = msgspec.structs.replace(served().lightning, door="local", api_key=Secret())
    config = msgspec.structs.replace(served(), lightning=local, pulse=PulseConfig())
    with pytest.raises(ConfigError) as caught:
        require_for_serving(config, "f")
    assert str(caught.value) == (
        "f: pulse.api_key: is missing: the Smallest AI key, as [lightning] has none (SMALLEST_API_KEY works too). "
        "Set it in the file or as BRIDGE_PULSE__API_KEY."
    )
    require_for_serving(msgspec.structs.replace(config, pulse=PulseConfig(api_key=Secret("k"))))
    require_for_serving(msgspec.structs.replace(config, lightning=served().lightning))
    elsewhere = msgspec.structs.replace(config.transcriber, entrypoint="my.own:transcriber")
    require_for_serving(msgspec.structs.replace(config, transcriber=elsewhere))


# -- secrets -----------------------------------------------------------------------------------------------------------

HIDDEN = "sk-do-not-show-me"


@pytest.mark.parametrize(
    "key",
    [
        "lightning.api_key",
        "lightning.proxy",
        "pulse.api_key",
        "pulse.proxy",
        "server.admin_token",
        "carriers.twilio.auth_token",
    ],
)
def test_no_secret_shows_in_a_printed_configuration(key: str) -> None:
    value = f"http://user:{HIDDEN}@proxy:3128" if key.endswith(".proxy") else HIDDEN
    config = load_config(environ={"BRIDGE_" + key.upper().replace(".", "__"): value})
    assert HIDDEN not in f"{config} {config!r} {config.lightning} {msgspec.structs.asdict(config)}"


@pytest.mark.parametrize(
    "text",
    [
        f'[lightning]\napi_key = ["{HIDDEN}"]',
        f'[lightning]\napi_key = "{HIDDEN} "',
        f'[lightning]\nproxy = "{HIDDEN}"',
        f'[pulse]\napi_key = "{HIDDEN} "',
        f'[pulse]\nproxy = "{HIDDEN}"',
        f'[server]\nadmin_token = "{HIDDEN}\\u00e9"',
        f'[lightning]\nbase_url = "https://user:{HIDDEN}@host"',
        f'[carriers.twilio]\nauth_token = {{x = "{HIDDEN}"}}',
        f'[[lightning.fallbacks]]\napi_key = ["{HIDDEN}"]',
        f'[[lightning.fallbacks]]\napi_key = "{HIDDEN} "',
        f'[[lightning.fallbacks]]\nproxy = "{HIDDEN}"',
    ],
)
def test_no_secret_shows_in_an_error(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert HIDDEN not in f"{caught.value}{caught.value!r}"


# -- anything at all ---------------------------------------------------------------------------------------------------

SECTIONS = {
    **{
        section: sorted(getattr(Config(pulse=PulseConfig()), section).__struct_fields__)
        for section in Config.__struct_fields__
    },
    "carriers.twilio": ["account_sid", "auth_token"],
}
NAMES = st.sampled_from(sorted({name for names in SECTIONS.values() for name in names})) | st.text(
    "abcdefgh_-", min_size=1, max_size=8
)
VALUES = st.recursive(
    st.one_of(
        st.sampled_from(
            ["1", "-1", "0.5", "nan", "inf", "true", '""', '"both"', '"http://[::1"', "1979-05-27", "'x:y'"]
        ),
        st.integers(-(2**63), 2**63 - 1).map(str),
        st.text("abc:/.@?#[] %", max_size=12).map(lambda text: f'"{text}"'),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=4,
)
TABLES = st.dictionaries(
    st.sampled_from(sorted(SECTIONS)) | NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4
)


@given(tables=TABLES)
def test_any_file_is_a_configuration_or_a_configuration_error(
    tables: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for name, keys in tables.items()
    ]
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(lines), "utf-8")
    try:
        assert isinstance(load_config(path, {}), Config)
    except ConfigError as error:
        assert error.source == str(path)
        assert error.reason


@given(
    path=st.lists(
        st.sampled_from(["server", "agent", "options", "carriers", "twilio", "lightning", "fallbacks", "0"])
        | NAMES,
        min_size=1,
        max_size=4,
    ),
    text=st.text(max_size=20) | st.sampled_from(["1", "nan", "{a=1}", "[1]", "both", "http://[::1"]),
)
def test_any_variable_is_a_configuration_or_a_configuration_error(path: list[str], text: str) -> None:
    variable = "BRIDGE_" + "__".join(path).upper()
    try:
        assert isinstance(load_config(environ={variable: text}), Config)
    except ConfigError as error:
        assert error.source == variable


def test_a_secret_without_the_package_that_checks_it_is_no_missing_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To set it once more would not help: the mend is to install."""
    monkeypatch.setattr("bridge.carriers.telnyx.find_spec", lambda _: None)
    config = load_config(environ={"BRIDGE_CARRIERS__TELNYX__PUBLIC_KEY": "s"})
    with pytest.raises(ConfigError) as caught:
        require_for_serving(config, "f")
    assert str(caught.value).startswith("f: carriers.telnyx.public_key: cannot be used: ")
    assert "install the extra" in str(caught.value)
