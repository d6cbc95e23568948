"""One typed, validated configuration: a TOML file, then the environment on top of it.

Strategy:

- The structs below are the whole truth: names, types, bounds, defaults. Nothing else in the bridge reads TOML or
  ``os.environ``.
- Any key can be set as ``BRIDGE_SECTION__KEY`` (``BRIDGE_LIGHTNING__BASE_URL``), deeper ones with one more
  double underscore each (``BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN``). ``SMALLEST_API_KEY`` is the key's usual name.
- A wrong file is refused at start with the file, the key and the reason, never half way through a call.
- Secrets are a type of their own: they print as stars everywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.carriers.registry import carrier_types, configured
from bridge.catalogue import problems_of_entry
from bridge.config_agents import MOST_KEYWORDS, BudgetConfig, PulseConfig, TranscriberConfig, TurnsConfig
from bridge.config_flows import IVR, DtmfConfig, FlowsConfig, PromptsConfig, placed_flows, placed_prompts
from bridge.config_lightning import FallbackConfig, LightningConfig
from bridge.config_tree import Section, convert, overlay, read_toml, variable_of
from bridge.errors import ConfigError
from bridge.networks import is_loopback, networks
from bridge.secret import Secret, Veiled

__all__ = [
    "API_KEY_VARIABLE",
    "ENV_PREFIX",
    "AgentConfig",
    "BargeInConfig",
    "BargeInMode",
    "BudgetConfig",
    "CarriersConfig",
    "Config",
    "DtmfConfig",
    "FallbackConfig",
    "FlowsConfig",
    "LightningConfig",
    "PlayoutConfig",
    "PromptsConfig",
    "PulseConfig",
    "Secret",
    "ServerConfig",
    "SpeechConfig",
    "TranscriberConfig",
    "TurnsConfig",
    "key_of_entry",
    "load_config",
    "mismatches",
    "require_for_serving",
]

ENV_PREFIX: Final = "BRIDGE_"
API_KEY_VARIABLE: Final = "SMALLEST_API_KEY"
PROXY_SCHEMES: Final = frozenset({"http", "https"})

BargeInMode: TypeAlias = Literal["off", "digits", "speech", "both"]

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400)]


class ServerConfig(Section, frozen=True):
    """``[server]``: where the bridge listens and how it is reached."""

    host: str = "0.0.0.0"  # noqa: S104 - a carrier must reach it; put a TLS proxy in front
    port: Port = 8080
    #: The https:// address under which carriers reach this server. Signatures and stream URLs are built from it,
    #: never from what a request claims about itself.
    public_url: str = ""
    #: Proxies in front of it, addresses and networks: their X-Forwarded-For says where a request began.
    trusted_proxies: list[str] = []
    drain_timeout_s: Seconds = 300.0
    #: Answer new calls with 503 while no entry of [lightning] works, so that the carrier uses the number's fallback.
    refuse_without_voice: bool = True
    #: Bearer token that opens /metrics to addresses other than loopback.
    admin_token: Secret = msgspec.field(default_factory=Secret)


class SpeechConfig(Section, frozen=True):
    """``[speech]``: how text is prepared for the voice."""

    #: Strip markdown and emoji, group phone numbers. No word is dropped.
    normalise: bool = False
    #: A caller who has heard nothing for so long after a `say` hears "One moment, please." (in English). 0 is never.
    filler_after_s: Seconds = 2.0


class BargeInConfig(Section, frozen=True):
    """``[barge_in]``: what stops the bridge from talking."""

    mode: BargeInMode = "both"
    #: Probability of speech over which a window counts as speech.
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.7
    #: How long speech must last to interrupt; 64 is two windows of the detector.
    onset_ms: Annotated[int, Meta(ge=32, le=2000)] = 64
    #: While the bridge talks, quieter sound than this is taken for its own echo.
    gate_dbfs: Annotated[float, Meta(ge=-90, le=0)] = -45.0
    #: Fewer words do not interrupt ("uh-huh"). 0: any voice does, at once. Needs a transcriber.
    min_words: Annotated[int, Meta(ge=0, le=20)] = 0


class PlayoutConfig(Section, frozen=True):
    """``[playout]``: how the audio is handed to the carrier."""

    #: Audio kept in the carrier's buffer. More survives longer stalls, less is thrown away by a barge-in.
    lead_ms: Annotated[int, Meta(ge=20, le=2000)] = 200


if TYPE_CHECKING:

    class CarriersConfig(Section, frozen=True):
        """``[carriers]``: a table for each carrier that may call, named and typed as the carrier itself says."""

        def __init__(self, **sections: Section | None) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    CarriersConfig = msgspec.defstruct(
        "CarriersConfig",
        [(name, carrier.section | None, None) for name, carrier in carrier_types().items()],
        bases=(Section,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


class AgentConfig(Section, frozen=True):
    """``[agent]``: who talks."""

    entrypoint: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$", description='"module:function"')] = (
        "bridge.agents.greeter:greeter"
    )
    options: dict[str, Any] = msgspec.field(default_factory=Veiled)

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "options", Veiled(self.options))


class Config(Section, frozen=True):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    lightning: LightningConfig = LightningConfig()
    speech: SpeechConfig = SpeechConfig()
    barge_in: BargeInConfig = BargeInConfig()
    playout: PlayoutConfig = PlayoutConfig()
    prompts: PromptsConfig = PromptsConfig()
    flows: FlowsConfig = FlowsConfig()
    dtmf: DtmfConfig = DtmfConfig()
    pulse: PulseConfig | None = None
    transcriber: TranscriberConfig = TranscriberConfig()
    turns: TurnsConfig = TurnsConfig()
    budget: BudgetConfig = BudgetConfig()
    carriers: CarriersConfig = CarriersConfig()
    agent: AgentConfig = AgentConfig()


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration from `path` (defaults alone when None) with the environment on top.

    Args:
        path: a TOML file. Folders that are relative are beside it; without it, in the working directory.
        environ: what to take the ``BRIDGE_`` variables from; the process's own by default.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, of the wrong type or out of bounds.
    """
    source = str(path) if path else "defaults"
    environ = os.environ if environ is None else environ
    tree = read_toml(path) if path else {}
    convert(tree, Config, source)
    origins = {}
    if key := environ.get(API_KEY_VARIABLE):
        tree.setdefault("lightning", {})["api_key"] = key
        origins["lightning.api_key"] = API_KEY_VARIABLE
    origins |= overlay(tree, environ, Config, ENV_PREFIX)
    config = convert(tree, Config, source)
    for name, reason in _faults(config):
        raise ConfigError(reason, key=name, source=origins.get(name, source))
    return _placed(config, path) if path else config


def _placed(config: Config, file: Path) -> Config:
    prompts = placed_prompts(config.prompts, file)
    flows = placed_flows(config.flows, file, played=config.agent.entrypoint == IVR)
    return msgspec.structs.replace(config, prompts=prompts, flows=flows)


def require_for_serving(config: Config, source: str = "") -> None:
    """Refuse to serve with secrets or addresses missing.

    Raises:
        ConfigError: names everything that must be filled in, or what is wrong.
    """
    for key, reason in _unusable(config.carriers):
        raise ConfigError(reason, key=key, source=source)
    missing = [(key, why) for key, present, why in _needed_to_serve(config) if not present]
    if missing:
        (key, why), *others = missing
        more = (
            f" So {'are' if others[1:] else 'is'} {' and '.join(name for name, _ in others)}."
            if others
            else ""
        )
        variable = variable_of(key, ENV_PREFIX)
        raise ConfigError(
            f"is missing: {why} Set it in the file or as {variable}.{more}", key=key, source=source
        )
    for key, reason in (*_faults(config), *_unreachable(config.server)):
        raise ConfigError(reason, key=key, source=source)


def _needed_to_serve(config: Config) -> Iterator[tuple[str, object, str]]:
    yield "server.public_url", config.server.public_url, "carriers sign it and connect to it."
    yield (
        "lightning.api_key",
        all(entry.has_key for entry in config.lightning.entries),
        f"the Smallest AI key ({API_KEY_VARIABLE} works too).",
    )
    if _lacks_key(config):
        yield (
            "pulse.api_key",
            False,
            f"the Smallest AI key, as [lightning] has none ({API_KEY_VARIABLE} works too).",
        )
    yield from _needed_of_carriers(config.carriers)


def _lacks_key(config: Config) -> bool:
    """Whether Pulse is to listen and has no key, where [lightning] is not told to be in want of one itself."""
    pulse, lightning = config.pulse, config.lightning
    if pulse is None or config.transcriber.entrypoint:
        return False
    return not pulse.api_key and not lightning.api_key and all(entry.has_key for entry in lightning.entries)


def _unusable(sections: CarriersConfig) -> Iterator[tuple[str, str]]:
    """What is set, and of no use all the same for the want of a package, unless some other carrier can be served."""
    carriers = configured(sections)
    if all(carrier.missing() for carrier in carriers.values()):
        for name, carrier in carriers.items():
            for key, why in carrier.missing():
                if carrier.has(key):
                    yield f"carriers.{name}.{key}", carrier.lack(key, why)


def _needed_of_carriers(sections: CarriersConfig) -> Iterator[tuple[str, object, str]]:
    """What the carriers lack, unless one of them lacks nothing: those that lack something are left out then."""
    carriers = configured(sections)
    if not carriers:
        yield "carriers", False, f"no carrier has a section; there are {', '.join(carrier_types())}."
    elif all(carrier.missing() for carrier in carriers.values()):
        for name, carrier in carriers.items():
            for key, why in carrier.missing():
                yield f"carriers.{name}.{key}", False, why


# -- what types cannot say ---------------------------------------------------------------------------------------------

_PLAIN_URL: Final = "must be http:// or https://host[:port][/path], without a query or a user"
_NO_HEADER: Final = "holds a blank or another character that no HTTP header can carry"
#: Settings that an entry whose door has no use for them may have from ``[lightning]``.
_UNUSED_IF_INHERITED: Final = frozenset({"command", "text_streaming"})


def _faults(config: Config) -> Iterator[tuple[str, str]]:
    """What is wrong with values that have the right type: key and reason."""
    lightning, server = config.lightning, config.server
    if server.public_url and not _is_plain_url(server.public_url):  # without one there is still `bridge say`
        yield "server.public_url", _PLAIN_URL
    if reason := _no_networks(server.trusted_proxies):
        yield "server.trusted_proxies", reason
    if not _fits_header(server.admin_token):
        yield "server.admin_token", _NO_HEADER
    yield from _faults_of_wire("lightning", lightning)
    for number, fallback in enumerate(lightning.fallbacks, 1):
        yield from _faults_of_wire(key_of_entry(number), fallback)
    if config.pulse is not None:
        yield from _faults_of_wire("pulse", config.pulse)
        if len(config.pulse.keywords) > MOST_KEYWORDS:
            yield "pulse.keywords", f"must be at most {MOST_KEYWORDS} of them"
    yield from mismatches(lightning)
    yield from _clashes(lightning)
    for name in configured(config.carriers):
        yield from _faults_of_carrier(f"carriers.{name}", getattr(config.carriers, name))


def _faults_of_carrier(key: str, section: Section) -> Iterator[tuple[str, str]]:
    """Addresses of a carrier's own that nothing could be asked at."""
    for field, value in msgspec.structs.asdict(section).items():
        if field.endswith("_url") and field != "media_url" and value and not _is_plain_url(value):
            yield f"{key}.{field}", _PLAIN_URL


def _faults_of_wire(
    key: str, entry: LightningConfig | FallbackConfig | PulseConfig
) -> Iterator[tuple[str, str]]:
    """What no connection can be made with."""
    if not isinstance(entry.base_url, UnsetType) and not _is_plain_url(entry.base_url):
        yield f"{key}.base_url", _PLAIN_URL
    if entry.proxy and _split(entry.proxy.reveal(), PROXY_SCHEMES) is None:
        yield f"{key}.proxy", "must be http://[user:password@]host:port"
    if entry.api_key and not _fits_header(entry.api_key):
        yield f"{key}.api_key", _NO_HEADER


def key_of_entry(number: int) -> str:
    """Where entry `number` of ``[lightning]`` stands in the file: 0 is the section itself."""
    return f"lightning.fallbacks[{number - 1}]" if number else "lightning"


def mismatches(lightning: LightningConfig) -> Iterator[tuple[str, str]]:
    """Doors, models, voices and languages that do not belong together: key and reason."""
    for number, entry in enumerate(lightning.entries):
        for field, reason in problems_of_entry(entry):
            inherited = number > 0 and getattr(lightning.fallbacks[number - 1], field) is UNSET
            if inherited and field in _UNUSED_IF_INHERITED:
                continue
            yield f"{key_of_entry(number)}.{field}", f"(as in [lightning]) {reason}" if inherited else reason


def _clashes(lightning: LightningConfig) -> Iterator[tuple[str, str]]:
    """Fallbacks that repeat, or contradict, what comes before them."""
    known: list[tuple[str, LightningConfig]] = []
    for number, entry in enumerate(lightning.entries):
        name = key_of_entry(number)
        for other_name, other in known:
            if entry == other:
                yield (
                    name,
                    f"is the same as {other_name}, and would fail as that did: change something, or leave it out",
                )
            elif _one_account(entry, other) and entry.concurrency != other.concurrency:
                same = f"{other_name} has {other.concurrency} for the same api_key, and an account has one"
                yield f"{name}.concurrency", f"{same}: leave it out here, or give the other account's key"
        known.append((name, entry))


def _one_account(entry: LightningConfig, other: LightningConfig) -> bool:
    return entry.account is not None and entry.account == other.account


def _no_networks(entries: Iterable[str]) -> str:
    try:
        networks(entries)
    except ValueError as error:
        return str(error)
    return ""


def _fits_header(secret: Secret) -> bool:
    return not secret or re.fullmatch(r"[!-~]+", secret.reveal()) is not None


def _unreachable(server: ServerConfig) -> Iterator[tuple[str, str]]:
    """Why carriers could not connect to `server.public_url`."""
    parts = urlsplit(server.public_url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield (
            "server.public_url",
            "must be https://: carriers open media streams as wss:// only. http:// is for emulators on this machine.",
        )


def _is_plain_url(url: str) -> bool:
    parts = _split(url, {"http", "https"})
    return parts is not None and not (parts.query or parts.fragment or "@" in parts.netloc)


def _split(url: str, schemes: Container[str]) -> SplitResult | None:
    """The parts of `url`, if it is one of `schemes` with a host, and a port that is one if any."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in schemes and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")  # as a resolver does: fails where a label is empty or too long
    except ValueError:
        return None
    return parts if right and re.fullmatch(r"[!-~]+", url) else None
