"""Name to carrier. A module of this package that ends in ``CARRIER = ...`` is one; all pass admission alike."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import bridge.carriers
from bridge.carriers.carrier import Carrier


def carrier_types() -> dict[str, type[Carrier]]:
    """Every carrier there is, by name, in order of name."""
    package = bridge.carriers
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if module.name != "registry"
    ]
    found: list[type[Carrier]] = [module.CARRIER for module in modules if hasattr(module, "CARRIER")]
    return {carrier.name: carrier for carrier in sorted(found, key=lambda carrier: carrier.name)}


def carriers_from(sections: Any) -> dict[str, Carrier]:
    """The carriers that can tell their calls from forgeries, by name.

    Args:
        sections: ``[carriers]`` of the configuration: one section, or None, for each carrier there is.
    """
    return {name: carrier for name, carrier in configured(sections).items() if not carrier.missing()}


def configured(sections: Any) -> dict[str, Carrier]:
    """The carriers that have a section, whether or not anything is missing from it."""
    return {
        name: kind(getattr(sections, name))
        for name, kind in carrier_types().items()
        if getattr(sections, name, None) is not None
    }
