"""A flow as a picture: Mermaid for documents, an outline for the terminal. Pure.

Strategy:

- Both show every step of the file, each once: those that nothing leads to stand at the end by themselves.
- What steps say is cut short and written as characters that Mermaid cannot take for its own: no file's text can change
  the picture, or put markup into the page that shows it.
- Edges between the same two steps are one edge, with all its labels.

Facts, from Mermaid's flowchart grammar: a label in double quotes ends only at the next one; ``#35;`` is the character
35, and becomes it only after Markdown and HTML have been looked for; ``end`` alone must not be a node's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bridge.flows.model import (
    Agent,
    Condition,
    Flow,
    Gather,
    HangUp,
    Menu,
    Play,
    Record,
    Say,
    Set,
    Step,
    Transfer,
    Webhook,
)
from bridge.flows.outline import text
from bridge.flows.words import on_one_line, ways_of, words_of
from bridge.prompts.book import Book

__all__ = ["mermaid", "text"]

#: What a node looks like, by what it does: its brackets.
SHAPES: Final[dict[type[Step], tuple[str, str]]] = {
    Say: ("[", "]"),
    Play: (">", "]"),
    Menu: ("{{", "}}"),
    Gather: ("[/", "/]"),
    Record: ("[(", ")]"),
    Condition: ("{", "}"),
    Set: ("[\\", "\\]"),
    Webhook: ("[[", "]]"),
    Transfer: ("[/", "\\]"),
    Agent: ("(", ")"),
    HangUp: ("((", "))"),
}
_MAX_CHARS: Final = 60
#: ASCII that may be Mermaid's, Markdown's or HTML's. A dot behind a digit would begin a list, one within a word a link.
_NO_WORD: Final = re.compile(r"(?<=\d)\.|\.(?![\s”]|$)|[!-&(-+/:->@\[-`{-~-]")


def mermaid(flow: Flow, book: Book) -> str:
    """A Mermaid flowchart of `flow`, which ends in a line feed."""
    title = _escaped(_short(on_one_line(flow.file.title))) or flow.name
    lines = ["flowchart TD", f'    start(["{title}"])']
    for name, step in flow.steps.items():
        opening, closing = SHAPES[type(step)]
        lines.append(f'    {_node(name)}{opening}"{_label(flow, name, book)}"{closing}')
    lines += ['    over((("end")))', f"    start --> {_node(flow.file.start)}"]
    lines += [f"    {line}" for name, step in flow.steps.items() for line in _edges(name, step)]
    return "\n".join([*lines, ""])


def _node(name: str) -> str:
    """Mermaid has words of its own; none of them begins like this."""
    return f"step_{name}"


def _label(flow: Flow, name: str, book: Book) -> str:
    words = words_of(flow, name, book)
    kind = flow.steps[name].do.replace("_", " ")
    return "<br/>".join([f"<b>{name}</b> ({kind})", *([_escaped(_short(words))] if words else [])])


def _edges(name: str, step: Step) -> Iterator[str]:
    """Those to other steps, then those to the end: dotted where that is not what was meant."""
    for to, label in ways_of(step).items():
        yield f"{_node(name)} -->{_on_edge(label)} {_node(to)}"
    for end in step.ends():
        yield f"{_node(name)} {'-->' if end.meant else '-.->'}{_on_edge(end.label)} over"


def _on_edge(label: str) -> str:
    return f'|"{_escaped(_short(label))}"|' if label else ""


def _short(words: str) -> str:
    return words if len(words) <= _MAX_CHARS else f"{words[: _MAX_CHARS - 1].rstrip()}…"


def _escaped(words: str) -> str:
    """Words of any script as they are, and the dots that end their sentences; all else by its number."""
    return _NO_WORD.sub(lambda found: f"#{ord(found[0])};", words)
