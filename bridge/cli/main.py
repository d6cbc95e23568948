"""``bridge``: the commands, and what their ends mean.

Command modules import what they do only when they do it, so that ``bridge --help`` is quick.
Exit codes: 0 done, 1 failed, 2 wrong use (of the command line or of the configuration), 130 on Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

from bridge import __version__
from bridge.cli.demo import demo
from bridge.cli.emulate import caller, lightning
from bridge.cli.init import init
from bridge.cli.say import say
from bridge.cli.serve import serve
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
app.command(demo, help_epilogue="")
app.command(say, help_epilogue="")
app.command(init, help_epilogue="")
app.command(serve, help_epilogue="")
emulate = App(
    name="emulate",
    help="Stand-ins for the two ends of the bridge, to try it with.",
    help_epilogue="",
)
emulate.command(lightning, help_epilogue="")
emulate.command(caller, help_epilogue="")
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
