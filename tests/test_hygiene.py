"""What keeps the house a house: who imports whom, what is shipped, what is never in it."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from ipaddress import ip_address
from pathlib import Path
from statistics import quantiles

import pytest

from tests.support.cli import environment
from tests.support.source import (
    MODULES,
    ROOT,
    function_lines,
    imports_of,
    outside_imports,
    own_files,
    room_of,
    rooms_imported,
    tree_of,
)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# -- who imports whom --------------------------------------------------------------------------------------------------

#: From the top of the house to its foundations: a room may need what stands below it, and nothing beside it.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"doctor", "rehearsal"},
    {"server"},
    {"emulators", "agents"},
    {"llm", "remote", "hydra"},
    {"tools"},
    {"call"},
    {"listening_call"},
    {"live_call"},
    {"ears", "speaker"},
    {"floor", "keypad", "turns"},
    {"mouth", "control"},
    {"wire"},
    {"flows"},
    {"media", "prompts"},
    {"lightning", "transcribers"},
    {"config"},
    {"rest_client"},
    {"carriers"},
    {"budget"},
    {"store", "observe", "surroundings"},
    {"catalogue"},
    {"config_lightning", "config_flows", "config_agents"},
    {"toml_source"},
    {"config_tree"},
    {"problems", "entrypoint"},
    {"errors", "names", "nearest", "networks", "plain_text", "secret", "straight", "tasks", "tls", "codecs"},
)
#: What a call is made of: none of it is for what only thinks, or runs tools.
CALL = {
    "call",
    "listening_call",
    "live_call",
    "ears",
    "speaker",
    "floor",
    "keypad",
    "turns",
    "mouth",
    "control",
    "wire",
    "flows",
    "media",
    "prompts",
    "lightning",
    "carriers",
}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: What stands below, and is none of its business all the same.
KEEPS_OUT = {
    "server": {"emulators"},
    "agents": {"carriers", "lightning", "media", "mouth"},
    "llm": CALL,
    "remote": CALL,
    "hydra": CALL,
    "tools": CALL,
    "transcribers": {"carriers"},
    "emulators": {"call", "lightning", "mouth", "media"},
    "media": {"carriers", "lightning", "config"},
    "codecs": set(FLOOR_OF) - {"codecs"},
}
#: Who may use a library at all.
ONLY_FOR = {
    "aiohttp": {"server", "emulators", "lightning", "rest_client", "doctor", "flows", "remote"},
    "websockets": {"lightning", "transcribers", "hydra", "remote", "straight"},
    "openai": {"llm"},
    "pocketsphinx": {"emulators"},
    "onnxruntime": {"media"},
    "prometheus_client": {"observe"},
    "cyclopts": {"cli"},
    "rich": {"cli", "emulators"},
    "uvloop": {"cli"},
    "babel": {"prompts"},
    "filelock": {"prompts"},
    "espeakng_loader": {"emulators"},
    "tomllib": {"config_tree"},
}


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    room = room_of(module)
    if not room:
        return
    assert room in FLOOR_OF, "a new room: say in FLOORS where it stands"
    for other in rooms_imported(module):
        assert FLOOR_OF[room] < FLOOR_OF[other], f"{room} needs {other}"
        assert other not in KEEPS_OUT.get(room, ())


@pytest.mark.parametrize(
    "room, other", [("carriers", "lightning"), ("lightning", "carriers"), ("media", "call")]
)
def test_not_even_types_of_each_other(room: str, other: str) -> None:
    modules = [module for module in MODULES if room_of(module) == room]
    assert modules
    assert [module for module in modules if other in rooms_imported(module, for_types_too=True)] == []


@pytest.mark.parametrize("library", ONLY_FOR)
def test_each_library_has_its_room(library: str) -> None:
    users = {room_of(module) for module in MODULES if library in outside_imports(module)}
    assert users, "nobody uses it any more"
    assert users <= ONLY_FOR[library]


def test_a_server_is_built_by_the_server_alone() -> None:
    builders = {room_of(module) for module, path in MODULES.items() if "aiohttp.web" in imports_of(path)}
    assert builders == {"server", "emulators"}


#: Bytes, events and `now` in, values out.
PURE = (
    "bridge.budget",
    "bridge.catalogue",
    "bridge.doctor.findings",
    "bridge.flows.actions",
    "bridge.flows.check",
    "bridge.flows.check_given",
    "bridge.flows.check_ways",
    "bridge.flows.check_words",
    "bridge.flows.draw",
    "bridge.flows.graph",
    "bridge.flows.outline",
    "bridge.flows.words",
    "bridge.flows.hours",
    "bridge.flows.machine",
    "bridge.flows.model",
    "bridge.flows.origins",
    "bridge.flows.values",
    "bridge.carriers.carrier",
    "bridge.carriers.dialect",
    *(m for m in MODULES if room_of(m) == "carriers" and m != "bridge.carriers.registry"),
    "bridge.emulators.carrier_buffer",
    "bridge.emulators.known_voices",
    "bridge.emulators.lightning_protocol",
    "bridge.emulators.lightning_refusals",
    "bridge.emulators.lightning_requests",
    "bridge.emulators.lightning_v4_session",
    "bridge.emulators.lightning_voices",
    "bridge.emulators.llm_rules",
    "bridge.emulators.pulse_audio",
    "bridge.emulators.pulse_messages",
    "bridge.emulators.pulse_options",
    "bridge.emulators.pulse_query",
    "bridge.emulators.pulse_session",
    "bridge.emulators.pulse_words",
    "bridge.emulators.recogniser",
    "bridge.emulators.scripted_words",
    "bridge.emulators.switches",
    "bridge.emulators.twiml",
    "bridge.nearest",
    "bridge.plain_text",
    "bridge.emulators.hydra_session",
    "bridge.hydra.audio",
    "bridge.hydra.functions",
    "bridge.hydra.messages",
    "bridge.lightning.account_data",
    "bridge.lightning.audio_guess",
    "bridge.lightning.end_of_text",
    "bridge.lightning.faults",
    "bridge.lightning.markup",
    "bridge.lightning.messages",
    "bridge.lightning.normalise",
    "bridge.lightning.pieces",
    "bridge.lightning.sse_events",
    "bridge.lightning.refusals",
    "bridge.lightning.run_audio",
    "bridge.lightning.spoken",
    "bridge.lightning.v4_messages",
    "bridge.lightning.wire",
    "bridge.media.answer",
    "bridge.llm.answer",
    "bridge.llm.history",
    "bridge.media.barge_in",
    "bridge.media.first_sound",
    "bridge.media.heard",
    "bridge.media.keys",
    "bridge.media.marks",
    "bridge.media.playout",
    "bridge.media.recorder",
    "bridge.media.taps",
    "bridge.media.log_mel",
    "bridge.media.turn_end",
    "bridge.media.unheard",
    "bridge.observe.latency",
    "bridge.observe.stats",
    "bridge.observe.timeline",
    "bridge.prompts.hold_music",
    "bridge.prompts.edges",
    "bridge.prompts.key",
    "bridge.prompts.memory",
    "bridge.prompts.rendition",
    "bridge.prompts.spec",
    "bridge.prompts.template",
    "bridge.tools.schema",
    "bridge.rehearsal.dialogue",
    "bridge.rehearsal.facts",
    "bridge.rehearsal.judge",
    "bridge.rehearsal.junit",
    "bridge.rehearsal.noises",
    "bridge.remote.address",
    "bridge.remote.outbox",
    "bridge.remote.protocol",
    "bridge.remote.signature",
    "bridge.transcribers.pulse_messages",
    "bridge.transcribers.replay",
    *(module for module in MODULES if room_of(module) == "codecs"),
)
CLOCKS_AND_DOORS = {
    "asyncio",
    "datetime",
    "logging",
    "random",
    "select",
    "socket",
    "subprocess",
    "threading",
    "time",
}


@pytest.mark.parametrize("module", PURE)
def test_what_is_pure_awaits_nothing_and_asks_no_clock(module: str) -> None:
    assert not outside_imports(module, for_types_too=False) & CLOCKS_AND_DOORS
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [node for node in ast.walk(tree_of(MODULES[module])) if isinstance(node, waits)]
    assert [node for node in found if module != "bridge.lightning.pieces"] == [], (
        "pieces_of follows an iterator"
    )


HEAVY = ("numpy", "aiohttp", "onnxruntime", "websockets", "uvloop", "prometheus_client", "rich.table")


@pytest.mark.parametrize(
    "module, heavy",
    [
        ("bridge", (*HEAVY, "msgspec")),
        ("bridge.config", HEAVY),
        ("bridge.cli.main", (*HEAVY, "msgspec")),
    ],
)
def test_what_is_imported_often_imports_little(module: str, heavy: tuple[str, ...], tmp_path: Path) -> None:
    """In a fresh interpreter, because this one has everything."""
    script = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    fresh = [sys.executable, "-c", script]
    done = subprocess.run(fresh, env=environment(), cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


# -- how it is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_modules_are_small_and_say_what_they_are(module: str) -> None:
    path = MODULES[module]
    assert ast.get_docstring(tree_of(path))
    # A carrier is one file, with all there is to it.
    limit = 450 if room_of(module) == "carriers" else 400
    assert len(path.read_text("utf-8").splitlines()) <= limit


def test_functions_are_small() -> None:
    lines = {
        f"{module}.{name}": count for module, path in MODULES.items() for name, count in function_lines(path)
    }
    assert max(lines.values()) <= 60, max(lines, key=lambda name: lines[name])
    assert quantiles(lines.values(), n=10)[-1] <= 40


# -- what is in the repository -----------------------------------------------------------------------------------------

#: Addresses that a reader, an operator or a licence needs. Where packages come from is the installer's business.
KNOWN_HOSTS = {
    "api.smallest.ai",
    "www.w3.org",
    "www.apache.org",
    "bridge.example.evil",
    # The carriers' REST APIs.
    "api.twilio.com",
    "api.telnyx.com",
    "api.plivo.com",
    "api.nexmo.com",
    "rest.nexmo.com",
    "api.in.exotel.com",
    "api.exotel.com",
    "api.jambonz.cloud",
}
URL = re.compile(rb"\b(?:https?|wss?)://(?:[^\s/@'\"<>]*@)?([A-Za-z0-9.-]+)")
MACHINE_PATH = re.compile(rb"(?<![\w.$}~-])/(?:home|root|Users|work|mnt)/\w")
FILES = {path.relative_to(ROOT).as_posix(): path for path in own_files()}


def is_made_up(host: str) -> bool:
    """Whether `host` is one that exists for examples only, or on this machine or network only."""
    host = host.rstrip(".")
    if "." not in host or host.endswith((".example", "example.com", "example.org")):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def test_nothing_names_a_place_that_readers_do_not_need() -> None:
    named = {
        (name, host)
        for name, path in FILES.items()
        for host in (match.decode().rstrip(".") for match in URL.findall(path.read_bytes()))
    }
    assert {(name, host) for name, host in named if not is_made_up(host) and host not in KNOWN_HOSTS} == set()
    assert {host for _, host in named} >= KNOWN_HOSTS, "the net has no holes"


def test_nothing_names_somebodys_machine() -> None:
    assert [name for name, path in FILES.items() if MACHINE_PATH.search(path.read_bytes())] == []
    assert MACHINE_PATH.search(b"see " + b"/".join((b"", b"home", b"me"))), "the net has no holes"


@pytest.mark.parametrize(
    "name", sorted(name for name in FILES if re.fullmatch(r"requirements/\w+\.txt", name))
)
def test_locks_hold_exact_versions_and_hashes_and_no_addresses(name: str) -> None:
    text = FILES[name].read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pins = [line for line in lines if not line.startswith(" ")]
    assert pins
    assert [line for line in pins if not re.match(r"^[\w.-]+==[\w.+!-]+( ; .+)? \\$", line)] == []
    hashes = [line.strip() for line in lines if line.startswith(" ")]
    assert [line for line in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line)] == []
    assert "://" not in text
    assert "index" not in text


def test_every_lock_there_must_be() -> None:
    locks = ("base", "demo", "test", "quality", "vendor")
    assert {f"requirements/{name}.txt" for name in locks} <= FILES.keys()


def test_the_licence_is_apache_2_word_for_word() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert (
        hashlib.sha256(text).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )
    assert PYPROJECT["project"]["license"] == "Apache-2.0"


# -- what is installed -------------------------------------------------------------------------------------------------

#: Below these, faults are known that reach us. aiohttp: memory holes of its WebSocket reader, before admission.
SAFE = {"aiohttp": "3.14.4", "websockets": "17.4"}


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize("package", SAFE)
def test_nothing_with_known_holes_is_used_or_allowed(package: str) -> None:
    assert version(importlib.metadata.version(package)) >= version(SAFE[package])
    (wanted,) = [line for line in PYPROJECT["project"]["dependencies"] if line.startswith(package)]
    assert wanted == f"{package}>={SAFE[package]}"


def test_aiohttps_parser_is_the_one_in_c() -> None:
    """Request smuggling has been found in the one in Python, again and again."""
    import aiohttp.http_parser

    assert hasattr(aiohttp.http_parser, "HttpRequestParserC")
    assert aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserC


def test_what_is_gpl_is_an_extra() -> None:
    project = PYPROJECT["project"]
    assert not [line for line in project["dependencies"] if "espeak" in line]
    assert [line for line in project["optional-dependencies"]["demo"] if "espeak" in line]


# -- what is shipped ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return zipfile.ZipFile(path)


def test_the_wheel_holds_all_that_is_needed(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    assert {path.relative_to(ROOT).as_posix().removeprefix("codecs/") for path in MODULES.values()} <= held
    data = (
        "bridge/sounds/apology.wav",
        "bridge/sounds/goodbye.wav",
        "bridge/sounds/one_moment.wav",
        "bridge/cli/bridge.toml",
        "bridge/cli/hello.toml",
        "bridge/py.typed",
        "telephony_codecs/py.typed",
    )
    for name in data:
        source = ROOT / name if name.startswith("bridge") else ROOT / "codecs" / name
        assert wheel.read(name) == source.read_bytes()


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bridge", "telephony_codecs"}
    assert {Path(name).suffix for name in wheel.namelist() if name.startswith("bridge/")} == {
        ".py",
        ".toml",
        ".typed",
        ".wav",
    }


def test_the_wheel_tells_what_it_is(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "bridge = bridge.cli.main:main" in wheel.read(f"{info}/entry_points.txt").decode()
