"""A step in a few words, for drawings. Pure."""

from __future__ import annotations

from bridge.flows.model import (
    Agent,
    Condition,
    Flow,
    Gather,
    Menu,
    Play,
    Record,
    Set,
    Step,
    Transfer,
    Webhook,
)
from bridge.prompts.book import Book


def words_of(flow: Flow, name: str, book: Book) -> str:
    """What the step `name` says and does, on one line, without control characters; empty when that is all in its kind.

    Nothing of it is secret: values of variables are not in it, but for those that the file holds.
    """
    parts = (_said(flow, name, book), _done(flow.steps[name]))
    return on_one_line("; ".join(part for part in parts if part))


def ways_of(step: Step) -> dict[str, str]:
    """Where `step` may go, each once, with all that it says of when."""
    labels: dict[str, list[str]] = {}
    for exit in step.exits():
        labels.setdefault(exit.to, []).append(exit.label)
    return {to: ", ".join(filter(None, found)) for to, found in labels.items()}


def on_one_line(text: str) -> str:
    """`text` with one blank wherever it has any, or what a terminal would act upon."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _said(flow: Flow, name: str, book: Book) -> str:
    """What it says at its beginning: the words, where there are some."""
    prompt = flow.prompt_of(name)
    if not prompt:
        return ""
    spec = book.specs.get(prompt)
    return f"“{on_one_line(spec.text)}”" if spec and spec.text else prompt


def _done(step: Step) -> str:
    match step:
        case Play():
            return (
                f"{step.sound} for {step.seconds:g} s"
                if step.seconds
                else step.sound or f"{{{step.message}}}"
            )
        case Menu():
            return f"into {step.into}" if step.into else ""
        case Gather():
            return f"{_digits(step)} into {step.into}{', masked' if step.mask else ''}"
        case Record():
            return f"at most {step.max_s:g} s into {step.into}"
        case Condition():
            return ""
        case Set():
            values = [f"{variable} = {value}" for variable, value in step.values.items()]
            return ", ".join([*values, *(f"{variable} {more:+g}" for variable, more in step.add.items())])
        case Webhook():
            return f"{step.method} {step.url}"
        case Transfer():
            return f"to {step.to}"
        case Agent():
            return step.entrypoint
    return ""


def _digits(step: Gather) -> str:
    if step.min_digits == step.max_digits:
        return f"{step.max_digits} digit{'s' if step.max_digits > 1 else ''}"
    return f"{step.min_digits} to {step.max_digits} digits"
