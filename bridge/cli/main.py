"""``bridge``: the commands, and what their ends mean.

Command modules import what they do only when they do it, so that ``bridge --help`` is quick.
Exit codes: 0 done, 1 failed, 2 wrong use (of the command line or of the configuration), 130 on Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError, Group

from bridge import __version__
from bridge.cli.call import call
from bridge.cli.demo import demo
from bridge.cli.dictionaries import dictionaries
from bridge.cli.doctor import doctor
from bridge.cli.emulate import caller, lightning
from bridge.cli.emulate_hydra import hydra
from bridge.cli.emulate_llm import llm
from bridge.cli.emulate_pulse import pulse
from bridge.cli.flows import flows
from bridge.cli.init import init
from bridge.cli.prompts import prompts
from bridge.cli.rehearse import rehearse
from bridge.cli.say import name_hyphens, say
from bridge.cli.serve import serve
from bridge.cli.setup import setup
from bridge.cli.turns import turns
from bridge.cli.voices import voices
from bridge.errors import BridgeError, ConfigError

DONE: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

HELP: Final = """
Gives a phone call Lightning's voice, and stops the moment the caller talks.
"""
EPILOGUE: Final = """
Start with `bridge demo`: a whole call, without an account or a key.
Exit codes: 0 done, 1 failed, 2 wrong use, 130 Ctrl-C.
"""

app = App(
    name="bridge",
    version=f"bridge {__version__}",
    help=HELP,
    help_epilogue=EPILOGUE,
    group_commands=Group.create_ordered("Commands"),
    suppress_keyboard_interrupt=False,
)
emulate = App(
    name="emulate",
    help="Stand-ins for the two ends of the bridge, to try it with.",
    help_epilogue="",
    sort_key=12,
)
app["--help"].show = False  # who sees the first screen has found it, and has lines for the commands
app.command(demo, help_epilogue="", sort_key=0)
app.command(say, help_epilogue="", sort_key=1)
app.command(init, help_epilogue="", sort_key=2)
app.command(setup, help_epilogue="", sort_key=3)
app.command(doctor, help_epilogue="", sort_key=4)
app.command(serve, help_epilogue="", sort_key=5)
app.command(call, help_epilogue="", sort_key=6)
app.command(rehearse, help_epilogue="", sort_key=7)
app.command(turns, help_epilogue="", sort_key=7)
app.command(flows)
app.command(prompts)
app.command(voices)
app.command(dictionaries)
app.command(emulate)
emulate.command(lightning, help_epilogue="")
emulate.command(pulse, help_epilogue="")
emulate.command(llm, help_epilogue="")
emulate.command(hydra, help_epilogue="")
emulate.command(caller, help_epilogue="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()  # here, where a reader that has left is an exit code and not a traceback
        return code
    except CycloptsError:
        return WRONG_USE  # cyclopts has said what was wrong
    except ConfigError as error:
        return _fail(error, WRONG_USE)
    except BridgeError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more on its way out, and must not find the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["say"] or arguments[:2] == ["prompts", "play"]:
        arguments = name_hyphens(arguments)
    code = app(arguments, exit_on_error=False, result_action="return_value")
    return code if isinstance(code, int) else DONE


def _fail(error: BridgeError, code: int) -> int:
    print("bridge:", " ".join(str(error).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
