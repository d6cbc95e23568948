"""Every way Lightning can answer other than well, by name.

Read this struct to learn what can go wrong. Metrics, logs and tests share the names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LightningStats:
    """Counters of one process."""

    syntheses: int = 0  #: asked for
    completed: int = 0
    cancelled: int = 0  #: by our side, before all their audio had come
    failed: int = 0  #: ended with an error; a retry may still have saved the speech
    retries: int = 0  #: by a voice, on a fresh socket, with the text that was still unsaid
    fallbacks: int = 0  #: by a call, to another entry of the configuration
    hedges: int = 0  #: the same asked once more because the first byte was late
    hedges_won: int = 0  #: and the second was first
    breakers_opened: int = 0  #: an entry failed so often that it is left alone
    probes: int = 0  #: to see whether it works again
    speech_failures: int = 0  #: nobody was left to ask, so somebody had to apologise

    connects: int = 0
    connect_failures: int = 0
    handshakes_refused: int = 0  #: of these, by an HTTP answer
    waited_for_connect: int = 0  #: no spare was ready, so a synthesis waited for a handshake
    dropped_sockets: int = 0  #: closed by the other side while a synthesis was on them
    idle_closes: int = 0  #: closed by the other side while nothing was on them
    resends: int = 0  #: asked again because a reused socket turned out to be closed

    unit_waits: int = 0  #: no unit of concurrency was free at once
    unit_timeouts: int = 0  #: and none became free in time
    busy_answers: int = 0  #: Lightning itself said that the account is at its limit

    late_first_audio: int = 0  #: gave no audio within `first_audio_timeout_s`
    stalls: int = 0  #: fell silent half way for `stall_timeout_s`
    floods: int = 0  #: gave more audio than its text can last

    stale_chunks: int = 0  #: came after their synthesis was over; dropped
    foreign_chunks: int = 0  #: named a synthesis that is not on their socket; dropped
    malformed_messages: int = 0
    unknown_messages: int = 0

    pcm_answers: int = 0  #: linear audio although mu-law was asked
    wav_answers: int = 0  #: a WAV header although none was asked
