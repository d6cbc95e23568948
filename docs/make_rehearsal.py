"""Writes the tables of docs/rehearsal.md from the structs that scripts are read with: python docs/make_rehearsal.py"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from bridge.config_tree import Section
from bridge.rehearsal import script

PAGE = Path(__file__).parent / "rehearsal.md"
BEGIN, END = "<!-- keys -->\n", "<!-- /keys -->"
#: In the order of a file.
TABLES = (
    script.Head,
    script.Agent,
    script.Engines,
    script.Step,
    script.Expected,
    script.Greeting,
    script.WholeCall,
)


def comments(struct: type[Section]) -> dict[str, str]:
    """Each key of `struct` itself, and the comment above it."""
    lines = inspect.getsource(struct).splitlines()
    (body,) = ast.parse("\n".join(lines)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = node.lineno - 2
            said: list[str] = []
            while lines[above].lstrip().startswith("#:"):
                said.insert(0, lines[above].lstrip().removeprefix("#:").strip())
                above -= 1
            found[node.target.id] = " ".join(said)
    return found


def default(struct: type[Section], key: str) -> str:
    value = getattr(struct(), key)
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    return (
        f"`{value:g}`"
        if isinstance(value, float)
        else f'`"{value}"`'
        if isinstance(value, str)
        else f"`{value}`"
    )


def table(struct: type[Section]) -> Iterator[str]:
    title, _, rest = (struct.__doc__ or "").partition(": ")
    yield f"**{title}**: {rest}" if rest else f"**{title}**"
    known = comments(struct)
    if not known:
        yield ""
        return
    yield from ("", "| key | default | |", "|---|---|---|")
    for key, said in known.items():
        yield f"| `{key}` | {default(struct, key)} | {said} |"
    yield ""


def page() -> str:
    """The page as it should be."""
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    tables = "\n".join(line for struct in TABLES for line in table(struct))
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
