"""The one gate. Everything here runs over the registry, so that no carrier can be added around it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as Xml

import msgspec
import pytest

from bridge.carriers.carrier import Endpoint, IncomingCall, StreamUrls
from bridge.carriers.dialect import Started
from bridge.carriers.form_signature import sign
from bridge.carriers.registry import carriers_from
from bridge.carriers.twilio import SIGNATURE_HEADER
from bridge.config import CarriersConfig, Secret, TwilioConfig
from bridge.errors import ProtocolError, Refused
from bridge.server import admission as admission_module
from bridge.server.admission import TOKEN_TTL_S, Admission
from bridge.store.memory import MemoryTokenStore

SECRET = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "https://bridge.example/voice"
TWILIO_CALL = "CA" + "1" * 32
OTHER_CALL = "CA" + "2" * 32
ACCOUNT = "AC" + "1" * 32

#: Every carrier, with its secrets: a carrier that is missing here fails the first test.
CONFIGURED = CarriersConfig(twilio=TwilioConfig(auth_token=Secret(SECRET)))
CARRIERS = carriers_from(CONFIGURED)
every_carrier = pytest.mark.parametrize("name", CARRIERS)

#: How each carrier announces a call, and signs.
FORMS = {"twilio": {"CallSid": TWILIO_CALL, "AccountSid": ACCOUNT, "From": "+1555", "To": "+1666"}}


def signed(name: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"twilio": {SIGNATURE_HEADER: sign(SECRET, url, form)}}[name]


@dataclass
class Gate:
    """An admission on a clock and a capacity that the test sets."""

    now_s: float = 1000.0
    room: bool = True
    config: CarriersConfig = CONFIGURED
    public_url: str = PUBLIC_URL
    max_strangers: int = 2
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = MemoryTokenStore(lambda: self.now_s)
        self.admission = Admission(
            carriers_from(self.config),
            self.tokens,
            self.public_url,
            has_room=lambda: self.room,
            max_strangers=self.max_strangers,
        )

    def webhook(self, name: str, headers: Mapping[str, str] | None = None) -> IncomingCall:
        url = f"{self.public_url}/carriers/{name}/answer"
        headers = signed(name, url, FORMS[name]) if headers is None else headers
        return self.admission.webhook(name, "answer", headers, FORMS[name])

    async def token(self, name: str) -> str:
        return await self.admission.issue_token(name, self.webhook(name))

    async def start(
        self, name: str, token: str, call_id: str = TWILIO_CALL, account_id: str = ACCOUNT
    ) -> IncomingCall:
        return await self.admission.start(
            name, Started(call_id, "MZ1", account_id, parameters={"token": token} if token else {})
        )


@pytest.fixture
def gate() -> Gate:
    return Gate()


def media_headers(name: str) -> dict[str, str]:
    return signed(name, f"wss://bridge.example/voice/carriers/{name}/media")


# -- every carrier ---------------------------------------------------------------------------------


def test_every_carrier_of_the_configuration_is_tested_here() -> None:
    fields = [f.name for f in msgspec.structs.fields(CarriersConfig)]
    assert sorted(fields) == sorted(CARRIERS) == sorted(FORMS)
    assert all(CARRIERS[name].name == name == CARRIERS[name].dialect().carrier for name in fields)
    assert carriers_from(CarriersConfig()) == {}


@every_carrier
@pytest.mark.parametrize("endpoint", ["answer", "status", "ended"])
@pytest.mark.parametrize("headers", [{}, {SIGNATURE_HEADER: ""}, {SIGNATURE_HEADER: "Zm9yZ2Vk"}])
def test_no_carrier_believes_an_unsigned_request(
    gate: Gate, name: str, endpoint: Endpoint, headers: dict[str, str]
) -> None:
    for check in (gate.admission.webhook, gate.admission.verify):
        with pytest.raises(Refused) as caught:
            check(name, endpoint, headers, FORMS[name])
        assert (caught.value.reason, caught.value.status) == ("signature", 403)
    assert len(gate.tokens) == 0


@every_carrier
def test_no_carrier_opens_a_socket_for_a_stranger_and_starts_it_without_a_token(name: str) -> None:
    """A carrier that cannot sign upgrades may open the socket; none may start without a token."""
    gate = Gate()
    try:
        with gate.admission.upgrade(name, {}):
            assert gate.admission.strangers == 1
    except Refused as refused:
        assert (refused.reason, refused.status) == ("signature", 403)
    assert gate.admission.strangers == 0


@every_carrier
@pytest.mark.parametrize("token", ["", "guess", "\ud800", "x" * 10_000])
async def test_no_carrier_starts_without_a_token(gate: Gate, name: str, token: str) -> None:
    await gate.token(name)
    with pytest.raises(Refused) as caught:
        await gate.start(name, token)
    assert (caught.value.reason, caught.value.close_code) == ("token", 1008)


@every_carrier
def test_no_carrier_without_a_secret_believes_anybody(name: str) -> None:
    config = msgspec.structs.replace(CONFIGURED, **{name: type(getattr(CONFIGURED, name))()})
    with pytest.raises(Refused) as caught:
        Gate(config=config).webhook(name)
    assert caught.value.reason == "signature"


@every_carrier
async def test_every_carrier_lets_its_own_call_through(gate: Gate, name: str) -> None:
    call = gate.webhook(name)
    reply = await gate.admission.invite(name, call)
    token = token_in(reply.body)
    with gate.admission.upgrade(name, media_headers(name)):
        assert gate.admission.strangers == 1
        assert await gate.start(name, token) == call
    assert gate.admission.strangers == 0
    assert (call.from_number, call.to_number) == ("+1555", "+1666")


def token_in(body: str) -> str:
    parameter = Xml.fromstring(body).find(".//Parameter[@name='token']")
    assert parameter is not None
    return parameter.attrib["value"]


@every_carrier
async def test_every_answer_sends_the_carrier_to_the_public_url(gate: Gate, name: str) -> None:
    base = f"bridge.example/voice/carriers/{name}"
    urls = StreamUrls(f"wss://{base}/media", f"https://{base}/status", f"https://{base}/ended")
    assert gate.admission.urls(name) == urls
    body = (await gate.admission.invite(name, gate.webhook(name))).body
    assert all(url in body for url in (urls.media, urls.status, urls.ended))


# -- the webhook -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("public_url", "signed_url"),
    [
        ("https://bridge.example", "https://bridge.example/carriers/twilio/answer"),
        ("https://bridge.example/", "https://bridge.example/carriers/twilio/answer"),
        ("https://bridge.example/a/b/", "https://bridge.example/a/b/carriers/twilio/answer"),
        ("https://bridge.example:8443", "https://bridge.example:8443/carriers/twilio/answer"),
        ("https://bridge.example", "https://bridge.example:443/carriers/twilio/answer"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/carriers/twilio/answer"),
    ],
)
def test_the_signature_is_checked_against_the_public_url(public_url: str, signed_url: str) -> None:
    headers = signed("twilio", signed_url, FORMS["twilio"])
    assert Gate(public_url=public_url).webhook("twilio", headers).call_id == TWILIO_CALL


def test_what_the_request_says_of_its_host_changes_nothing(gate: Gate) -> None:
    forged = "https://evil.example/carriers/twilio/answer"
    claims = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    with pytest.raises(Refused):
        gate.webhook("twilio", claims | signed("twilio", forged, FORMS["twilio"]))


def test_the_query_is_part_of_what_is_signed(gate: Gate) -> None:
    url = f"{PUBLIC_URL}/carriers/twilio/answer?menu=a%20b"
    headers = signed("twilio", url, FORMS["twilio"])
    call = gate.admission.webhook("twilio", "answer", headers, FORMS["twilio"], query="menu=a%20b")
    assert call.call_id == TWILIO_CALL
    for query in ("", "menu=a b", "menu=other"):
        with pytest.raises(Refused):
            gate.admission.webhook("twilio", "answer", headers, FORMS["twilio"], query=query)


def test_a_signature_for_one_endpoint_opens_no_other(gate: Gate) -> None:
    headers = signed("twilio", f"{PUBLIC_URL}/carriers/twilio/status", FORMS["twilio"])
    gate.admission.verify("twilio", "status", headers, FORMS["twilio"])
    others: list[Endpoint] = ["answer", "ended"]
    for endpoint in others:
        with pytest.raises(Refused):
            gate.admission.verify("twilio", endpoint, headers, FORMS["twilio"])


def test_what_is_signed_may_still_be_no_call(gate: Gate) -> None:
    url = f"{PUBLIC_URL}/carriers/twilio/answer"
    with pytest.raises(ProtocolError):
        gate.admission.webhook("twilio", "answer", signed("twilio", url, {}), {})


@pytest.mark.parametrize(
    ("draining", "room", "reason"), [(True, True, "draining"), (False, False, "capacity")]
)
def test_new_calls_are_turned_away_when_draining_or_full(
    gate: Gate, draining: bool, room: bool, reason: str
) -> None:
    gate.admission.draining, gate.room = draining, room
    with pytest.raises(Refused) as caught:
        gate.webhook("twilio")
    assert (caught.value.reason, caught.value.status) == (reason, 503)
    with pytest.raises(Refused) as stranger:
        gate.webhook("twilio", {})
    assert stranger.value.reason == "signature"  # and are told nothing of our state


def test_callbacks_of_live_calls_pass_while_draining_and_full(gate: Gate) -> None:
    gate.admission.draining, gate.room = True, False
    headers = signed("twilio", f"{PUBLIC_URL}/carriers/twilio/ended", FORMS["twilio"])
    gate.admission.verify("twilio", "ended", headers, FORMS["twilio"])


async def test_a_carrier_that_is_not_configured_does_not_exist(gate: Gate) -> None:
    for ask in (
        lambda: gate.admission.webhook("nobody", "answer", {}, {}),
        lambda: gate.admission.verify("nobody", "status", {}, {}),
        lambda: gate.admission.upgrade("nobody", {}),
    ):
        with pytest.raises(Refused) as caught:
            ask()
        assert (caught.value.reason, caught.value.status) == ("carrier", 404)
    with pytest.raises(Refused):
        await gate.start("nobody", "token")


# -- the upgrade -----------------------------------------------------------------------------------


def test_an_upgrade_needs_no_with_to_be_checked(gate: Gate) -> None:
    with pytest.raises(Refused):
        gate.admission.upgrade("twilio", {})


def test_upgrades_are_refused_while_draining(gate: Gate) -> None:
    gate.admission.draining = True
    with pytest.raises(Refused) as caught:
        gate.admission.upgrade("twilio", media_headers("twilio"))
    assert (caught.value.reason, caught.value.status) == ("draining", 503)


def test_only_so_many_sockets_may_wait_for_their_start(gate: Gate) -> None:
    headers = media_headers("twilio")
    with gate.admission.upgrade("twilio", headers), gate.admission.upgrade("twilio", headers):
        with pytest.raises(Refused) as caught:
            gate.admission.upgrade("twilio", headers)
        assert (caught.value.reason, caught.value.status) == ("strangers", 503)
    with gate.admission.upgrade("twilio", headers):
        assert gate.admission.strangers == 1


def test_a_socket_that_fails_is_a_stranger_no_more(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError), gate.admission.upgrade("twilio", media_headers("twilio")):
        raise ZeroDivisionError
    assert gate.admission.strangers == 0


# -- the start -------------------------------------------------------------------------------------


async def refused(gate: Gate, token: str, **started: str) -> str:
    with pytest.raises(Refused) as caught:
        await gate.start("twilio", token, **started)
    assert caught.value.close_code == 1008
    assert token not in str(caught.value)
    return caught.value.reason


async def test_a_token_works_once(gate: Gate) -> None:
    token = await gate.token("twilio")
    await gate.start("twilio", token)
    assert await refused(gate, token) == "token"


@pytest.mark.parametrize(("later_s", "good"), [(TOKEN_TTL_S - 1, True), (TOKEN_TTL_S, False)])
async def test_a_token_expires(gate: Gate, later_s: float, good: bool) -> None:
    token = await gate.token("twilio")
    gate.now_s += later_s
    if good:
        assert (await gate.start("twilio", token)).call_id == TWILIO_CALL
    else:
        assert await refused(gate, token) == "token"


async def test_a_token_is_of_one_call_and_a_thief_does_not_spend_it(gate: Gate) -> None:
    token = await gate.token("twilio")
    assert await refused(gate, token, call_id=OTHER_CALL) == "token"
    assert (await gate.start("twilio", token)).call_id == TWILIO_CALL


async def test_a_stream_of_another_account_is_refused(gate: Gate) -> None:
    assert await refused(gate, await gate.token("twilio"), account_id="AC" + "9" * 32) == "account"


async def test_a_retried_webhook_gets_an_answer_that_works_and_the_call_one_stream(gate: Gate) -> None:
    for first in (0, 1):
        again = Gate()
        tokens = [await again.token("twilio"), await again.token("twilio")]
        assert tokens[0] != tokens[1]
        await again.start("twilio", tokens[first])
        assert await refused(again, tokens[1 - first]) == "second_stream"


async def test_a_replayed_webhook_cannot_start_its_call_again(gate: Gate) -> None:
    await gate.start("twilio", await gate.token("twilio"))
    gate.now_s += 3 * 3600
    assert await refused(gate, await gate.token("twilio")) == "second_stream"


async def test_a_call_that_no_longer_fits_is_refused_at_its_start(gate: Gate) -> None:
    token = await gate.token("twilio")
    gate.room = False
    with pytest.raises(Refused) as caught:
        await gate.start("twilio", token)
    assert (caught.value.reason, caught.value.close_code) == ("capacity", 1013)


async def test_a_call_admitted_before_a_drain_may_start_in_it(gate: Gate) -> None:
    token = await gate.token("twilio")
    gate.admission.draining = True
    assert (await gate.start("twilio", token)).call_id == TWILIO_CALL


async def test_the_store_never_sees_a_token() -> None:
    seen: list[str] = []

    class Watched(MemoryTokenStore):
        async def put(self, key: str, value: str, ttl_s: float) -> None:
            seen.extend([key, value])
            await super().put(key, value, ttl_s)

    admission = Admission(CARRIERS, Watched(), PUBLIC_URL)
    token = await admission.issue_token("twilio", IncomingCall(TWILIO_CALL, ACCOUNT, "", "", "inbound"))
    assert len(seen) == 2 and not any(token in text for text in seen)
    assert len(token) >= 22


def test_the_gate_knows_nothing_of_http_servers() -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(inspect.getsource(admission_module)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert "aiohttp" not in imported and "bridge" in imported
