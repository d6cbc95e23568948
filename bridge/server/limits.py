"""How much a carrier, a stranger or an agent may ask for before the server acts. Tests make them smaller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The server's patience."""

    #: A connection without a whole request on it. The web server's own default is an hour.
    keepalive_s: float = 15.0
    #: The body of a webhook: how large, and how soon it must be here.
    body_bytes: int = 64 * 1024
    body_within_s: float = 5.0
    #: One WebSocket message. Carriers send some 250 bytes.
    message_bytes: int = 64 * 1024
    #: From the upgrade to a `start`, with time left to say goodbye within five seconds.
    start_within_s: float = 4.0
    #: Messages before `start`: a carrier needs one.
    early_messages: int = 8
    #: Of these, messages of sound: some carriers talk before they say about what, and what waited comes all at once.
    early_sounds: int = 250
    #: For a carrier that opens a lost socket again, to do so.
    reconnect_within_s: float = 10.0
    #: Broken messages that one call may send before it is not worth listening to.
    broken_messages: int = 50
    #: Carriers send 50 messages a second. Five times that, sustained for a second, is not a phone.
    messages_per_s: float = 250
    #: A line that has been silent on the wire this long is dead: carriers send silence too.
    dead_line_s: float = 10.0
    #: Unsent bytes in our own buffer that mean the carrier has stopped reading: some 4 s of audio.
    unsent_bytes: int = 64 * 1024
    #: What the kernel may hold of one socket besides. It would take minutes of audio if it were let.
    kernel_bytes: int = 64 * 1024
    #: For the carrier to answer our close, or to close after its `stop`.
    close_within_s: float = 3.0
    #: How long an agent may tidy up after its call has ended.
    agent_grace_s: float = 5.0
