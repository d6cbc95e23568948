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

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta, Struct

from bridge.errors import ConfigError

ENV_PREFIX: Final = "BRIDGE_"
API_KEY_VARIABLE: Final = "SMALLEST_API_KEY"

BargeInMode: TypeAlias = Literal["off", "digits", "speech", "both"]

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]


class Secret:
    """A string that prints as stars. `reveal` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one line that sends it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    def __str__(self) -> str:
        return "***" if self._text else ""


class _Section(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table of the file. Unknown keys in it are refused: a typo must not become a default."""


class ServerConfig(_Section, frozen=True):
    """``[server]``: where the bridge listens and how it is reached."""

    host: str = "0.0.0.0"  # noqa: S104 - a carrier must reach it; put a TLS proxy in front
    port: Port = 8080
    #: The https:// address under which carriers reach this server. Signatures and stream URLs are built from it,
    #: never from what a request claims about itself.
    public_url: str = ""
    drain_timeout_s: Seconds = 300.0
    #: Bearer token that opens /metrics to addresses other than loopback.
    admin_token: Secret = msgspec.field(default_factory=Secret)


class LightningConfig(_Section, frozen=True):
    """``[lightning]``: Smallest AI's text-to-speech."""

    base_url: str = "https://api.smallest.ai"
    api_key: Secret = msgspec.field(default_factory=Secret)
    model: str = "lightning_v3.1"
    voice_id: str = "magnus"
    language: str = "en"
    speed: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0
    #: Sockets held open and idle, so that neither a first word nor a barge-in waits for a handshake.
    spare_connections: Annotated[int, Meta(ge=0, le=500)] = 2
    #: Syntheses that the account may run at once; more wait here instead of being refused there.
    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 1
    #: URL of an HTTP proxy. Empty: none, whatever the environment says.
    proxy: str = ""
    connect_timeout_s: Annotated[float, Meta(gt=0)] = 3.0
    #: How long a synthesis may wait for its first audio, and later for its next.
    first_audio_timeout_s: Annotated[float, Meta(gt=0)] = 3.0
    stall_timeout_s: Annotated[float, Meta(gt=0)] = 2.0

    def with_changes(self, changes: Mapping[str, Any]) -> LightningConfig:
        """A copy with `changes`; those that are None are left out."""
        return msgspec.structs.replace(self, **{k: v for k, v in changes.items() if v is not None})


class BargeInConfig(_Section, frozen=True):
    """``[barge_in]``: what stops the bridge from talking."""

    mode: BargeInMode = "both"
    #: Probability of speech over which a window counts as speech.
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.7
    #: How long speech must last to interrupt; 64 is two windows of the detector.
    onset_ms: Annotated[int, Meta(ge=32, le=2000)] = 64
    #: While the bridge talks, quieter sound than this is taken for its own echo.
    gate_dbfs: Annotated[float, Meta(ge=-90, le=0)] = -45.0


class PlayoutConfig(_Section, frozen=True):
    """``[playout]``: how the audio is handed to the carrier."""

    #: Audio kept in the carrier's buffer. More survives longer stalls, less is thrown away by a barge-in.
    lead_ms: Annotated[int, Meta(ge=20, le=2000)] = 200


class TwilioConfig(_Section, frozen=True):
    """``[carriers.twilio]``."""

    account_sid: str = ""
    auth_token: Secret = msgspec.field(default_factory=Secret)


class CarriersConfig(_Section, frozen=True):
    """``[carriers]``: a table for each carrier that may call."""

    twilio: TwilioConfig | None = None


class AgentConfig(_Section, frozen=True):
    """``[agent]``: who talks."""

    entrypoint: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$")] = "bridge.agents.greeter:greeter"
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Config(_Section, frozen=True):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    lightning: LightningConfig = LightningConfig()
    barge_in: BargeInConfig = BargeInConfig()
    playout: PlayoutConfig = PlayoutConfig()
    carriers: CarriersConfig = CarriersConfig()
    agent: AgentConfig = AgentConfig()


def load_config(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration from `path` (defaults alone when None) with the environment on top.

    Args:
        path: a TOML file.
        environ: what to take the ``BRIDGE_`` variables from; the process's own by default.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, of the wrong type or out of bounds.
    """
    tree = _read(path) if path else {}
    source = str(path) if path else "defaults"
    _convert(tree, source)  # the file must hold by itself, so that its errors are told as the file's
    origins = _overlay(tree, os.environ if environ is None else environ)
    return _convert(tree, source, origins)


def require_for_serving(config: Config, source: str = "") -> None:
    """Refuse to serve with secrets or addresses missing.

    Raises:
        ConfigError: names the first thing that must be filled in, and both ways to do it.
    """
    for key, present, why in _needed_to_serve(config):
        if not present:
            variable = ENV_PREFIX + key.upper().replace(".", "__")
            raise ConfigError(
                f"is missing: {why} Set it in the file or as {variable}.", key=key, source=source
            )
    _check_url(config.server.public_url, "server.public_url", {"https", "http"}, source)


def _needed_to_serve(config: Config) -> Iterator[tuple[str, object, str]]:
    yield (
        "lightning.api_key",
        config.lightning.api_key,
        f"the Smallest AI key ({API_KEY_VARIABLE} works too).",
    )
    yield "server.public_url", config.server.public_url, "carriers sign it and connect to it."
    twilio = config.carriers.twilio
    yield (
        "carriers.twilio.auth_token",
        twilio and twilio.auth_token,
        "without it no call can be told from a forgery.",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", source=str(path)) from error


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put the environment's values into `tree`; returns where each key came from."""
    origins: dict[str, str] = {}
    if environ.get(API_KEY_VARIABLE):
        tree.setdefault("lightning", {})["api_key"] = environ[API_KEY_VARIABLE]
        origins["lightning.api_key"] = API_KEY_VARIABLE
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and "__" in name:
            keys = name[len(ENV_PREFIX) :].lower().split("__")
            origins[".".join(keys)] = name
            _put(tree, keys, environ[name], name)
    return origins


def _put(tree: dict[str, Any], keys: list[str], text: str, variable: str) -> None:
    target: Any = Config
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        target = _field_type(target, key)
    tree[keys[-1]] = _from_text(text, _field_type(target, keys[-1]), ".".join(keys), variable)


def _field_type(target: Any, key: str) -> Any:
    """The type of field `key`, or Any where the structs end (an agent's options)."""
    for member in getattr(target, "__args__", ()) or (target,):
        if isinstance(member, type) and issubclass(member, Struct):
            return {f.name: f.type for f in msgspec.structs.fields(member)}.get(key, Any)
    return Any


def _from_text(text: str, target: Any, key: str, variable: str) -> Any:
    """A variable is text: read it as what the key wants, or, for an agent's own options, as TOML would."""
    if target is Any:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    if target in (str, Secret):
        return text
    try:
        return msgspec.convert(text, target, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error)), key=key, source=variable) from None


def _convert(tree: dict[str, Any], source: str, origins: Mapping[str, str] | None = None) -> Config:
    try:
        config = msgspec.convert(tree, Config, dec_hook=_secret)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        key = at.rstrip("`").lstrip(".")
        if unknown := re.search(r"unknown field `(\w+)`", message):
            key = f"{key}.{unknown[1]}".lstrip(".")
            message = _unknown(key)
        raise ConfigError(_readable(message), key=key, source=(origins or {}).get(key, source)) from None
    _check_url(config.lightning.base_url, "lightning.base_url", {"https", "http"}, source)
    return config


def _unknown(key: str) -> str:
    *path, name = key.split(".")
    target: Any = Config
    for part in path:
        target = _field_type(target, part)
    names = [f.name for m in getattr(target, "__args__", (target,)) if isinstance(m, type) and issubclass(m, Struct)
             for f in msgspec.structs.fields(m)]  # fmt: skip
    near = difflib.get_close_matches(name, names, 1)
    return "is not a setting" + (
        f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(names)}"
    )


def _readable(message: str) -> str:
    return re.sub(r"^(Expected|Invalid)", lambda m: m[1].lower(), message)


def _secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("expected a string")  # never quotes the value: it may be the secret


def _check_url(url: str, key: str, schemes: set[str], source: str) -> None:
    parts = urlsplit(url)
    if not _port_is_right(parts):
        raise ConfigError("has a port that is no port", key=key, source=source)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            f"must be {' or '.join(sorted(schemes))}://host[:port][/path], without a query or a user",
            key=key,
            source=source,
        )


def _port_is_right(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False
