"""Every key that `tomllib` knows has a line, and that line holds it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.toml_source import TomlSource, dotted

FLOW = '''\
# [not.a.table]
start = "hello"   # [nor.this]

[prompts.welcome]
text = """
[prompts.fooled]
text = "no" \\"""
more""\"""
voice = "sophia"

[steps.menu.choices]
1 = "one"
"*" = "star"
"say \\u0022hi\\u0022" = "quoted"

[[cases]]
next.step = 'a'

[cases.deep]
x = 1979-05-27 07:32:00Z  # with a blank in it

[[cases]]
next = { to = "b", items = [
    "one",   # ] no end
    { two = 2 },
    [3, [
      4]],
], last = true }

[[cases.inner]]
y = -1.5e3
'''


@pytest.mark.parametrize(
    "key, line",
    [
        ("start", 2), ("prompts", 4), ("prompts.welcome", 4), ("prompts.welcome.text", 5),
        ("prompts.welcome.voice", 9), ("steps", 11), ("steps.menu.choices", 11), ("steps.menu.choices.1", 12),
        ("steps.menu.choices.*", 13), ('steps.menu.choices.say "hi"', 14), ("cases", 16), ("cases[0]", 16),
        ("cases[0].next", 17), ("cases[0].next.step", 17), ("cases[0].deep", 19), ("cases[0].deep.x", 20),
        ("cases[1]", 22), ("cases[1].next.to", 23), ("cases[1].next.items[0]", 24),
        ("cases[1].next.items[1].two", 25), ("cases[1].next.items[2][1]", 26), ("cases[1].next.items[2][1][0]", 27),
        ("cases[1].next.last", 28), ("cases[1].inner[0].y", 31),
        # of what it belongs in
        ("prompts.welcome.tetx", 4), ("cases[1].next.items[9]", 23), ("cases[7].next", 16), ("nothing.here", 0),
        ("prompts.fooled", 4), ("", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_line_of_a_key(key: str, line: int, newline: str, tmp_path: Path) -> None:
    path = tmp_path / "flow.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FLOW.replace("\n", newline).encode())
    source = TomlSource.read(path)
    assert source.tree == tomllib.loads(FLOW)
    assert source.line_of(key) == line


@pytest.mark.parametrize(
    "text, what",
    [
        ("a = \n", "line 1, column 5"),
        ("a = 1\na = 2\n", "line 2"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ("a = " + "9" * 5000, "digits"),
    ],
)
def test_what_is_not_toml(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"^flow.toml: is not TOML: .*{what}"):
        TomlSource.parse(text, "flow.toml")


def test_what_tomllib_has_just_enough_room_for() -> None:
    """Whatever the depth is: read, or refused in words."""
    for depth in range(50, 1000, 13):
        text = "a = " + "[" * depth + "]" * depth
        try:
            assert TomlSource.parse(text, "deep.toml").line_of("a") == 1
        except ConfigError as error:
            assert error.reason == "is not TOML: nested too deep"


# -- against tomllib ---------------------------------------------------------------------------------------------------

BARE = st.text("abc-_019", min_size=1, max_size=3)
ODD = st.text(st.sampled_from('a.[]{}=#,\'" \t[0]é日\\\n"'), max_size=4)


@st.composite
def key_parts(draw: st.DrawFn) -> str:
    name = draw(BARE | ODD)
    if name.replace("-", "").replace("_", "").isalnum() and name.isascii() and draw(st.booleans()):
        return name
    if "'" not in name and "\n" not in name and draw(st.booleans()):
        return f"'{name}'"
    return '"' + _escaped(name) + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\u0009")


KEYS = st.lists(key_parts(), min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", " . ", "\t."]).map(lambda dot: dot.join(parts))
)
STRINGS = st.text(st.sampled_from("a\"'[]{}=#,\n\\ é"), max_size=8).flatmap(
    lambda text: st.sampled_from(
        [
            f'"{_escaped(text)}"',
            f'"""{_escaped(text)}"""',
            '"""' + text.replace("\\", "\\\\").replace('"""', '""\\"') + '"""',
            "'''" + text.replace("'''", "''") + "'''",
            '"""\\\n   ' + _escaped(text) + '"""',
            '"""a"""""',
            "'''a'''''",
        ]
    )
)
SCALARS = STRINGS | st.sampled_from(
    ["1", "-1_000", "0xff", "1.5e-3", "inf", "true", "1979-05-27", "1979-05-27 07:32:00", "07:32:00.5"]
)
GAPS = st.sampled_from(["", " ", "\n", "  # ] } [ comment\n", "\r\n\t"])


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    parts = [draw(GAPS) + item + draw(GAPS) for item in draw(st.lists(items, max_size=3))]
    return "[" + ",".join(parts) + (draw(st.sampled_from([",", ""])) if parts else "") + draw(GAPS) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    return "{" + ", ".join(f"{draw(KEYS)} = {item}" for item in draw(st.lists(items, max_size=3))) + "}"


VALUES = st.recursive(SCALARS, lambda items: arrays(items) | inline_tables(items), max_leaves=5)
PAIRS = st.builds("{}{} = {}".format, st.sampled_from(["", "  "]), KEYS, VALUES)
HEADERS = (
    KEYS.map("[{}]".format) | KEYS.map("[[ {} ]]".format) | st.sampled_from(["[[a]]", "[a.b]", "[[a.b]]"])
)
LINES = PAIRS | HEADERS | st.sampled_from(["", "# comment [x]", "   "])
ENDINGS = st.sampled_from(["\n", "\r\n", " # ends\n"])


def _taken(lines: list[str], ending: str) -> str:
    """As many of `lines` as are TOML together: most lists of lines are not."""
    text = ""
    for line in lines:
        longer = f"{text}{line}{ending}"
        try:
            tomllib.loads(longer)
        except tomllib.TOMLDecodeError:
            continue
        text = longer
    return text


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, below in items:
        yield (*path, part)
        yield from _paths(below, (*path, part))


@given(st.lists(LINES, max_size=8), ENDINGS)
def test_every_key_has_a_line_that_holds_it(lines: list[str], ending: str) -> None:
    text = _taken(lines, ending)
    source = TomlSource.parse(text, "x.toml")
    rows = text.split("\n")
    named: dict[str, set[str]] = {}
    for path in _paths(source.tree):
        name = next(part for part in reversed(path) if isinstance(part, str))
        named.setdefault(dotted(path), set()).add(name if isinstance(path[-1], str) else "")
    assert source.lines.keys() == named.keys()
    for key, names in named.items():
        row = rows[source.lines[key] - 1]
        assert any(_stands_in(name, row) for name in names), (key, row)


def _stands_in(name: str, row: str) -> bool:
    return name in row or _escaped(name) in row
