"""``bridge dictionaries``: how words are to be pronounced."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from bridge.cli.account import Row, ask, note, show_found, show_json, show_table
from bridge.cli.running import ConfigPath, Flag, reading
from bridge.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from bridge.lightning.account import Account
    from bridge.lightning.account_data import Dictionary

dictionaries = App(
    name="dictionaries",
    help="Pronunciation dictionaries: list, add, edit, remove.",
    help_epilogue="",
    sort_key=11,
)


@dictionaries.command(name="list")
def list_dictionaries(*, json: Flag = False, config: ConfigPath = None) -> int:
    """List the pronunciation dictionaries of your account.

    Args:
        json: print JSON instead of a table.
        config: a TOML file; only its [lightning] is used.
    """
    found = ask(config, lambda account: account.dictionaries())
    show_found(
        found, "No dictionaries.", ("DICTIONARY", "WORDS", "PRONUNCIATIONS", "CREATED"), _row, json=json
    )
    return 0


@dictionaries.command
def add(
    items: Annotated[list[str] | None, Parameter(negative="")] = None,
    /,
    *,
    file: Path | None = None,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Make a dictionary out of words, a file, or both.

    Prints its id, which is what `bridge say --pronunciation-dict` wants. Words match whole and case-sensitively; a
    pronunciation is a respelling, not IPA: `bridge dictionaries add Siobhan=Shivawn SQL=sequel`.

    Args:
        items: WORD=PRONUNCIATION, as many as you like.
        file: more of them: lines `word = "pronunciation"` in a .toml, or word,pronunciation in a .csv.
        json: print JSON instead of the id.
        config: a TOML file; only its [lightning] is used.
    """
    wanted = _unique([*_read(file), *map(_item, items or ())])
    if not wanted:
        raise ConfigError("give WORD=PRONUNCIATION, or --file", key="ITEMS")
    made = ask(config, lambda account: account.create_dictionary(wanted))
    if json:
        show_json(made)
    else:
        print(made.id)
    return 0


@dictionaries.command
def edit(
    id: str,
    items: Annotated[list[str] | None, Parameter(negative="")] = None,
    /,
    *,
    remove: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Change, add or remove words of a dictionary. The others stay.

    Args:
        id: of the dictionary; see list.
        items: WORD=PRONUNCIATION to add or to change.
        remove: a word to take out; more of them may be given.
        json: print JSON instead of the words.
        config: a TOML file; only its [lightning] is used.
    """
    changes, removed = _unique(map(_item, items or ())), remove or []
    if not (changes or removed):
        raise ConfigError("give WORD=PRONUNCIATION, or --remove WORD", key="ITEMS")
    if both := sorted(set(removed) & changes.keys()):
        raise ConfigError(f"{both[0]!r} is to be changed as well", key="--remove")
    changed = ask(config, lambda account: _edited(account, id, changes, removed))
    if json:
        show_json(changed)
    else:
        show_table(("WORD", "PRONUNCIATION"), list(changed.items.items()))
    return 0


@dictionaries.command
def remove(id: str, /, *, yes: Flag = False, json: Flag = False, config: ConfigPath = None) -> int:
    """Delete a dictionary, for good.

    Args:
        id: of the dictionary; see list.
        yes: do not ask first.
        json: print JSON.
        config: a TOML file; only its [lightning] is used.
    """
    if not yes and not _confirmed(id):
        note("Nothing was deleted.")
        return 1
    ask(config, lambda account: account.delete_dictionary(id))
    if json:
        show_json({"id": id, "deleted": True})
    else:
        print(f"deleted {id}")
    return 0


async def _edited(account: Account, id: str, changes: dict[str, str], removed: list[str]) -> Dictionary:
    """Lightning replaces all words at once, so those that stay are sent again."""
    known = {dictionary.id: dictionary for dictionary in await account.dictionaries()}
    if id not in known:
        raise InvalidRequest(f"there is no dictionary {id}; `bridge dictionaries list` shows those there are")
    before = known[id].items
    if missing := [word for word in removed if word not in before]:
        raise InvalidRequest(f"{missing[0]!r} is not in the dictionary; words are case-sensitive")
    after = {word: said for word, said in (before | changes).items() if word not in removed}
    if not after:
        raise InvalidRequest(f"no word would be left; delete it with `bridge dictionaries remove {id}`")
    return await account.update_dictionary(id, after)


def _confirmed(id: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("is needed where nobody can be asked", key="--yes")
    print(f"Delete the dictionary {id}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _row(d: Dictionary) -> Row:
    pairs = ", ".join(f"{word}={said}" for word, said in d.items.items())
    return d.id, str(len(d.items)), pairs, d.created_at[:10]


# -- words from the command line and from files ------------------------------------------------------------------------


def _item(text: str) -> tuple[str, str]:
    word, equals, said = text.partition("=")
    if not (equals and word.strip() and said.strip()):
        raise ConfigError(f"{text!r} is not WORD=PRONUNCIATION", key="ITEMS")
    return word.strip(), said.strip()


def _unique(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, said in items:
        if found.setdefault(word, said) != said:
            raise ConfigError(f"{word!r} has two pronunciations: {found[word]!r} and {said!r}", key="ITEMS")
    return found


def _read(file: Path | None) -> Iterator[tuple[str, str]]:
    if file is None:
        return iter(())
    if file.suffix.lower() == ".toml":
        return _of_toml(file)
    if file.suffix.lower() == ".csv":
        return _of_csv(file)
    raise ConfigError("must be a .toml or a .csv", key="--file", source=str(file))


def _of_toml(file: Path) -> Iterator[tuple[str, str]]:
    from bridge.config_tree import read_toml

    for word, said in read_toml(file).items():
        if not (isinstance(said, str) and word.strip() and said.strip()):
            raise ConfigError('must be: word = "pronunciation"', key=word, source=str(file))
        yield word.strip(), said.strip()


def _of_csv(file: Path) -> Iterator[tuple[str, str]]:
    try:
        with reading(file):
            lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"byte {error.start} is not UTF-8", source=str(file)) from error
    for number, row in enumerate(csv.reader(lines), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and [cell.lower() for cell in cells] == ["word", "pronunciation"]):
            continue
        if len(cells) != 2 or not all(cells):
            raise ConfigError(f"line {number} is not word,pronunciation", source=str(file))
        yield cells[0], cells[1]
