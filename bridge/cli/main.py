"""``bridge``: the commands, and what their ends mean.

Commands are named here and imported only when they run, so that ``bridge --help`` is quick.
Exit codes: 0 done, 1 failed, 2 wrong use (of the command line or of the configuration), 130 on Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

from bridge import __version__
from bridge.errors import BridgeError, ConfigError

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

app = App(
    name="bridge",
    version=f"bridge {__version__}",
    help="Gives a phone call the voice of Lightning (Smallest AI), and stops the moment the caller talks.",
    help_epilogue="Start with `bridge demo`: a whole call on this machine, without an account or a key.",
    suppress_keyboard_interrupt=False,
)
app.command("bridge.cli.demo:demo", name="demo", help="A whole call on this machine: no account, key or network.")
app.command("bridge.cli.say:say", name="say", help="Say a text with Lightning, into a WAV file.")
app.command("bridge.cli.init:init", name="init", help="Write a commented bridge.toml.")
app.command("bridge.cli.serve:serve", name="serve", help="Serve phone calls.")
emulate = App(name="emulate", help="Stand-ins for the two ends of the bridge, to try and test it with.")
emulate.command("bridge.cli.emulate:lightning", name="lightning", help="A Lightning that speaks offline.")
emulate.command("bridge.cli.emulate:caller", name="caller", help="A carrier with a caller, who calls a bridge.")
app.command(emulate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        code = app(
            list(sys.argv[1:] if arguments is None else arguments),
            exit_on_error=False,
            result_action="return_value",
        )
        return code if isinstance(code, int) else DONE
    except CycloptsError:
        return WRONG_USE  # cyclopts has said what was wrong
    except ConfigError as error:
        return _fail(error, WRONG_USE)
    except BridgeError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; saying so would fail too
        return FAILED


def _fail(error: BridgeError, code: int) -> int:
    print(f"bridge: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
