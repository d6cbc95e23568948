"""What the commands about carriers share: which carrier is meant, under which number, at which addresses.

Every mistake is told as the one to mend: the option that was misspelt, or the key, and the variable, that is missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bridge.errors import ConfigError
from bridge.nearest import meant

if TYPE_CHECKING:
    from bridge.carriers.carrier import Carrier, StreamUrls
    from bridge.config import Config

#: E.164: a country code and a number, 7 to 15 digits in all.
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SIP: Final = re.compile(r"sips?:[^\s@<>\"']{1,128}@[^\s@<>\"']{1,255}")
#: An extension of a telephone system, or a short code.
_EXTENSION: Final = re.compile(r"[0-9*#]{2,6}")


def checked_number(text: str, option: str) -> str:
    """`text` without the signs that only readers need, if it is a number that can be called.

    Raises:
        ConfigError: it is none.
    """
    number = text.strip() if text.lstrip().startswith("sip") else re.sub(r"[\s().-]", "", text)
    if any(kind.fullmatch(number) for kind in (_E164, _SIP, _EXTENSION)):
        return number
    wanted = "+ and the country code (+15550100001), a SIP address (sip:desk@example.com), or an extension"
    raise ConfigError(f"{text!r} is no number: write {wanted}", key=option)


def any_carrier(config: Config, name: str, *, option: str) -> Carrier:
    """The carrier called `name`, as far as it is configured: what is missing has its default.

    Raises:
        ConfigError: there is no such carrier.
    """
    from bridge.carriers.registry import carrier_types, configured

    types = carrier_types()
    if name not in types:
        near = meant(name.lower(), types) or f"there are {', '.join(types)}"
        raise ConfigError(f"{name!r} is no carrier: {near}", key=option)
    return configured(config.carriers).get(name) or types[name](types[name].section())


def what_is_missing(carrier: Carrier, source: str) -> list[ConfigError]:
    """What the carrier's section lacks before it can be served."""
    return [_lack(carrier, key, why, source) for key, why in carrier.missing()]


def the_carrier(config: Config, name: str, source: str, *, option: str) -> Carrier:
    """The carrier called `name`, as it is configured.

    Raises:
        ConfigError: there is no such carrier, or no section of it, or something is missing there.
    """
    carrier, section = any_carrier(config, name, option=option), f"carriers.{name}"
    for missing in what_is_missing(carrier, source):
        raise missing
    if getattr(config.carriers, name) is None:
        raise ConfigError(
            f"is missing: the carrier is served once it has a section, [{section}]",
            key=section,
            source=source,
        )
    return carrier


def public_urls(config: Config, carrier: str, source: str) -> StreamUrls:
    """Where `carrier` reaches this bridge.

    Raises:
        ConfigError: server.public_url is missing.
    """
    from bridge.carriers.urls import stream_urls

    if not config.server.public_url:
        why = "the address under which carriers reach this bridge."
        raise _missing("server.public_url", why, source)
    return stream_urls(config.server.public_url, carrier)


def _lack(carrier: Carrier, key: str, why: str, source: str) -> ConfigError:
    full_key = f"carriers.{carrier.name}.{key}"
    if carrier.has(key):
        return ConfigError(carrier.lack(key, why), key=full_key, source=source)
    return _missing(full_key, why, source)


def _missing(key: str, why: str, source: str) -> ConfigError:
    from bridge.config import ENV_PREFIX
    from bridge.config_tree import variable_of

    told = f"is missing: {why} Set it in the file or as {variable_of(key, ENV_PREFIX)}."
    return ConfigError(told, key=key, source=source)
