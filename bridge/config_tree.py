"""From a TOML file and environment variables to a tree of structs, with every mistake told by key and origin.

Strategy:

- No setting is known here. The struct at the root says what there is, of which type and within which bounds.
- The file must hold by itself, so that its mistakes are told as the file's; then each variable is read as what its
  key wants, so that its mistakes are told as the variable's.
- A message says what is wanted, in the words of the file, and never quotes what may be a secret.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from bridge.errors import ConfigError
from bridge.secret import Secret

S = TypeVar("S", bound=Struct)

_SEPARATOR: Final = "__"

#: msgspec's words for what it wants, and ours.
_WANTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
    "date": "a date",
    "time": "a time",
    "datetime": "a date with a time",
}


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        ConfigError: it cannot be read, or is not TOML; with line and column.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not TOML: byte {error.start} is not UTF-8", source=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", source=str(path)) from error
    except RecursionError:
        raise ConfigError("is not TOML: nested too deep", source=str(path)) from None


def convert(tree: Mapping[str, Any], root: type[S], source: str) -> S:
    """`tree` as a struct of type `root`.

    Raises:
        ConfigError: a key is unknown, of the wrong type or out of bounds.
    """
    try:
        return msgspec.convert(tree, root, dec_hook=_secret)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        keys = [key for key in at.rstrip("`").split(".") if key]
        if unknown := re.search(r"unknown field `(.*)`$", message):
            keys.append(unknown[1])
            raise ConfigError(_unknown(keys, root), key=".".join(keys), source=source) from None
        raise ConfigError(_told(message, _kind_at(root, keys)), key=".".join(keys), source=source) from None


def overlay(
    tree: dict[str, Any], environ: Mapping[str, str], root: type[Struct], prefix: str
) -> dict[str, str]:
    """Put every variable ``<prefix>SECTION__KEY`` into `tree`.

    Returns:
        Which variable each dotted key came from.

    Raises:
        ConfigError: a variable names no setting, or holds what its setting cannot be.
    """
    origins = {}
    for variable in sorted(environ):
        if not variable.startswith(prefix):
            continue
        keys = variable[len(prefix) :].lower().split(_SEPARATOR)
        if len(keys) == 1:
            _refuse_near_miss(variable, keys[0], root, prefix)
            continue
        _put(tree, keys, _from_text(environ[variable], _wanted(root, keys, variable), keys, variable))
        origins[".".join(keys)] = variable
    return origins


def variable_of(key: str, prefix: str) -> str:
    """The variable that sets the dotted `key`."""
    return prefix + key.upper().replace(".", _SEPARATOR)


# -- what a key wants --------------------------------------------------------------------------------------------------


def _fields(kind: object) -> dict[str, object]:
    """The fields of the struct that `kind` is or may be; none for anything else."""
    for member in (kind, *get_args(kind)):
        if isinstance(member, type) and issubclass(member, Struct):
            return {field.name: field.type for field in msgspec.structs.fields(member)}
    return {}


def _kind_at(root: object, keys: list[str]) -> object:
    """The type at `keys`; `Any` where nothing says what there may be."""
    kind = root
    for key in keys:
        kind = _fields(kind).get(key, Any)
    return kind


def _wanted(root: object, keys: list[str], variable: str) -> object:
    """The type that the setting `keys` wants.

    Raises:
        ConfigError: there is no such setting.
    """
    kind = root
    for depth, key in enumerate(keys):
        fields = _fields(kind)
        if not fields and get_origin(kind) is dict:
            return Any
        if key not in fields:
            wrong = keys[: depth + 1]
            raise ConfigError(_unknown(wrong, root), key=".".join(wrong), source=variable)
        kind = fields[key]
    return kind


def _put(tree: dict[str, Any], keys: list[str], value: object) -> None:
    """Set `keys` of `tree`, which has tables wherever there must be one, or nothing."""
    for key in keys[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):  # an agent's option that the file has as something else
            below = tree[key] = {}
        tree = below
    tree[keys[-1]] = value


def _from_text(text: str, kind: object, keys: list[str], variable: str) -> object:
    """A variable is text: read it as what the key wants; where anything goes, as TOML would, or else as text."""
    if not _is_utf8(text):
        raise ConfigError("is not UTF-8", key=".".join(keys), source=variable)
    if kind is Secret:
        return text
    if kind is Any or get_origin(kind) is dict:
        value = _as_toml(text)
        if kind is Any or isinstance(value, dict):
            return value
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        message = str(error).replace(", got `str`", "")
        raise ConfigError(_told(message, kind), key=".".join(keys), source=variable) from None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # how Python hands on the bytes of a variable that it cannot decode
        return False
    return True


def _as_toml(text: str) -> object:
    try:
        tree = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("must be text in quotes")  # does not quote the value: it may be the secret


# -- what is wrong with it ---------------------------------------------------------------------------------------------


def _unknown(keys: list[str], root: object) -> str:
    """Why `keys` are refused: the last of them is no setting."""
    *path, name = keys
    known = list(_fields(_kind_at(root, path)))
    if not known:
        return f"is not a setting: {'.'.join(path)} is no table"
    near = difflib.get_close_matches(name, known, 1)
    return (
        f"is not a setting; did you mean `{near[0]}`?"
        if near
        else f"is not a setting; here are {', '.join(known)}"
    )


def _refuse_near_miss(variable: str, name: str, root: object, prefix: str) -> None:
    """A variable with one underscore where two belong would silently do nothing."""
    for section, kind in _fields(root).items():
        key = name.removeprefix(f"{section}_")
        if key != name and key in _fields(kind):
            right = variable_of(f"{section}.{key}", prefix)
            raise ConfigError(f"is not read; did you mean {right}?", source=variable)


def _told(message: str, kind: object) -> str:
    """msgspec's `message` about a value that must be of `kind`, in the words of whoever wrote the file."""
    if described := _description(kind):
        return f"must be {described}"
    if get_origin(kind) is Literal:
        return "must be one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if "of length >= 1" in message:
        return "must not be empty"
    if bound := re.match(r"Expected `\w+` ([<>]=?) (\S+)", message):
        return f"must be {bound[1]} {bound[2].removesuffix('.0')}"
    if wrong := re.match(r"Expected `(\w+)(?: \| null)?`(?:, got `(\w+)`)?", message):
        wanted = _WANTED.get(wrong[1], wrong[1])
        got = f", not {_WANTED.get(wrong[2], wrong[2])}" if wrong[2] else ""
        return f"must be {wanted}{got}"
    return message


def _description(kind: object) -> str:
    """What the annotation of a type says that it is, if it does."""
    found = [arg.description for arg in get_args(kind) if isinstance(arg, msgspec.Meta) and arg.description]
    return found[0] if found else ""
