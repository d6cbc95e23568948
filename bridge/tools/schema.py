"""From a typed Python function to what a model is told of it, and from a model's arguments to those of the function.

Strategy:

- The signature is the whole truth: names, types, defaults, ``Annotated[..., "what it is"]``, and the docstring. What a
  model cannot be told is refused when the function is named, not when it is called.
- One struct stands for the parameters: msgspec describes it as JSON schema, and checks arguments against it.
- Schemas hold no references: some endpoints do not follow them.
- Parameters of the types that the caller of this gives (the call) are none of the model's business.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from bridge.errors import ConfigError

#: What endpoints take as the name of a tool.
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: A description is part of every request: longer ones are cut.
MAX_DESCRIPTION: Final = 1024
_REF: Final = "#/$defs/"


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a function.

    Attributes:
        name: by which a model calls it.
        description: what it does.
        parameters: JSON schema of an object.
        given: the parameters that the model is not asked for, and their types.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    given: Mapping[str, type]
    _arguments: type[Struct]

    def arguments(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """A model's arguments as the function takes them. Numbers may be text: models do that.

        Raises:
            msgspec.ValidationError: they are not those of the function; says which, and why.
        """
        struct = msgspec.convert(dict(wanted), self._arguments, strict=False)
        return {name: getattr(struct, name) for name in struct.__struct_fields__}


def describe(function: Callable[..., object], given: Sequence[type] = ()) -> Description:
    """What a model is told of `function`.

    Raises:
        ConfigError: of something about it no model can be told; names it, and the mend.
    """
    name = getattr(function, "__name__", "")
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a tool: letters, digits and _ can")
    if not (description := inspect.getdoc(function)):
        raise ConfigError(f"{name} has no docstring: by that a model knows what it does")
    theirs, asked = {}, []
    for parameter, kind in _parameters(function, name, given):
        if kind in given:
            theirs[parameter.name] = kind
        else:
            asked.append(_field(parameter, kind))
    struct = msgspec.defstruct(name, asked, kw_only=True, forbid_unknown_fields=True)
    return Description(name, description[:MAX_DESCRIPTION], _schema(struct, name), theirs, struct)


def _parameters(
    function: Callable[..., object], name: str, given: Sequence[type]
) -> list[tuple[inspect.Parameter, Any]]:
    """Each parameter with its type."""
    try:
        known = {each.__name__: each for each in given}
        hints = get_type_hints(inspect.unwrap(function), localns=known, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(
            f"{name}: {error}: its annotations must be there when it runs, not for type checkers alone"
        ) from None
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"{name}: a model cannot be told of *{parameter.name}: give each parameter a name"
            )
        if parameter.name not in hints:
            raise ConfigError(f"{name}: {parameter.name} has no type")
    return [(parameter, hints[parameter.name]) for parameter in parameters]


def _field(parameter: inspect.Parameter, kind: Any) -> tuple[str, Any, Any]:
    default = parameter.default
    if default is parameter.empty:
        return parameter.name, _told(kind), msgspec.NODEFAULT
    if isinstance(default, list | dict | set):
        return parameter.name, _told(kind), msgspec.field(default_factory=lambda: type(default)(default))
    return parameter.name, _told(kind), msgspec.field(default=default)


def _told(kind: Any) -> Any:
    """`kind`, its texts in ``Annotated`` made descriptions."""
    if get_origin(kind) is not Annotated:
        return kind
    inner, *extras = get_args(kind)
    metas = [Meta(description=extra) if isinstance(extra, str) else extra for extra in extras]
    return Annotated[(inner, *(meta for meta in metas if isinstance(meta, Meta)))]


def _schema(struct: type[Struct], name: str) -> dict[str, Any]:
    try:
        (root,), parts = msgspec.json.schema_components((struct,), ref_template=_REF + "{name}")
    except (TypeError, NotImplementedError):
        raise ConfigError(
            f"{name}: a model cannot be told of the type of {_strange(struct)}. Take text, numbers, "
            "Literal, Enum, list, dict, date, time, dataclasses"
        ) from None
    schema: dict[str, Any] = _inlined(root, parts, name, ())
    schema.pop("title", None)
    return schema


def _strange(struct: type[Struct]) -> str:
    """Which of its fields has a type that there is no schema of."""
    for field in msgspec.structs.fields(struct):
        try:
            msgspec.json.schema(field.type)
        except (TypeError, NotImplementedError):
            return field.name
    return "a parameter"


def _inlined(node: Any, parts: Mapping[str, Any], name: str, above: tuple[str, ...]) -> Any:
    """`node` with what it refers to in the place of each reference."""
    if isinstance(node, list):
        return [_inlined(item, parts, name, above) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(ref := node.get("$ref"), str):
        part = ref.removeprefix(_REF)
        if part in above:
            raise ConfigError(f"{name}: a model cannot be told of {part}, which holds itself")
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _inlined({**parts[part], **rest}, parts, name, (*above, part))
    inlined = {key: _inlined(value, parts, name, above) for key, value in node.items()}
    if isinstance(choices := node.get("enum"), list) and all(isinstance(choice, str) for choice in choices):
        inlined.setdefault("type", "string")  # some endpoints want it
    return inlined
