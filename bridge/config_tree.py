"""From a TOML file and environment variables to a tree of structs, with every mistake told by key and origin.

Strategy:

- No setting is known here. The struct at the root says what there is, of which type and within which bounds.
- The file must hold by itself, so that its mistakes are told as the file's; then each variable is read as what its
  key wants, so that its mistakes are told as the variable's.
- A message says what is wanted, in the words of the file, and never quotes what may be a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct, UnsetType
from msgspec.structs import FieldInfo

from bridge.errors import ConfigError
from bridge.nearest import meant
from bridge.secret import Secret

S = TypeVar("S", bound=Struct)

_SEPARATOR: Final = "__"
#: How an item of a list is written in a dotted key: ``fallbacks[0]``.
_INDEX: Final = re.compile(r"\[(\d+)\]")

#: msgspec's words for what it wants, and ours.
_WANTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "Secret": "text in quotes",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
    "date": "a date",
    "time": "a time",
    "datetime": "a date with a time",
}


class Section(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table of the file. Unknown keys in it are refused: a typo must not become a default."""


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        ConfigError: it cannot be read, or is not TOML; with line and column.
    """
    return parse_toml(read_toml_text(path), str(path))


def read_toml_text(path: Path) -> str:
    """The text of a TOML file, without a byte order mark.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", source=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not TOML: byte {error.start} is not UTF-8", source=str(path)) from error


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """What a TOML text holds.

    Raises:
        ConfigError: it is not TOML; with line and column.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError("is not TOML: nested too deep", source=source) from None
    except ValueError as error:  # TOMLDecodeError, and that of an integer with thousands of digits
        raise ConfigError(f"is not TOML: {error}", source=source) from error


def convert(tree: Mapping[str, Any], root: type[S], source: str) -> S:
    """`tree` as a struct of type `root`.

    Raises:
        ConfigError: a key is unknown, of the wrong type or out of bounds.
    """
    try:
        return msgspec.convert(tree, root, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise _mistake(error, root, source) from None


def overlay(
    tree: dict[str, Any], environ: Mapping[str, str], root: type[Struct], prefix: str
) -> dict[str, str]:
    """Put every variable ``<prefix>SECTION__KEY`` into `tree`; ``__0__`` is the first item of a list that it has.

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
        kind = _wanted(root, keys, variable)
        _put(tree, keys, _from_text(environ[variable], kind, keys, variable), root, variable)
        origins[_dotted(keys)] = variable
    return origins


def variable_of(key: str, prefix: str) -> str:
    """The variable that sets the dotted `key`."""
    return prefix + _SEPARATOR.join(_steps(key)).upper()


# -- what a key wants --------------------------------------------------------------------------------------------------


def _steps(key: str) -> list[str]:
    """A dotted key as the names and indices that lead to it."""
    return [step for step in _INDEX.sub(r".\1", key).split(".") if step]


def _dotted(steps: list[str]) -> str:
    """`steps` as a dotted key; indices go in brackets."""
    return "".join(f"[{step}]" if _is_index(step) else f".{step}" for step in steps).removeprefix(".")


def _present(kind: object) -> object:
    """`kind` without the possibility that the key is left out."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    members = [member for member in get_args(kind) if member not in (UnsetType, NoneType)]
    return members[0] if len(members) == 1 else kind


def _fields(kind: object) -> dict[str, object]:
    """The fields of the struct that `kind` is or may be; none for anything else."""
    member = _present(kind)
    if isinstance(member, type) and issubclass(member, Struct):
        return {field.encode_name: _present(field.type) for field in _declared(member)}
    return {}


@cache  # asked of every step of every flow, and slow: annotations are evaluated
def _declared(struct: type[Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(struct)


def _item(kind: object) -> object:
    """What a list of type `kind` holds; None when it is no list."""
    return get_args(kind)[0] if get_origin(kind) is list else None


def _kind_at(root: object, steps: list[str]) -> object:
    """The type at `steps`; `Any` where nothing says what there may be."""
    kind = root
    for step in steps:
        kind = _item(kind) or _fields(kind).get(step, Any)
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
        if _is_index(key) and (item := _item(kind)):
            kind = item
            continue
        if key not in fields:
            wrong = keys[: depth + 1]
            raise ConfigError(_unknown(wrong, root), key=_dotted(wrong), source=variable)
        kind = fields[key]
    return kind


def _put(tree: dict[str, Any], keys: list[str], value: object, root: object, variable: str) -> None:
    """Set `keys` of `tree`, which has tables and lists wherever `root` wants some, or nothing.

    Raises:
        ConfigError: a list has fewer items.
    """
    below: Any = tree
    for depth in range(1, len(keys)):
        key, kind = keys[depth - 1], list if _item(_kind_at(root, keys[:depth])) else dict
        if isinstance(below, list):
            below = below[_index(below, keys[:depth], variable)]
            continue
        if not isinstance(
            below.get(key), kind
        ):  # nothing, or an agent's option that the file has as something else
            below[key] = kind()
        below = below[key]
    if isinstance(below, list):
        below[_index(below, keys, variable)] = value
    else:
        below[keys[-1]] = value


def _is_index(step: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,6}", step))


def _index(items: list[object], keys: list[str], variable: str) -> int:
    if int(keys[-1]) < len(items):
        return int(keys[-1])
    there = {0: "is none", 1: "is one, [0]"}.get(len(items), f"are {len(items)}, [0] to [{len(items) - 1}]")
    raise ConfigError(f"is not in the file: there {there}", key=_dotted(keys), source=variable)


def _from_text(text: str, kind: object, keys: list[str], variable: str) -> object:
    """A variable is text: read it as what the key wants; where anything goes, as TOML would, or else as text."""
    if not _is_utf8(text):
        raise ConfigError("is not UTF-8", key=_dotted(keys), source=variable)
    if kind is Secret:
        return text
    if kind is Any or get_origin(kind) is dict:
        value = _as_toml(text)
        if kind is Any or isinstance(value, dict):
            return value
    if get_origin(kind) is list and isinstance(items := _as_toml(text), list):
        return _checked(items, kind, keys, variable)
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        message = str(error).replace(", got `str`", "")
        raise ConfigError(_told(message, kind), key=_dotted(keys), source=variable) from None


def _checked(items: list[object], kind: object, keys: list[str], variable: str) -> list[object]:
    try:
        msgspec.convert(items, kind, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise _mistake(error, kind, variable, above=_dotted(keys)) from None
    return items


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


def mistakes(value: object, kind: object) -> Iterator[tuple[str, str]]:
    """All that is wrong with `value`, which must be of type `kind`: each key below it (empty is itself), and why."""
    kind = _present(kind)
    found = list(_mistakes_below(value, get_args(kind)[0] if get_origin(kind) is Annotated else kind))
    if found:
        yield from found
        return
    try:
        msgspec.convert(value, kind, dec_hook=_secret)
    except msgspec.ValidationError as error:
        yield "", _told(str(error).partition(" - at `$")[0], kind)


def _mistakes_below(value: object, kind: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and (item_kind := _item(kind)):
        for number, item in enumerate(value):
            yield from _below(f"[{number}]", item, item_kind)
    elif isinstance(value, dict) and get_origin(kind) is dict:
        for key, item in value.items():
            yield from ((key, why) for _, why in mistakes(key, get_args(kind)[0]))
            yield from _below(key, item, get_args(kind)[1])
    elif isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
        kinds = _fields(kind)
        yield from ((key, _unknown([key], kind)) for key in value if key not in kinds)
        for field in _declared(kind):
            if field.encode_name in value:
                yield from _below(field.encode_name, value[field.encode_name], field.type)
            elif field.required:
                wanted = _description(field.type)
                yield field.encode_name, f"is missing: {wanted}" if wanted else "is missing"


def _below(key: str, value: object, kind: object) -> Iterator[tuple[str, str]]:
    for at, why in mistakes(value, kind):
        yield f"{key}{at}" if at.startswith("[") or not at else f"{key}.{at}", why


def _mistake(error: msgspec.ValidationError, root: object, source: str, above: str = "") -> ConfigError:
    """What msgspec found wrong below `root`, which stands at the key `above`, in the words of the file."""
    message, _, at = str(error).partition(" - at `$")
    key = at.rstrip("`").removeprefix(".")
    if unknown := re.search(r"unknown field `(.*)`$", message):
        reason = _unknown([*_steps(key), unknown[1]], root)
        key = f"{key}.{unknown[1]}".removeprefix(".")
    else:
        reason = _told(message, _kind_at(root, _steps(key)))
    return ConfigError(
        reason, key=f"{above}{key}" if key.startswith("[") or not above else above, source=source
    )


def _unknown(keys: list[str], root: object) -> str:
    """Why `keys` are refused: the last of them is no setting."""
    *path, name = keys
    kind = _kind_at(root, path)
    if _item(kind):
        return f"is not a setting: {_dotted(path)} is a list; its first item is {_dotted(path)}[0]"
    known = list(_fields(kind))
    if not known:
        return f"is not a setting: {_dotted(path)} is no table"
    near = meant(name, known, mark="`") or f"here are {', '.join(known)}"
    return f"is not a setting; {near}"


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
        return "must be one of " + ", ".join(
            f'"{c}"' if isinstance(c, str) else str(c) for c in get_args(kind)
        )
    if "of length >= 1" in message:
        return "must not be empty"
    if length := re.search(r"of length <= (\d+)", message):
        return f"must be at most {length[1]} long"
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
