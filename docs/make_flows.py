"""Writes the tables of steps and keys in docs/flows.md, from the types in the code: python docs/make_flows.py

A test fails when they are stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from bridge.flows.model import STEPS, Asking, Case, FlowFile, Hours, Speaking

TARGET = Path(__file__).with_name("flows.md")
BEGIN, END = "<!-- begin: python docs/make_flows.py -->\n", "<!-- end -->\n"

#: What else a step may hold, by what kind of step it is.
ABOVE: dict[type, str] = {
    Asking: "It asks: [see there](#every-step-that-asks).",
    Speaking: "It says something: [see there](#every-step-that-says-something).",
}
#: What a key holds, in words, where its type has none.
WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Any: "a table",
    list: "a list",
    dict: "a table",
}


def reference() -> str:
    """All tables."""
    parts: dict[str, type[msgspec.Struct]] = {
        "The head of the file": FlowFile,
        "`[hours.NAME]`": Hours,
        "Every step that says something": Speaking,
        "Every step that asks": Asking,
        **{f"`{name}`": kind for name, kind in STEPS.items()},
        "A case of a `condition`": Case,
    }
    return "\n".join(section(title, kind) for title, kind in parts.items())


def section(title: str, kind: type[msgspec.Struct]) -> str:
    """One heading, what it is about, and a table of its own keys."""
    about = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0].replace("``", "`")
    more = [base for base in kind.__mro__[1:] if base in ABOVE]
    lines = [f"### {title}\n", " ".join([about, *(ABOVE[base] for base in more[:1])]) + "\n"]
    lines += ["| Key | Holds | By default | |", "| --- | --- | --- | --- |"]
    notes = notes_of(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in kind.__annotations__:
            cells = (f"`{field.name}`", holds(field.type), default(field), notes.get(field.name, ""))
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""])


def notes_of(kind: type) -> dict[str, str]:
    """What the source says of each key: the comment above it, or its line among the attributes of the docstring."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base.__module__.startswith("bridge.flows"):
            source = inspect.getsource(base)
            for comment, name in re.findall(r"((?:    #: .*\n)+)    (\w+):", source):
                notes[name] = " ".join(line.strip().removeprefix("#: ") for line in comment.splitlines())
            doc = inspect.cleandoc(base.__doc__ or "")
            for name, words in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", doc, re.MULTILINE):
                notes[name] = " ".join(words.split())
    return {name: words.replace("``", "`") for name, words in notes.items()}


def holds(kind: Any) -> str:
    """What a key may hold, in words."""
    arguments = [argument for argument in get_args(kind) if argument is not NoneType]
    metas = [argument for argument in arguments if isinstance(argument, Meta)]
    if described := [meta.description for meta in metas if meta.description]:
        return described[0].partition(": ")[0]
    if get_origin(kind) is Literal:
        return ", ".join(f'`"{word}"`' for word in arguments)
    if get_origin(kind) is list:
        return f"a list: {holds(arguments[0])}"
    if get_origin(kind) is dict:
        return f"a table: {holds(arguments[0])} = {holds(arguments[1])}"
    if metas:
        return f"{holds(arguments[0])}{''.join(bounds(metas[0]))}"
    if NoneType in get_args(kind):
        return holds(arguments[0])
    return WORDS.get(kind, "cases" if kind is Case else "text")


def bounds(meta: Meta) -> Iterator[str]:
    """Its limits, in words."""
    found = [(meta.gt, "more than"), (meta.ge, "from"), (meta.le, "to")]
    words = [f"{word} {number:g}" for number, word in found if number is not None]
    if words:
        yield f", {' '.join(words)}"


def default(field: msgspec.structs.FieldInfo) -> str:
    """What it is when nothing is said; empty for what may be left out, bold for what may not."""
    if field.required:
        return "**needed**"
    value = field.default
    if value in (None, "", msgspec.NODEFAULT):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else msgspec.json.encode(value).decode()}`"


def with_reference(page: str) -> str:
    """`page` with its tables as they should be."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n{reference()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    TARGET.write_text(with_reference(TARGET.read_text("utf-8")), "utf-8")
