"""From ``module:function`` in a configuration to what it names, with every mistake told by key and file."""

from __future__ import annotations

import importlib
import traceback
from types import ModuleType

from bridge.errors import ConfigError


def found(entrypoint: str, *, key: str, source: str = "") -> object:
    """What `entrypoint` names. Imports its module.

    Args:
        key: the setting it stands in, and `source` where that is, for the error.

    Raises:
        ConfigError: there is no such module, it fails when it is imported, or it has nothing of that name.
    """
    module_name, _, name = entrypoint.partition(":")
    thing: object = getattr(_imported(module_name, key, source), name, None)
    if thing is None:
        raise ConfigError(f"{module_name} has no {name!r}", key=key, source=source)
    return thing


def _imported(name: str, key: str, source: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        hint = "; is its folder in PYTHONPATH?" if error.name and name.startswith(error.name) else ""
        raise ConfigError(f"cannot import {name}: {error}{hint}", key=key, source=source) from error
    except Exception as error:  # whatever an operator's own module does when it is imported
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        reason = f"cannot import {name}: {type(error).__name__}: {error} ({where})"
        raise ConfigError(reason, key=key, source=source) from error
