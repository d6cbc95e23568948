"""A small phone menu in files, for tests of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes

PCM16_16K: Final = AudioFormat(Encoding.PCM16, 16_000)
CONFIG: Final = """
[agent]
entrypoint = "bridge.agents.ivr:ivr"
[lightning]
concurrency = 4
[prompts]
cache = "cache"
"""
PROMPTS: Final = """
[prompts.hello]
text = "Hello and welcome."

[prompts.balance]
text = "Your balance is {amount}. Goodbye."
variables = { amount = "money:USD" }

[prompts.hello.in.de]
text = "Guten Tag."
language = "de"
voice = "maithili"

[prompts.jingle]
file = "jingle.wav"
"""
DESK: Final = """
title = "The desk"
start = "menu"
time_zone = "Europe/Berlin"

[variables]
amount = 12
open = true

[hours.desk]
days = { mon-fri = ["09:00-17:00"] }

[steps.menu]
do = "menu"
text = "For your balance, press one. For a person, press two."
choices = { 1 = "pin", 2 = "is_open", 3 = "mail", 4 = "tell" }
tries = 2
otherwise = "bye"

[steps.pin]
do = "gather"
text = "Your PIN."
into = "pin"
min_digits = 4
max_digits = 4
mask = true
next = "ask"

[steps.ask]
do = "webhook"
url = "http://127.0.0.1:9/balance"
send = ["pin"]
take = { amount = "balance" }
retries = 0
on_status = { 404 = "bye" }
next = "tell"

[steps.tell]
do = "say"
prompt = "balance"

[steps.is_open]
do = "condition"
cases = [{ hours = "desk", next = "person" }]
otherwise = "bye"

[steps.person]
do = "transfer"
to = "+15550100009"
otherwise = "bye"

[steps.mail]
do = "record"
prompt = "jingle"
next = "bye"

[steps.bye]
do = "hang_up"
prompt = "hello"
"""


def write_menus(folder: Path, *, prompts: str = PROMPTS, desk: str = DESK, config: str = CONFIG) -> Path:
    """``bridge.toml`` in `folder`, with a flow ``desk`` and its prompts beside it. Returns the configuration's path."""
    (folder / "prompts").mkdir()
    (folder / "flows").mkdir()
    (folder / "prompts" / "house.toml").write_text(prompts)
    write_recording(folder / "prompts" / "jingle.wav")
    (folder / "flows" / "desk.toml").write_text(desk)
    path = folder / "bridge.toml"
    path.write_text(config + '[flows]\nwebhook_hosts = ["http://127.0.0.1:9"]\n')
    return path


def write_recording(path: Path, seconds: float = 0.5) -> None:
    """A WAV of somebody who says nothing."""
    path.write_bytes(wav_bytes(PCM16_16K, PCM16_16K.silence(seconds * 1000)))
