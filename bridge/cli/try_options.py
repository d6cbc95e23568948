"""The options of ``bridge flows try``: each checked, and each mistake told by the option's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bridge.cli.edition import nearest
from bridge.cli.prompts import assignment
from bridge.cli.running import reading
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.flows.actions import Fetched, Message
    from bridge.flows.model import Flow, Value


def script_of(keys: str) -> list[list[str]]:
    """What is typed each time that the flow waits."""
    from bridge.cli.keyboards import strokes_of

    try:
        return [strokes_of(word) for word in keys.split()]
    except ValueError as error:
        raise ConfigError(str(error), key="--keys") from None


def variables_of(flow: Flow, given: Sequence[str]) -> dict[str, Value]:
    """What ``--set`` says, each of the type that the flow's own value has."""
    from bridge.flows.check_words import OF_THE_CALL

    given_by_steps = (name for step in flow.steps.values() for name in step.gives())
    known = {*OF_THE_CALL, *flow.file.variables, *given_by_steps}
    values: dict[str, Value] = {}
    for name, text in (assignment(each, "--set") for each in given):
        if name not in known:
            raise ConfigError(f"the flow has no variable {name!r}; {nearest(name, known)}", key="--set")
        values[name] = _typed(name, text, flow.file.variables.get(name, ""))
    return values


def _typed(name: str, text: str, like: Value) -> Value:
    import msgspec

    kind = float if isinstance(like, int | float) and not isinstance(like, bool) else type(like)
    try:
        value = cast("Value", msgspec.convert(text, kind, strict=False))
    except msgspec.ValidationError:
        wanted = "true or false" if kind is bool else "a number"
        raise ConfigError(f"{name}: {text!r} is not {wanted}", key="--set") from None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def clock_of(now: str, flow: Flow) -> Callable[[], datetime]:
    """When the call begins."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(flow.file.time_zone)
    if not now:
        return lambda: datetime.now(zone)
    try:
        moment = datetime.fromisoformat(now)
    except ValueError:
        raise ConfigError(f"{now!r} is no time: write 2026-12-25T10:00", key="--now") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return lambda: moment


def answers_of(flow: Flow, given: Sequence[str]) -> dict[str, list[Fetched]]:
    """What webhooks answer, by step, in turn."""
    from bridge.flows.model import Webhook

    webhooks = [name for name, step in flow.steps.items() if isinstance(step, Webhook)]
    answers: dict[str, list[Fetched]] = {}
    for step, text in (assignment(each, "--answer") for each in given):
        if step not in webhooks:
            reason = f"the flow has no webhook step {step!r}; {nearest(step, webhooks)}"
            raise ConfigError(reason, key="--answer")
        answers.setdefault(step, []).append(_answer(text))
    return answers


def _answer(text: str) -> Fetched:
    import msgspec

    from bridge.flows.actions import Fetched

    if text.isdecimal():
        if not 100 <= int(text) <= 599:
            raise ConfigError(f"{text} is no HTTP status", key="--answer")
        return Fetched(int(text), {})
    path = Path(text)
    with reading(path, "--answer"):
        content = path.read_bytes()
    try:
        body: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"is not JSON: {error}", key="--answer", source=text) from None
    return Fetched(200, body)


def message_of(path: Path) -> Message:
    """What callers leave."""
    from bridge.errors import PromptError
    from bridge.flows.actions import Message
    from bridge.prompts.prompt import load_prompt

    try:
        return Message(str(path), round(load_prompt(path).ms))
    except PromptError as error:
        raise ConfigError(str(error), key="--message") from None
