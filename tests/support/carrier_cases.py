"""One table of cases per carrier: what it sends, what that means, what we send. The same tests go over every table.

A table is a module of tests/bridge/carriers/cases, named as the carrier, with ``CASES = Cases(...)`` in it. Its frames
are files in tests/data/<carrier>: ``.json`` and ``.txt`` are text messages, ``.bin`` binary ones. ``broken/`` holds
messages that are skipped during a call, ``hopeless/`` those that also close the socket of a stranger.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from bridge.carriers.carrier import Carrier, IncomingCall, StreamUrls, Upgrade, Webhook
from bridge.carriers.dialect import Binary, Dialect, Event, Started
from bridge.carriers.registry import carrier_types
from bridge.config_tree import Section

DATA: Final = Path(__file__).parents[1] / "data"
PUBLIC_URL: Final = "https://bridge.example"
NOW_S: Final = 1_790_000_000.0


def urls_of(carrier: str, public_url: str = PUBLIC_URL) -> StreamUrls:
    """The public addresses of a carrier's endpoints."""
    base = f"{public_url}/carriers/{carrier}"
    return StreamUrls(
        media="ws" + f"{base}/media".removeprefix("http"),
        status=f"{base}/status",
        ended=f"{base}/ended",
        answer=f"{base}/answer",
    )


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Everything that the common tests need to know of a carrier.

    Attributes:
        section: its configuration, with the secrets that make it served.
        upgrade: a request for the media socket that passes `verify_upgrade`.
        forged: requests for it that must not pass; empty for a carrier that cannot sign upgrades.
        webhook: a verified request to ``answer``, as it comes at `NOW_S`; None for a carrier without webhooks.
        call: what that webhook, or the start, says of the call.
        starts: frames that start a stream on a fresh dialect, and what they mean; the first is the ordinary one.
        before: frames that come before the start.
        early: frames on a fresh dialect, and their events; not the starts.
        on_stream: frames on a running stream, and their events.
        stop: the frame that ends a stream; empty where only closing does.
        late: frames after that, and their events.
        says: what our commands are on the wire after the ordinary start. Keys are calls on the dialect:
            ``audio`` (of `payload`), ``mark`` (named "1.1000"), ``clear``, ``send_digits`` ("12#"), ``goodbye``
            ("agent"), ``opened``.
        payload: one message of audio, in the dialect's `outbound_format`.
        signs_body: whether a webhook's signature covers its body; not where a password is the proof.
        splits: whether every truncation of a text frame must be a ProtocolError (JSON), or may mean something else.
    """

    section: Section
    upgrade: Upgrade
    forged: Sequence[Upgrade] = ()
    webhook: Webhook | None
    call: IncomingCall
    starts: Mapping[str, Started]
    before: Sequence[str] = ()
    early: Mapping[str, Event] = field(default_factory=dict)
    on_stream: Mapping[str, Event]
    stop: str = "stop"
    late: Mapping[str, Event] = field(default_factory=dict)
    says: Mapping[str, Sequence[bytes]]
    payload: bytes
    signs_body: bool = True
    splits: bool = True
    name: str

    @property
    def start(self) -> str:
        """The ordinary start."""
        return next(iter(self.starts))

    def carrier(self) -> Carrier:
        """The carrier, configured."""
        return carrier_types()[self.name](self.section)

    def fresh(self) -> Dialect:
        """A dialect that has received nothing yet."""
        return self.carrier().dialect(self.upgrade)

    def after(self, *names: str) -> Dialect:
        """A dialect that has received these frames."""
        dialect = self.fresh()
        for name in names:
            dialect.receive(self.frame(name))
        return dialect

    def streaming(self) -> Dialect:
        """A dialect on a running stream."""
        return self.after(*self.before, self.start)

    def frame(self, name: str) -> bytes:
        """The message in a file of tests/data/<carrier>; `name` is without the suffix."""
        return frame(self.name, name)

    def frames(self, folder: str) -> list[str]:
        """Names of all messages in a folder."""
        found = (DATA / self.name / folder).glob("*")
        return sorted(f"{folder}/{path.stem}" for path in found)


@cache
def frame(carrier: str, name: str) -> bytes:
    """A carrier's message, out of its file."""
    (path,) = (DATA / carrier / name).parent.glob(f"{Path(name).name}.*")
    body = path.read_bytes()
    return Binary(body) if path.suffix == ".bin" else body.rstrip(b"\n")


def all_cases() -> dict[str, Cases]:
    """Every table there is, by carrier."""
    folder = Path(__file__).parents[1] / "bridge" / "carriers" / "cases"
    modules = [
        importlib.import_module(f"tests.bridge.carriers.cases.{path.stem}")
        for path in sorted(folder.glob("*.py"))
    ]
    tables: list[Cases] = [module.CASES for module in modules]
    return {cases.name: cases for cases in tables}
