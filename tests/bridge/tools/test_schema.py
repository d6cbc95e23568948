"""What a model is told of a function, and what becomes of its arguments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from bridge.errors import ConfigError
from bridge.tools.schema import describe


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Guest:
    name: str
    age: int = 18


class Given:
    """Stands for the call."""


TYPES = [
    (str, {"type": "string"}, "x", "x"),
    (int, {"type": "integer"}, "4", 4),
    (float, {"type": "number"}, 1.5, 1.5),
    (bool, {"type": "boolean"}, "true", True),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, "b", "b"),
    (Literal[1, 2], {"enum": [1, 2]}, 2, 2),
    (Size, {"type": "string", "enum": ["large", "small"], "title": "Size"}, "small", Size.SMALL),
    (list[int], {"type": "array", "items": {"type": "integer"}}, [1, "2"], [1, 2]),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}, {"x": 1}, {"x": 1.0}),
    (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, None, None),
    (dt.date, {"type": "string", "format": "date"}, "2026-11-22", dt.date(2026, 11, 22)),
    (dt.time, {"type": "string"}, "19:30:00", dt.time(19, 30)),
    (Annotated[int, "how many"], {"type": "integer", "description": "how many"}, 3, 3),
    (Annotated[int, msgspec.Meta(ge=1)], {"type": "integer", "minimum": 1}, 1, 1),
]  # fmt: skip


def function_of(kind: Any) -> Callable[..., object]:
    def tool(value):  # type: ignore[no-untyped-def]
        """Does it."""

    tool.__annotations__["value"] = kind
    return tool


@pytest.mark.parametrize("kind, schema, said, value", TYPES, ids=lambda each: str(each)[:30])
def test_each_type_is_described_and_taken(
    kind: Any, schema: dict[str, Any], said: object, value: object
) -> None:
    known = describe(function_of(kind))
    told = known.parameters["properties"]["value"]
    assert {key: each for key, each in told.items() if key in schema} == schema
    assert "$ref" not in str(told)
    assert known.arguments({"value": said}) == {"value": value}


def greet(name: str, call: Given, times: int = 1, tags: list[str] = ["new"]) -> None:  # noqa: B006
    """Greet somebody.

    Warmly.
    """


def test_what_is_given_is_none_of_the_models_business() -> None:
    known = describe(greet, (Given,))
    assert (known.name, known.description) == ("greet", "Greet somebody.\n\nWarmly.")
    assert list(known.parameters["properties"]) == ["name", "times", "tags"]
    assert known.parameters["required"] == ["name"]
    assert known.parameters["additionalProperties"] is False
    assert known.given == {"call": Given}
    first = known.arguments({"name": "Ada"})
    assert first == {"name": "Ada", "times": 1, "tags": ["new"]}
    first["tags"].append("old")
    assert known.arguments({"name": "Ada"})["tags"] == ["new"], "defaults are nobody's to change"


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({}, "missing required field `name`"),
        ({"name": 5}, "Expected `str`"),
        ({"name": "x", "times": "many"}, "Expected `int`"),
        ({"name": "x", "call": 1}, "unknown field `call`"),
    ],
)
def test_arguments_that_are_wrong(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        describe(greet, (Given,)).arguments(arguments)


def parts_are_described(guest: Guest) -> None:
    """Takes one."""


def test_parts_stand_where_they_are_needed() -> None:
    known = describe(parts_are_described)
    told = known.parameters["properties"]["guest"]
    assert (told["type"], list(told["properties"])) == ("object", ["name", "age"])
    assert known.arguments({"guest": {"name": "Bo"}}) == {"guest": Guest("Bo")}


@dataclass
class Nest:
    inner: Nest | None = None


def holds_itself(nest: Nest) -> None:
    """Takes one."""


def no_type(name) -> None:  # type: ignore[no-untyped-def]
    """Takes one."""


def no_docstring(name: str) -> None: ...


def rest(*names: str) -> None:
    """Takes some."""


def only_by_place(name: str, /) -> None:
    """Takes one."""


def what_nobody_can_say(name: Callable[[], None]) -> None:
    """Takes one."""


def not_there(name: Nobody) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Takes one."""


def été() -> None:
    """Takes none."""


@pytest.mark.parametrize(
    "function, reason",
    [
        (holds_itself, "Nest, which holds itself"),
        (no_type, "name has no type"),
        (no_docstring, "has no docstring"),
        (rest, r"\*names: give each parameter a name"),
        (only_by_place, "give each parameter a name"),
        (what_nobody_can_say, "cannot be told of the type of name"),
        (not_there, "name 'Nobody' is not defined: its annotations must be there when it runs"),
        (été, "cannot be the name of a tool"),
    ],
)
def test_what_no_model_can_be_told(function: Callable[..., object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        describe(function)
