"""What Lightning, and so the configuration and the command line, call things. It imports nothing: all may have it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

#: Doors to Lightning, and `local`: a program on this machine.
DoorName: TypeAlias = Literal["live", "sse", "http", "v3.1", "v3.1-sse", "v2", "v2-sse", "v4", "local"]
#: How text that streams in is sent: a synthesis for each sentence; all of it into one context of the live socket
#: (`continue` with `context_id`); or into the socket's one buffer (`continue` and `flush`), as before contexts.
TextStreaming: TypeAlias = Literal["sentences", "context", "flush"]
#: What is asked for. `auto`: `ulaw` at 8000 Hz where the door knows it, else PCM, which is converted here.
Output: TypeAlias = Literal["auto", "ulaw", "alaw", "pcm"]
#: What a recording may be asked for as.
ClipName: TypeAlias = Literal["pcm", "wav", "mp3", "ulaw", "alaw"]
#: In hertz.
SampleRate: TypeAlias = Literal[8000, 16000, 24000, 44100]

#: Headers of `/livez`: which process answers, and whether a request to upgrade has come through the proxy whole.
INSTANCE_HEADER: Final = "X-Bridge-Instance"
UPGRADE_HEADER: Final = "X-Bridge-Upgrade"
