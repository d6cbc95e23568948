"""``bridge prompts``: what calls play, rendered ahead of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from bridge.cli.account import note, show_found
from bridge.cli.edition import counted, nearest, read_files, show_problems
from bridge.cli.running import ConfigPath, Flag, Text, log_to_stderr, reserved, run, writing
from bridge.cli.say import STDOUT, target_of
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.cli.prompts_state import PromptState
    from bridge.prompts.cache import CachedPrompt
    from bridge.prompts.spec import PromptSpec

prompts = App(
    name="prompts",
    help="What calls play: render, list, check, play, prune.",
    help_epilogue="",
    sort_key=9,
)

PromptIds = Annotated[list[str] | None, Parameter(negative="", show_default=False)]


@prompts.command
def render(
    ids: PromptIds = None,
    /,
    *,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    config: ConfigPath = None,
) -> int:
    """Have Lightning speak what calls will play, and keep it.

    Of all prompts, those of flows too: what is the same for every caller. What is kept already is left alone, so the
    same command goes on after a Ctrl-C. The key comes from SMALLEST_API_KEY or the configuration. Exit code 1 means
    that something could not be rendered.

    Args:
        ids: only these prompts; a step's own text is FLOW.STEP.
        jobs: syntheses at once; lightning.concurrency, the units of the account, when it is left out.
        config: the bridge's TOML file; its folders prompts and flows are beside it unless it names others.
    """
    from bridge.cli.prompts_render import render_pieces

    log_to_stderr("error")
    files = read_files(config)
    files.require_all()
    wanted = [files.prompt(prompt) for prompt in ids or files.book.specs]
    return run(render_pieces(files, wanted, jobs=jobs, source=str(config or "")))


@prompts.command(name="list")
def list_prompts(*, json: Flag = False, config: ConfigPath = None) -> int:
    """List all prompts, in all of their languages, and what is rendered of them.

    STATE is ready, recorded (a file of yours), missing (not rendered yet), or parts: what is the same for every caller
    is ready, and what a caller's own data fill in is spoken on the call.

    Args:
        json: print JSON instead of a table.
        config: the bridge's TOML file.
    """
    from bridge.cli.prompts_state import states_of

    files = read_files(config)
    for problem in files.of_prompts():
        note(str(problem))
    found = list(states_of(files))

    def row(state: PromptState) -> tuple[str, ...]:
        seconds = f"{state.seconds:.1f}" if state.seconds is not None else ""
        return state.id, state.language, state.voice, seconds, state.state

    show_found(found, "No prompts.", ("PROMPT", "LANGUAGE", "VOICE", "SECONDS", "STATE"), row, json=json)
    return 0


@prompts.command
def check(*, rendered: Flag = False, config: ConfigPath = None) -> int:
    """Tell what is wrong with prompts, by file, line and key, and what is not rendered yet.

    Needs no key and no network. Exit code 1 means that a bridge would refuse the files.

    Args:
        rendered: what is not rendered yet is wrong, too: for a deploy.
        config: the bridge's TOML file.
    """
    from bridge.cli.prompts_state import MISSING, states_of

    files = read_files(config)
    problems = files.of_prompts()
    if not any(problem.fatal for problem in problems):  # what has been told is not told twice
        problems = sorted({*problems, *files.shelf.warm()})
    show_problems(problems)
    missing = sorted({state.id for state in states_of(files) if state.state == MISSING})
    if missing:
        shown = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        note(f"{counted(len(missing), 'prompt')} not rendered yet: {shown}; `bridge prompts render` does it")
    failed = any(problem.fatal for problem in problems) or bool(rendered and missing)
    if not failed:
        note(f"{counted(len(files.book.specs), 'prompt')} in order")
    return 1 if failed else 0


@prompts.command
def play(
    id: str,
    /,
    *,
    var: Annotated[list[str] | None, Parameter(negative="")] = None,
    language: Text = "",
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    config: ConfigPath = None,
) -> int:
    """Play a prompt as a caller hears it, or write it into a WAV file.

    What is not rendered yet is spoken by Lightning now, and kept. Played by the first of ffplay, aplay, afplay and
    paplay that is installed.

    Args:
        id: of the prompt; a step's own text is FLOW.STEP.
        var: NAME=VALUE, of a variable in its text; once for each.
        language: which of its languages; its own when left out.
        out: the file to write instead: 8 kHz mu-law, as on a call; "-" is standard output.
        config: the bridge's TOML file.
    """
    from bridge.cli.prompts_play import play_wav, rendered_wav, require_player

    log_to_stderr("error")
    files = read_files(config)
    files.require(files.of_prompts(), "bridge prompts check")
    spec = files.book.specs[files.prompt(id)]
    _require_language(spec, language or spec.language)
    target = target_of(out, "wav") if out else None
    if target is None:
        require_player()
    values = _values(spec, var or (), language or files.config.lightning.language)
    files.shelf.warm()
    with nullcontext() if target in (None, STDOUT) else reserved(target):
        wav = run(rendered_wav(files, id, values, language))
        if target is None:
            play_wav(wav)
        elif target == STDOUT:
            sys.stdout.buffer.write(wav)
        else:
            with writing(target):
                target.write_bytes(wav)
    return 0


def _require_language(spec: PromptSpec, language: str) -> None:
    if language not in (spec.language, *spec.in_):
        there = ", ".join(filter(None, (spec.language, *spec.in_))) or "one language only"
        raise ConfigError(f"the prompt is not in {language!r}: it is in {there}", key="--language")


@prompts.command
def prune(
    *,
    older_than: Annotated[float, Parameter(validator=Number(gte=0))] = 30.0,
    dry_run: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Remove rendered audio that no prompt needs any more.

    What the prompts of this configuration need stays; another configuration with the same prompts.cache has to render
    its own again.

    Args:
        older_than: days; what callers' own data filled in is kept for so long.
        dry_run: only tell what would be removed.
        config: the bridge's TOML file.
    """
    files = read_files(config)
    files.require_all()
    needed = files.shelf.needed()
    doomed = list(files.cache.unneeded(needed, older_than_days=older_than))

    def row(entry: CachedPrompt) -> tuple[str, ...]:
        return entry.about.get("of", ""), f"{entry.size_bytes / 1000:.0f}", entry.about.get("text", "")[:60]

    if doomed:
        show_found(doomed, "", ("KIND", "KB", "TEXT"), row, json=False)
    if dry_run:
        freed_bytes, removed = sum(entry.size_bytes for entry in doomed), len(doomed)
    else:
        pruned = files.cache.prune(needed, older_than_days=older_than)
        freed_bytes, removed = pruned.freed_bytes, pruned.removed
    would = "would be removed" if dry_run else "removed"
    note(f"{counted(removed, 'file')} {would} from {files.cache.folder}: {freed_bytes / 1000:.0f} KB")
    return 0


def _values(spec: PromptSpec, given: Sequence[str], language: str) -> Mapping[str, str]:
    """What ``--var`` says, checked.

    Raises:
        ConfigError: it is not NAME=VALUE, there is no such variable, or its kind wants something else.
    """
    from bridge.prompts.spoken_forms import say
    from bridge.prompts.template import all_variables

    known = all_variables(spec)
    values = dict(assignment(each, "--var") for each in given)
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"the prompt has no variable {name!r}; {nearest(name, known)}", key="--var")
        try:
            say(value, spec.variables.get(name, "text"), language)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}", key="--var") from None
    for name in known:
        if name not in values:
            note(f"{name} is left out: give it with --var {name}=...")
    return values


def assignment(text: str, option: str) -> tuple[str, str]:
    """``NAME=VALUE`` in two.

    Raises:
        ConfigError: it is none.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"{text!r} is not NAME=VALUE", key=option)
    return name, value
