"""``bridge emulate llm``: somebody who answers, to try agents with that need a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.emulate import FAULTS, FaultCount, Milliseconds, Port
from bridge.cli.running import Text, listening, run

FaultName: TypeAlias = Literal[
    "refuse", "busy", "server", "hang", "stall", "garbage", "shapes", "page", "flood", "line", "cut", "short",
    "error",
]  # fmt: skip


def llm(
    *,
    rules: Path | None = None,
    port: Port = 9004,
    host: str = "127.0.0.1",
    model: Text = "",
    first_token_ms: Milliseconds = 200.0,
    token_ms: Milliseconds = 20.0,
    fault: Annotated[FaultName | None, Parameter(group=FAULTS)] = None,
    fault_after: FaultCount = 2,
    faulty_requests: FaultCount = 0,
    retry_after_s: Annotated[float | None, Parameter(group=FAULTS, validator=Number(gte=0))] = None,
) -> int:
    """Be an OpenAI-compatible language model that answers by rules, offline, until Ctrl-C.

    Point an agent at it with `BRIDGE_AGENT__OPTIONS__BASE_URL=http://127.0.0.1:9004/v1`. It accepts the key in
    SMALLEST_API_KEY, or any key when that is not set, and refuses what Electron refuses.

    Args:
        rules: a TOML file of `[[rule]]`: `when` (a regular expression, searched in the caller's words or in what a tool
            returned), then `say`, or `call` and `arguments`. The first that fits answers. Without it, it echoes.
        port: where to listen; 0 takes a free one.
        host: address to listen on.
        model: the only model there is; by default any.
        first_token_ms: from a request to the first token.
        token_ms: from one token to the next.
        fault: refuse (401), busy (429), server (500), hang (no answer), stall (silence half way), garbage (no JSON),
            shapes (other JSON), page (HTML), flood (words without end), line (a line without end), cut (the connection
            breaks), short (the stream ends, the answer does not), error (an error in the stream).
        fault_after: so many tokens come before a fault half way.
        faulty_requests: only so many first requests have the fault; 0 is all.
        retry_after_s: what busy says about when to ask again.
    """
    from bridge.emulators.llm import LlmOptions
    from bridge.emulators.llm import run as run_llm

    options = LlmOptions(
        model=model,
        first_token_ms=first_token_ms,
        token_ms=token_ms,
        fault=fault or "",
        fault_after=fault_after,
        faulty_requests=faulty_requests,
        retry_after_s=-1.0 if retry_after_s is None else retry_after_s,
    )
    with listening(host, port):
        run(run_llm(host=host, port=port, options=options, rules=rules))
    return 0
