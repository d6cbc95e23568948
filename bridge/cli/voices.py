"""``bridge voices``: the voices there are, and voices of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from bridge.cli.account import Row, ask, note, show_found, show_json
from bridge.cli.running import ConfigPath, Flag, Text, reading
from bridge.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from bridge.lightning.account_data import Sample, VoiceClone, VoiceInfo

voices = App(
    name="voices", help="The voices of Lightning: list, search, clone.", help_epilogue="", sort_key=10
)

#: Nobody who has made a clone should look for the command that deletes it.
NO_DELETION: Final = (
    "Clones cannot be deleted from here: Lightning has taken that out of its API. Its console can."
)


@voices.command(name="list")
def list_voices(
    *,
    model: str | None = None,
    language: str | None = None,
    gender: str | None = None,
    cloned: Flag = False,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """List the voices of a model.

    A voice speaks with its own model only. The key comes from SMALLEST_API_KEY or the configuration.

    Args:
        model: such as lightning_v3.1 or lightning_v3.1_pro; by default that of the configuration.
        language: only voices of this language: a code such as hi, or its name.
        gender: only these: male or female.
        cloned: your own cloned voices instead.
        json: print JSON instead of a table.
        config: a TOML file; only its [lightning] is used.
    """
    if cloned:
        if model or language or gender:
            raise ConfigError("goes without --model, --language and --gender", key="--cloned")
        return _show_clones(ask(config, lambda account: account.clones()), json)
    found = ask(config, lambda account: account.voices(model or ""))
    if language:
        found = [voice for voice in found if voice.speaks(language)]
    if gender:
        found = [voice for voice in found if voice.gender.lower() == gender.lower()]
    return _show_voices(found, json)


@voices.command
def search(
    words: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    model: str | None = None,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Search the voices of a model by id, name and tags.

    All of the words must be found, whole or the beginning: `bridge voices search hindi female calm`.

    Args:
        words: what to look for.
        model: as for list.
        json: print JSON instead of a table.
        config: a TOML file; only its [lightning] is used.
    """
    found = ask(config, lambda account: account.voices(model or ""))
    return _show_voices([voice for voice in found if voice.matches(words)], json)


@voices.command
def clone(
    name: str,
    file: Path,
    /,
    *,
    language: Text = "",
    model: Text = "",
    description: Text = "",
    accent: Text = "",
    tags: Annotated[list[str] | None, Parameter(negative="")] = None,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Clone the voice in a recording. Clone only voices that you have the right to.

    Prints the id of the new voice, which is what --voice and lightning.voice_id want. A clone cannot be deleted from
    here: Lightning has taken that out of its API (410); use its console.

    Args:
        name: what to call it, up to 500 characters.
        file: a WAV, MP3, WebM or MP4 of up to 5 MB.
        language: code of the language in the recording. Say it: Lightning does not hear it by itself.
        model: lightning_v3.1 (the default of Lightning) or lightning_v3.1_pro.
        description: what kind of voice it is.
        accent: such as indian.
        tags: to find it by; more of them may be given.
        json: print JSON instead of the id.
        config: a TOML file; only its [lightning] is used.
    """
    from bridge.lightning.account_data import check_name

    check_name(name)
    made = ask(
        config,
        lambda account: account.clone(
            name,
            _sample(file),
            model=model,
            language=language,
            description=description,
            accent=accent,
            tags=tags or (),
        ),
    )
    if json:
        show_json(made)
    else:
        print(made.id)
    if made.status == "failed":
        raise InvalidRequest(f"the voice {made.id} could not be cloned from {file}", code="clone_failed")
    if made.status in ("pending", "processing"):
        note(f"It is {made.status}; `bridge voices clones` tells when it is completed.")
    return 0


@voices.command
def clones(*, json: Flag = False, config: ConfigPath = None) -> int:
    """List your cloned voices.

    Lightning no longer lets its API delete any (410); its console can.

    Args:
        json: print JSON instead of a table.
        config: a TOML file; only its [lightning] is used.
    """
    return _show_clones(ask(config, lambda account: account.clones()), json)


def _sample(file: Path) -> Sample:
    from bridge.lightning.account_data import MAX_SAMPLE_BYTES, sample_of

    with reading(file), file.open("rb") as opened:
        audio = opened.read(MAX_SAMPLE_BYTES + 1)  # one more tells that it is too much
    return sample_of(file.name, audio)


def _show_voices(found: list[VoiceInfo], json: bool) -> int:
    def row(v: VoiceInfo) -> Row:
        good_for = ", ".join(v.emotions + v.usecases)
        return v.id, v.name, ", ".join(v.languages), v.accent, v.gender, v.age, good_for

    columns = ("VOICE", "NAME", "LANGUAGES", "ACCENT", "GENDER", "AGE", "GOOD FOR")
    show_found(found, "No such voice.", columns, row, json=json)
    return 0


def _show_clones(found: list[VoiceClone], json: bool) -> int:
    def row(c: VoiceClone) -> Row:
        return c.id, c.name, c.status, c.language, ", ".join(c.models), ", ".join(c.tags), c.created_at[:10]

    columns = ("VOICE", "NAME", "STATUS", "LANGUAGE", "MODELS", "TAGS", "CREATED")
    show_found(found, "No cloned voices.", columns, row, json=json)
    if found and not json:
        note(NO_DELETION)
    return 0
