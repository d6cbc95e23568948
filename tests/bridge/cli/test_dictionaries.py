"""``bridge dictionaries``: against the emulated Lightning, over a real socket."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.emulators.lightning import EmulatedLightning
from tests.support.cli import Invoke, bridge
from tests.support.lightning_thread import lightning_in_thread

KEY = "sk-a-key-that-stays-secret"


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedLightning]:
    """One that the environment points to."""
    with lightning_in_thread() as emulator:
        monkeypatch.setenv("BRIDGE_LIGHTNING__BASE_URL", emulator.url)
        monkeypatch.setenv("SMALLEST_API_KEY", KEY)
        yield emulator


@pytest.fixture
def made(invoke: Invoke, lightning: EmulatedLightning) -> str:
    """The id of a dictionary with two words."""
    return invoke("dictionaries", "add", "Siobhan=Shivawn", "SQL=sequel").out.strip()


def items(invoke: Invoke) -> list[dict[str, str]]:
    """The words of each dictionary there is."""
    return [found["items"] for found in json.loads(invoke("dictionaries", "list", "--json").out)]


def test_none_at_first(invoke: Invoke, lightning: EmulatedLightning) -> None:
    done = invoke("dictionaries", "list")
    assert (done.code, done.out, done.err) == (0, "", "No dictionaries.\n")
    assert items(invoke) == []


def test_a_table_to_read(invoke: Invoke, made: str) -> None:
    done = invoke("dictionaries", "list")
    heading, line = done.out.splitlines()
    assert heading.split() == ["DICTIONARY", "WORDS", "PRONUNCIATIONS", "CREATED"]
    assert line.split()[:4] == [made, "2", "Siobhan=Shivawn,", "SQL=sequel"]


def test_add_prints_what_say_wants(invoke: Invoke, lightning: EmulatedLightning, made: str) -> None:
    assert items(invoke) == [{"Siobhan": "Shivawn", "SQL": "sequel"}]
    assert invoke("say", "SQL.", "--pronunciation-dict", made).code == 0
    assert lightning.stats.last_request["pronunciation_dicts"] == [made]


def test_add_as_json(invoke: Invoke, lightning: EmulatedLightning) -> None:
    done = invoke("dictionaries", "add", "E=mc=2", "--json")
    assert json.loads(done.out)["items"] == {"E": "mc=2"}, "only the first = counts"


@pytest.mark.parametrize(
    "name, text",
    [
        ("words.toml", 'Siobhan = "Shivawn"\n"New York" = "Noo Yawk"\n'),
        ("words.csv", "Siobhan,Shivawn\nNew York,Noo Yawk\n"),
        ("WORDS.CSV", '\ufeffword, pronunciation\r\n\r\n Siobhan , Shivawn\r\n"New York","Noo Yawk"\r\n'),
    ],
)
def test_words_from_a_file(
    invoke: Invoke, lightning: EmulatedLightning, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    done = invoke("dictionaries", "add", "--file", name, "SQL=sequel")
    assert (done.code, done.err) == (0, "")
    assert items(invoke) == [{"Siobhan": "Shivawn", "New York": "Noo Yawk", "SQL": "sequel"}]


def test_edit_changes_what_is_named_and_nothing_else(invoke: Invoke, made: str) -> None:
    done = invoke("dictionaries", "edit", made, "SQL=ess queue ell", "GIF=jif")
    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["WORD", "Siobhan", "SQL", "GIF"]
    done = invoke("dictionaries", "edit", made, "--remove", "Siobhan", "--remove", "GIF", "--json")
    assert json.loads(done.out)["items"] == {"SQL": "ess queue ell"}
    assert items(invoke) == [{"SQL": "ess queue ell"}]


def test_remove(invoke: Invoke, made: str) -> None:
    done = invoke("dictionaries", "remove", made, "--yes")
    assert (done.code, done.out, done.err) == (0, f"deleted {made}\n", "")
    assert items(invoke) == []


@pytest.mark.parametrize(
    "answer, code, left", [("y\n", 0, 0), ("Yes\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1), ("", 1, 1)]
)
def test_remove_asks_first(
    invoke: Invoke, made: str, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    done = invoke("dictionaries", "remove", made, "--json")
    assert done.code == code
    assert done.err.startswith(f"Delete the dictionary {made}? [y/N] ")
    assert done.out == ("" if left else f'{{\n  "id": "{made}",\n  "deleted": true\n}}\n')
    assert len(items(invoke)) == left


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (("add",), 2, "ITEMS: give WORD=PRONUNCIATION, or --file"),
        (("add", "SQL"), 2, "ITEMS: 'SQL' is not WORD=PRONUNCIATION"),
        (("add", "=x"), 2, "ITEMS: '=x' is not WORD=PRONUNCIATION"),
        (("add", "a= "), 2, "ITEMS: 'a= ' is not WORD=PRONUNCIATION"),
        (("add", "a=b", "a=c"), 2, "ITEMS: 'a' has two pronunciations: 'b' and 'c'"),
        (("add", "--file", "none.csv"), 2, "none.csv: cannot be read: No such file or directory"),
        (("add", "--file", "none.toml"), 2, "none.toml: cannot be read: No such file or directory"),
        (("add", "--file", "a.txt"), 2, "a.txt: --file: must be a .toml or a .csv"),
        (("add", "--file", "bad.csv"), 2, "bad.csv: line 2 is not word,pronunciation"),
        (("add", "--file", "bytes.csv"), 2, "bytes.csv: byte 0 is not UTF-8"),
        (("add", "--file", "bad.toml"), 2, 'bad.toml: SQL: must be: word = "pronunciation"'),
        (("edit", "d1"), 2, "ITEMS: give WORD=PRONUNCIATION, or --remove WORD"),
        (("edit", "d1", "a=b", "--remove", "a"), 2, "--remove: 'a' is to be changed as well"),
        (("edit", "d1", "a=b"), 1, "there is no dictionary d1; `bridge dictionaries list`"),
        (("edit", "{made}", "--remove", "sql"), 1, "'sql' is not in the dictionary; words are case-sensitive"),
        (("edit", "{made}", "--remove", "SQL", "--remove", "Siobhan"), 1, "no word would be left; delete it with"),
        (("remove", "{made}"), 2, "--yes: is needed where nobody can be asked"),
        (("remove", "d1", "--yes"), 1, "Pronunciation dictionary not found (code 404)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    invoke: Invoke,
    made: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (tmp_path / "bad.csv").write_text("word,pronunciation\nSQL\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff,x\n")
    (tmp_path / "bad.toml").write_text("SQL = 7\n")
    done = invoke("dictionaries", *(argument.replace("{made}", made) for argument in arguments))
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"bridge: {told}")
    assert items(invoke) == [{"Siobhan": "Shivawn", "SQL": "sequel"}], "nothing has changed"


def test_a_missing_key_is_wrong_use(invoke: Invoke) -> None:
    for arguments in (("list",), ("add", "a=b"), ("edit", "d1", "a=b"), ("remove", "d1", "--yes")):
        done = invoke("dictionaries", *arguments)
        assert (done.code, done.err) == (2, "bridge: lightning.api_key: is missing: set SMALLEST_API_KEY\n")


def test_as_a_process_of_its_own(lightning: EmulatedLightning, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = bridge(
            "dictionaries",
            *arguments,
            cwd=tmp_path,
            SMALLEST_API_KEY=KEY,
            BRIDGE_LIGHTNING__BASE_URL=lightning.url,
        )
        return done.returncode, done.stdout

    code, made = run("add", "SQL=sequel")
    assert code == 0
    assert run("remove", made.strip()) == (2, ""), "standard input is no terminal"
    code, listed = run("list", "--json")
    assert [found["id"] for found in json.loads(listed)] == [made.strip()]
