"""The project's own source, as data: which modules there are, what they import, how big they are."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: Every module of what is shipped, by its dotted name.
MODULES: Final = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for folder, package in ((ROOT, "bridge"), (ROOT / "codecs", "telephony_codecs"))
    for path in sorted((folder / package).rglob("*.py"))
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def imports_of(path: Path, *, for_types_too: bool = False) -> frozenset[str]:
    """Dotted names of the modules, and of the names in them, that a module imports, wherever in it that is."""
    return frozenset(_imported(tree_of(path), for_types_too))


def _imported(node: ast.AST, for_types_too: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module or ""
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif for_types_too or not _is_for_types(child):
            yield from _imported(child, for_types_too)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(module: str) -> str:
    """The room of DESIGN's map that a module is in: ``carriers``, ``call``, or ``codecs`` for all of the codecs."""
    first, _, rest = module.partition(".")
    return "codecs" if first == "telephony_codecs" else rest.partition(".")[0]


def rooms_imported(module: str, *, for_types_too: bool = False) -> set[str]:
    """The other rooms that a module of ours needs."""
    names = imports_of(MODULES[module], for_types_too=for_types_too)
    return {room_of(name) for name in names if name in MODULES} - {room_of(module), ""}


def outside_imports(module: str, *, for_types_too: bool = True) -> set[str]:
    """Top-level names of what a module of ours imports that is not ours."""
    names = {name.partition(".")[0] for name in imports_of(MODULES[module], for_types_too=for_types_too)}
    return names - {"bridge", "telephony_codecs"}


def function_lines(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function, without its head and its docstring."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def own_files() -> list[Path]:
    """Everything that is, or is about to be, in the repository."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # no git here, or none that trusts this folder
        paths = [path for path in ROOT.rglob("*") if not _is_made(path.relative_to(ROOT))]
    return sorted(path for path in paths if path.is_file())


def _is_made(path: Path) -> bool:
    """Whether something of ours, or an installer, has made it."""
    return path.parts[0] in ("demo", "dist") or any(
        part == "__pycache__" or (part.startswith(".") and part not in (".ci", ".gitignore"))
        for part in path.parts
    )
