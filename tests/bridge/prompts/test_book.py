"""Every mistake of a prompt file is told in one go: where, and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import PromptError
from bridge.problems import Problem
from bridge.prompts.book import MAX_TEXT_CHARS, Defaults, merged, read_book, specs_of
from bridge.prompts.prompt import fault_of_recording, load_prompt
from bridge.prompts.spec import Book, PromptSpec, Variant
from bridge.toml_source import TomlSource
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes

GOOD = """\
voice = "sophia"
language = "en"
speed = 1.1

[prompts.welcome]
text = "Welcome."

[prompts.welcome.in.hi]
text = "नमस्ते।"
voice = "arnav"

[prompts."clinic.balance"]
text = "Hello {name}, your balance is {amount}."
variables = { amount = "money:USD" }
private = ["amount"]
speed = 0.9
pronunciation_dicts = ["d1"]
in.de = { text = "{name}: {amount}", speed = 1.5 }

[prompts.hold]
file = "hold.wav"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hold.wav").write_bytes(wav_bytes(AudioFormat(Encoding.PCM16, 16_000), b"\0\1" * 160))
    (tmp_path / "empty.wav").write_bytes(wav_bytes(MULAW_8K, b""))
    (tmp_path / "stereo.wav").write_bytes(wav_bytes(MULAW_8K, b"\xff" * 160, channels=2))
    return tmp_path


def read(folder: Path, text: str, name: str = "a.toml") -> tuple[Book, list[Problem]]:
    (folder / name).write_text(text, "utf-8")
    return read_book(folder)


def test_a_book_with_all_that_there_is(folder: Path) -> None:
    book, problems = read(folder, GOOD)
    assert problems == []
    assert book.specs == {
        "welcome": PromptSpec(
            text="Welcome.", voice="sophia", language="en", speed=1.1,
            in_={"hi": Variant(text="नमस्ते।", voice="arnav", language="hi", speed=1.1)},
        ),
        "clinic.balance": PromptSpec(
            text="Hello {name}, your balance is {amount}.", voice="sophia", language="en", speed=0.9,
            variables={"amount": "money:USD"}, private=["amount"], pronunciation_dicts=["d1"],
            in_={"de": Variant(text="{name}: {amount}", voice="sophia", language="de", speed=1.5)},
        ),
        "hold": PromptSpec(file=str(folder / "hold.wav"), voice="sophia", language="en", speed=1.1),
    }  # fmt: skip
    path = str(folder / "a.toml")
    assert book.places == {"welcome": (path, 5), "clinic.balance": (path, 12), "hold": (path, 20)}


@pytest.mark.parametrize(
    "language, text", [("", "Hi"), ("hi", "H"), ("hi-IN", "H"), ("en", "Hi"), ("xx", "Hi")]
)
def test_which_language_it_is_said_in(language: str, text: str) -> None:
    spec = PromptSpec(text="Hi", language="en", in_={"hi": Variant(text="H")})
    assert spec.in_language(language).text == text


#: What stands below ``[prompts.p]``; line and key of what is told, and a part of it.
MISTAKES = [
    ("", 1, "prompts.p.text", 'says nothing: give it text = "..." or file = "....wav"'),
    ("txt = 'hi'", 2, "prompts.p.txt", "is not a setting; did you mean `text`?"),
    ("text = ''", 2, "prompts.p.text", "says nothing"),
    ("text = '  '", 2, "prompts.p.text", "is blank"),
    ("text = '... !'", 2, "prompts.p.text", "is blank"),
    ("text = 5", 2, "prompts.p.text", "must be text in quotes, not a whole number"),
    (f"text = '{'a' * (MAX_TEXT_CHARS + 1)}'", 2, "prompts.p.text", "has 2001 characters, 2000 are the most"),
    ('text = "a\\u0007"', 2, "prompts.p.text", "holds a control character"),
    ("text = 'a {b'", 2, "prompts.p.text", "has a { without a }"),
    ("text = 'a {Name}'", 2, "prompts.p.text", "did you mean {name}?"),
    ("text = 'a'\nfile = 'hold.wav'", 1, "prompts.p", "has both a text and a file"),
    ("file = 'none.wav'", 2, "prompts.p.file", "none.wav: cannot be read: No such file"),
    ("file = 'a.toml'", 2, "prompts.p.file", "a.toml: not a WAV"),
    ("file = 'empty.wav'", 2, "prompts.p.file", "empty.wav: holds no audio"),
    ("file = 'stereo.wav'", 2, "prompts.p.file", "has 2 channels; a prompt must be mono"),
    ("file = '.'", 2, "prompts.p.file", "is no file"),
    ('file = "\\u0000"', 2, "prompts.p.file", "null"),
    ("text = 'a'\nspeed = 9", 3, "prompts.p.speed", "must be <= 2"),
    ("text = 'a'\npronunciation_dicts = ['x', 3]", 3, "prompts.p.pronunciation_dicts[1]", "must be text in quotes"),
    ("text = 'a {b}'\nvariables = { b = 'mony:USD' }", 3, "prompts.p.variables.b", "is no kind of variable"),
    ("text = 'a {b}'\nvariables.b = 'money:usd'", 3, "prompts.p.variables.b", "did you mean money:USD?"),
    ("text = 'a {name}'\nvariables.nam = 'text'", 3, "prompts.p.variables.nam", "did you mean name?"),
    ("text = 'a'\nvariables.b = 'text'", 3, "prompts.p.variables.b", "write {b} there, or leave it out"),
    ("text = 'a {name}'\nprivate = [\n 'name',\n 'nam']", 5, "prompts.p.private[1]", "nam is in no text"),
    ("text = 'a {b}'\nin.hi.text = 'a {c}'", 3, "prompts.p.in.hi", "has other variables ({c}) than"),
    ("text = 'a {b}'\nin.hi.file = 'hold.wav'", 3, "prompts.p.in.hi", "has other variables (none)"),
    ("text = 'a'\n[prompts.p.in.hi]\nvoice = 'x'", 3, "prompts.p.in.hi.text", "says nothing"),
    ("text = 'a'\n[prompts.p.in.hi]\ntext = 'a }'", 4, "prompts.p.in.hi.text", "has a } without a {"),
    ("text = 'a'\nin.hi = { text = 'a', txet = 'b' }", 3, "prompts.p.in.hi.txet", "did you mean `text`?"),
    ("text = 'a'\nin.Hindi.text = 'a'", 3, "prompts.p.in.Hindi", "is no code of a language"),
    ("text = 'a'\nlanguage = 'hi'\nin.hi.text = 'a'", 4, "prompts.p.in.hi", "is the language that the prompt has"),
    ("text = 'a'\n[prompts.p.q]\ntext = 'b'", 3, "prompts.p.q", 'is written [prompts."p.q"]'),
    ("text = 'a'\n[q]\ntext = 'b'", 3, "q", "did you mean [prompts.q]?"),
    ("text = 'a'\n[q]\nb = 1", 3, "q", "is not a setting; here are"),
    ("text = 'a'\n[prompts.hold_music]\ntext = 'b'", 3, "prompts.hold_music", "is the name of a sound"),
    ("text = 'a'\n[prompts.apology]\ntext = 'b'", 3, "prompts.apology", "call it otherwise, such as my_apology"),
    ("text = 'a'\n[prompts.'Two Words']\ntext = 'b'", 3, "prompts.Two Words", "such as two_words"),
    ("text = 'a'\n[prompts]\nq = 'b'", 4, "prompts.q", "must be a table"),
]  # fmt: skip


@pytest.mark.parametrize("below, line, key, told", MISTAKES)
def test_a_mistake_is_told_by_line_and_key(below: str, line: int, key: str, told: str, folder: Path) -> None:
    _, problems = read(folder, f"[prompts.p]\n{below}\n")
    (problem,) = problems
    assert (problem.source, problem.line, problem.key) == (str(folder / "a.toml"), line, key)
    assert told in problem.reason
    assert problem.fatal


def test_all_mistakes_are_told_in_one_go(folder: Path) -> None:
    text = "voise = 'x'\nspeed = 'fast'\n" + "\n".join(
        f"[prompts.p{number}]\n{below}".replace("[prompts.p.", f"[prompts.p{number}.")
        for number, (below, *_) in enumerate(MISTAKES)
        if "\n[prompts]" not in below and "\n[q]" not in below
    )
    _, problems = read(folder, text)
    assert len(problems) == len(MISTAKES) - 3 + 2
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


def test_one_prompt_may_have_several(folder: Path) -> None:
    _, problems = read(folder, "[prompts.P]\ntext = '{A} {'\nfile = 'none.wav'\nvariables.b = 'c'\n")
    assert [problem.line for problem in problems] == [1, 1, 2, 2, 3, 4, 4]


def test_a_prompt_with_a_mistake_is_there_for_whoever_names_it(folder: Path) -> None:
    book, problems = read(folder, "[prompts.p]\ntext = 'a'\nspeed = 'x'\n'a.b' = 1\n'' = 2\n")
    assert [problem.key for problem in problems] == ["prompts.p", "prompts.p.speed", "prompts.p.a.b"]
    assert book.specs == {"p": PromptSpec(text="a")}


def test_an_id_in_two_files(folder: Path) -> None:
    (folder / "b.toml").write_text("\n[prompts.p]\ntext = 'b'\n")
    book, problems = read(folder, "[prompts.p]\ntext = 'a'\n")
    reason = f"stands at {folder / 'a.toml'}:1 already: an id is there once; call one of them otherwise"
    assert problems == [Problem(str(folder / "b.toml"), 2, "prompts.p", reason)]
    assert book.specs["p"].text == "a"


def test_books_are_merged_in_order() -> None:
    one, two = (
        Book({"a": PromptSpec(text="1")}, {"a": ("x", 1)}),
        Book({"b": PromptSpec(text="2")}, {"b": ("y", 2)}),
    )
    assert merged(one, two) == (Book({**one.specs, **two.specs}, {"a": ("x", 1), "b": ("y", 2)}), [])


def test_prompts_of_another_files_table() -> None:
    source = TomlSource.parse("[said.p]\ntext = 'a'\n[said.q]\ntext = 'b'\nvoice = 'own'\n", "dir/flow.toml")
    specs, places, problems = specs_of(source, "said", Defaults(voice="file's", speed=1.2))
    assert {prompt: (spec.voice, spec.speed) for prompt, spec in specs.items()} == {
        "p": ("file's", 1.2), "q": ("own", 1.2),
    }  # fmt: skip
    assert places == {"p": ("dir/flow.toml", 1), "q": ("dir/flow.toml", 3)}
    assert problems == []
    assert specs_of(source) == ({}, {}, [])


# -- files that are none -----------------------------------------------------------------------------------------------


def test_files_that_are_none(folder: Path) -> None:
    (folder / "bytes.toml").write_bytes(b"text = '\xff'")
    (folder / "folder.toml").mkdir()
    (folder / "loop.toml").symlink_to("loop.toml")
    (folder / "nowhere.toml").symlink_to("gone")
    os.mkfifo(folder / "pipe.toml")
    (folder / "wrong.toml").write_text("\n\na = = 1\n")
    (folder / "prompts.toml").write_text("prompts = 3\n")
    (folder / "nothing.toml").write_text("# later\n")
    (folder / ".#a.toml").symlink_to("an-editor-has-it-open")
    _, problems = read(folder, "[prompts.p]\ntext = 'a'\n")
    assert {(Path(p.source).name, p.line, p.reason.partition(":")[0], p.fatal) for p in problems} == {
        ("bytes.toml", 0, "is not TOML", True),
        ("folder.toml", 0, "is no file", True),
        ("loop.toml", 0, "cannot be read", True),
        ("nowhere.toml", 0, "cannot be read", True),
        ("pipe.toml", 0, "is no file", True),
        ("wrong.toml", 3, "is not TOML", True),
        ("prompts.toml", 1, "must be a table, as in [prompts.welcome]", True),
        ("nothing.toml", 0, "holds no prompts", False),
    }
    assert len(problems) == 8


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    told = {name: read_book(tmp_path / name)[1] for name in ("gone", "file", "empty")}
    assert {name: [(p.source, p.fatal) for p in problems] for name, problems in told.items()} == {
        "gone": [(str(tmp_path / "gone"), True)],
        "file": [(str(tmp_path / "file"), True)],
        "empty": [(str(tmp_path / "empty"), False)],
    }


@pytest.mark.parametrize(
    "name, fault", [("hold.wav", False), ("empty.wav", True), ("stereo.wav", True), ("no", True)]
)
def test_a_recording_is_refused_as_when_it_is_loaded(name: str, fault: bool, folder: Path) -> None:
    reason = fault_of_recording(folder / name)
    assert bool(reason) == fault
    if fault:
        with pytest.raises(PromptError, match=f"{name}: {reason}$"):
            load_prompt(folder / name)
    else:
        assert load_prompt(folder / name).audio


# -- whatever a file holds ---------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["text", "file", "in", "variables", "private", "speed", "hi", "a.b", "", "name", "voice"]
)
SCALARS = (
    st.sampled_from(["", "a {name}", "{", "text", "name", "hold.wav"])
    | st.integers()
    | st.floats()
    | st.booleans()
)
TREES = st.recursive(
    SCALARS, lambda items: st.lists(items, max_size=2) | st.dictionaries(NAMES, items, max_size=4)
)
FILES = st.dictionaries(
    st.sampled_from(["p", "P", "a.b", "", "beep"]), st.dictionaries(NAMES, TREES, max_size=5) | TREES
)


@given(FILES)
def test_whatever_a_file_holds_is_read_or_told(prompts: dict[str, Any]) -> None:
    specs, places, problems = specs_of(TomlSource("x.toml", {"prompts": prompts}))
    assert specs.keys() == places.keys() == prompts.keys()
    for prompt, tree in prompts.items():
        key = f"prompts.{prompt}"
        is_whole = not any(problem.key == key or problem.key.startswith(f"{key}.") for problem in problems)
        assert not is_whole or isinstance(tree, dict) and specs[prompt].text == tree["text"]
