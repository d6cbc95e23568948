"""Prompt files: what is said, by name, in which voice. Reading them is pure but for the files themselves.

    # config/prompts/clinic.toml
    voice = "sophia"                       # of all prompts of this file that do not say otherwise

    [prompts.welcome]
    text = "Welcome to Elm Street Clinic."

    [prompts.balance]
    text = "Hello {name}, your balance is {amount}."
    variables = { amount = "money:USD" }   # how it is said: text, digits, number, date, time, money:CODE
    private = ["amount"]                   # its sound is never kept on disk

    [prompts.welcome.in.hi]                # the same in another language
    text = "..."
    voice = "..."

    [prompts.hold]
    file = "hold.wav"                      # recorded; any rate; beside this file

Strategy:

- All mistakes of all files are found in one go, each with file, line, key and the mend. Nothing is raised.
- A prompt with a mistake is in the book all the same, as far as it can be read, so that nothing that names it is told
  that it is not there. The mistake is fatal: no call ever sees it.
- What is left out is filled in here: a prompt has its file's voice, language and speed, another language of it the
  prompt's voice and speed. Pronunciations are of a language, and not handed on.
- A recording is looked at, so that it can be trusted at the time of a call, and decoded by who plays it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge.config_tree import Section, mistakes
from bridge.lightning.pieces import is_spoken
from bridge.nearest import meant
from bridge.problems import Problem
from bridge.prompts.prompt import BUNDLED, fault_of_recording
from bridge.prompts.sounds import SOUNDS
from bridge.prompts.spec import Book, PromptSpec, Speed, Variant
from bridge.prompts.spoken_forms import check_kind
from bridge.prompts.template import all_variables, faults_in, variables_in
from bridge.toml_source import TomlSource, sources_in

__all__ = [
    "Book",
    "Defaults",
    "PromptSpec",
    "Speed",
    "Variant",
    "faults_of",
    "merged",
    "read_book",
    "specs_of",
]

#: Two minutes and more; who has more to say, says it in several prompts.
MAX_TEXT_CHARS: Final = 2000
#: Names that the bridge itself gives to recordings.
_TAKEN: Final = SOUNDS.union(BUNDLED)
#: Settings without which nothing can be said of the others.
_ABOUT_TEXTS: Final = frozenset({"text", "file", "in", "variables", "private"})
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,4}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What prompts have that do not say otherwise."""

    voice: str = ""
    language: str = ""
    speed: float | None = None


class PromptFile(Section, frozen=True, kw_only=True):
    """A prompt file but for its prompts, which are read one by one."""

    voice: str = ""
    language: str = ""
    speed: Speed | None = None
    prompts: dict[str, Any] = {}


# -- files -------------------------------------------------------------------------------------------------------------


def read_book(folder: Path) -> tuple[Book, list[Problem]]:
    """All prompts of the ``*.toml`` in `folder`, and everything that is wrong with them.

    A prompt with a fatal problem is in the book as far as it can be read: for checks, not for calls. `file` of a
    spec is a whole path.
    """
    sources, problems = sources_in(folder)
    if not sources and not problems:
        nothing = "holds no prompt files, which end in .toml"
        return Book(), [Problem(str(folder), 0, "", nothing, fatal=False)]
    read = [_read_file(source) for source in sources]
    book, clashes = merged(*(book for book, _ in read))
    return book, sorted([*problems, *(problem for _, found in read for problem in found), *clashes])


def _read_file(source: TomlSource) -> tuple[Book, list[Problem]]:
    problems = [_problem(source, key, _told(source.tree, key, why)) for key, why in _mistakes_of_file(source)]
    specs, places, found = specs_of(source, defaults=_defaults(source.tree))
    if not specs and not problems and not found:
        problems.append(Problem(source.path, 0, "", "holds no prompts: write [prompts.NAME]", fatal=False))
    return Book(specs, places), [*problems, *found]


def _mistakes_of_file(source: TomlSource) -> Iterator[tuple[str, str]]:
    """Of all but the prompts."""
    yield from mistakes({key: value for key, value in source.tree.items() if key != "prompts"}, PromptFile)


def _told(tree: Mapping[str, Any], key: str, why: str) -> str:
    """A prompt that stands outside of ``[prompts]`` is what most unknown tables of a file are."""
    value = tree.get(key)
    is_prompt = isinstance(value, dict) and value.keys() & {"text", "file"}
    return f"is not a setting; did you mean [prompts.{key}]?" if is_prompt else why


def _defaults(tree: Mapping[str, Any]) -> Defaults:
    """What can be read of them."""
    known = {key: tree[key] for key in ("voice", "language", "speed") if key in tree}
    right = {key: value for key, value in known.items() if not any(mistakes({key: value}, PromptFile))}
    file = msgspec.convert(right, PromptFile)
    return Defaults(file.voice, file.language, file.speed)


def _problem(source: TomlSource, key: str, reason: str) -> Problem:
    return Problem(source.path, source.line_of(key), key, reason)


# -- prompts -----------------------------------------------------------------------------------------------------------


def specs_of(
    source: TomlSource, tree_key: str = "prompts", defaults: Defaults | None = None
) -> tuple[dict[str, PromptSpec], dict[str, tuple[str, int]], list[Problem]]:
    """The prompts in one table of a file: specs by id, where each stands, and everything that is wrong with them.

    Args:
        tree_key: the table that holds them; no problem when it is not there.
        defaults: filled in where a prompt says nothing.
    """
    table = source.tree.get(tree_key, {})
    if not isinstance(table, dict):
        return {}, {}, [_problem(source, tree_key, f"must be a table, as in [{tree_key}.welcome]")]
    specs, places, problems = {}, {}, []
    for prompt, tree in table.items():
        key = f"{tree_key}.{prompt}"
        spec, faults = _spec(prompt, tree, Path(source.path).parent, defaults or Defaults())
        specs[prompt], places[prompt] = spec, (source.path, source.line_of(key))
        problems += [_problem(source, f"{key}.{at}" if at else key, why) for at, why in faults]
    return specs, places, sorted(problems)


def _spec(
    prompt: str, tree: object, folder: Path, defaults: Defaults
) -> tuple[PromptSpec, list[tuple[str, str]]]:
    """A prompt as far as it can be read, and what is wrong with it: keys below it, and reasons."""
    if not isinstance(tree, dict):
        return PromptSpec(), [("", 'must be a table with text = "..." in it')]
    wrong = [(at, _or_quoted(prompt, at, tree.get(at), why)) for at, why in mistakes(tree, PromptSpec)]
    unread = {
        key for key in tree if any(at == key or at.startswith((f"{key}.", f"{key}[")) for at, _ in wrong)
    }
    read = msgspec.convert({key: tree[key] for key in tree if key not in unread}, PromptSpec)
    spec = _filled_in(read, folder, defaults)
    found = faults_of(prompt, spec) if _can_be_judged(spec, unread) else _faults_of_id(prompt)
    return spec, [*wrong, *found]


def _can_be_judged(spec: PromptSpec, unread: set[str]) -> bool:
    """Whether no fault of `spec` is there only because something of it could not be read."""
    return not unread or bool(spec.text or spec.file) and unread.isdisjoint(_ABOUT_TEXTS)


def _or_quoted(prompt: str, at: str, value: object, why: str) -> str:
    """A table that is no setting of a prompt is another prompt, as a rule, whose name has a dot."""
    if not isinstance(value, dict) or at in PromptSpec.__struct_encode_fields__:
        return why
    return f'is not a setting; a prompt whose name has a dot is written [prompts."{prompt}.{at}"]'


def _filled_in(spec: PromptSpec, folder: Path, defaults: Defaults) -> PromptSpec:
    """`spec` with everything that its languages, or it, do not say and that is said further up."""
    voice, language = spec.voice or defaults.voice, spec.language or defaults.language
    speed = defaults.speed if spec.speed is None else spec.speed
    variants = {
        code: msgspec.structs.replace(
            variant,
            voice=variant.voice or voice,
            language=variant.language or code,
            speed=speed if variant.speed is None else variant.speed,
            file=_beside(folder, variant.file),
        )
        for code, variant in spec.in_.items()
    }
    return msgspec.structs.replace(
        spec, voice=voice, language=language, speed=speed, file=_beside(folder, spec.file), in_=variants
    )


def _beside(folder: Path, file: str) -> str:
    return str(folder / file) if file else ""


def merged(*books: Book) -> tuple[Book, list[Problem]]:
    """One book of several. An id that stands twice is a problem of its second place, which names the first."""
    specs: dict[str, PromptSpec] = {}
    places: dict[str, tuple[str, int]] = {}
    problems = []
    for book in books:
        for prompt, spec in book.specs.items():
            path, line = book.places.get(prompt, ("", 0))
            if prompt in specs:
                first = "{}:{}".format(*places[prompt])
                reason = f"stands at {first} already: an id is there once; call one of them otherwise"
                problems.append(Problem(path, line, f"prompts.{prompt}", reason))
            else:
                specs[prompt], places[prompt] = spec, (path, line)
    return Book(specs, places), problems


# -- what types cannot say ---------------------------------------------------------------------------------------------


def faults_of(prompt: str, spec: PromptSpec) -> Iterator[tuple[str, str]]:
    """What types cannot say of `spec`, whose id is `prompt`: the key below it (empty: all of it) and the reason.

    Its recordings are looked at, not decoded.
    """
    yield from _faults_of_id(prompt)
    yield from _faults_of_variant("", spec)
    for code, variant in spec.in_.items():
        if not _LANGUAGE.fullmatch(code):
            yield f"in.{code}", "is no code of a language, such as hi or en-GB"
        elif code == spec.language:
            yield f"in.{code}", f'is the language that the prompt has itself, by language = "{code}"'
        yield from _faults_of_variant(f"in.{code}.", variant)
    yield from _faults_of_variables(spec)


def _faults_of_id(prompt: str) -> Iterator[tuple[str, str]]:
    if prompt in _TAKEN:
        yield "", f"is the name of a sound that is always there; call it otherwise, such as my_{prompt}"
    elif not _ID.fullmatch(prompt):
        right = re.sub(r"[^a-z0-9_.-]+", "_", prompt.lower()).strip("_.-")[:128]
        meant = f", such as {right}" if _ID.fullmatch(right) else ""
        yield "", f"is no name of a prompt: those are a-z, 0-9, _ . and -{meant}"


def _faults_of_variant(below: str, variant: Variant) -> Iterator[tuple[str, str]]:
    if variant.text and variant.file:
        yield below.removesuffix("."), "has both a text and a file: leave one of them out"
    elif not variant.text and not variant.file:
        yield f"{below}text", 'says nothing: give it text = "..." or file = "....wav"'
    if variant.text:
        yield from ((f"{below}text", reason) for reason in _faults_of_text(variant.text))
    if variant.file and (reason := fault_of_recording(Path(variant.file))):
        yield f"{below}file", f"{variant.file}: {reason}"


def _faults_of_text(text: str) -> Iterator[str]:
    yield from faults_in(text)
    if len(text) > MAX_TEXT_CHARS:
        yield f"has {len(text)} characters, {MAX_TEXT_CHARS} are the most: make several prompts of it"
    if not is_spoken(text):
        yield "is blank: nothing in it can be said"
    if any(unicodedata.category(sign) in ("Cc", "Cs") and not sign.isspace() for sign in text):
        yield "holds a control character: take it out"


def _faults_of_variables(spec: PromptSpec) -> Iterator[tuple[str, str]]:
    used = variables_in(spec.text)
    anywhere = all_variables(spec)
    for name, kind in spec.variables.items():
        if name not in anywhere:
            yield f"variables.{name}", _unused(name, anywhere)
        try:
            check_kind(kind)
        except ValueError as error:
            yield f"variables.{name}", str(error)
    for number, name in enumerate(spec.private):
        if name not in anywhere:
            yield f"private[{number}]", f"{name} {_unused(name, anywhere)}"
    for code, variant in spec.in_.items():
        if set(variables_in(variant.text)) != set(used):
            yield f"in.{code}", _differs(variables_in(variant.text), used)


def _unused(name: str, there: list[str]) -> str:
    if near := meant(name, there):
        return f"is in no text of this prompt; {near}"
    return f"is in no text of this prompt: write {{{name}}} there, or leave it out here"


def _differs(variables: list[str], used: list[str]) -> str:
    def listed(names: list[str]) -> str:
        return ", ".join(f"{{{name}}}" for name in names) or "none"

    own = f"than the prompt's own text ({listed(used)})"
    return f"has other variables ({listed(variables)}) {own}: they must be the same"
