"""The one gate: tokens, claims, capacity, and sockets that come back. Carriers are judged in test_every_carrier."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from bridge.carriers.carrier import Carrier, Endpoint, IncomingCall, Reply, StreamUrls, Upgrade, Webhook
from bridge.carriers.dialect import Started
from bridge.carriers.form_signature import sign
from bridge.carriers.twilio import SIGNATURE_HEADER, Twilio, TwilioConfig
from bridge.config import Secret
from bridge.errors import ProtocolError, Refused
from bridge.server import admission as admission_module
from bridge.server.admission import TOKEN_TTL_S, Admission, Admitted
from bridge.store.memory import MemoryTokenStore

SECRET = "0123456789abcdef0123456789abcdef"
PUBLIC_URL = "https://bridge.example/voice"
CALL = "CA" + "1" * 32
OTHER_CALL = "CA" + "2" * 32
ACCOUNT = "AC" + "1" * 32
FORM = {"CallSid": CALL, "AccountSid": ACCOUNT, "From": "+1555", "To": "+1666"}


class Reconnecting(Twilio):
    """A Twilio that opens a lost socket again."""

    name = "again"
    reconnects = True


class Unannounced(Carrier):
    """One without webhooks, whose sockets are as good as their password."""

    name = "direct"
    needs_token = False

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        if upgrade.headers.get("Authorization") != "Basic right":
            raise Refused("signature", "wrong password")


class UnannouncedAgain(Unannounced):
    name = "direct_again"
    reconnects = True


class Talkative(Twilio):
    """One that tells everything at the address for calls."""

    name = "talkative"

    def incoming(self, webhook: Webhook) -> Any:
        return None if webhook.value("StreamEvent") else super().incoming(webhook)


def carriers() -> dict[str, Carrier]:
    config = TwilioConfig(auth_token=Secret(SECRET))
    made: list[Carrier] = [
        Twilio(config),
        Reconnecting(config),
        Talkative(config),
        Unannounced(None),
        UnannouncedAgain(None),
    ]
    return {carrier.name: carrier for carrier in made}


def signed(url: str, form: Mapping[str, str] | None = None) -> dict[str, str]:
    return {SIGNATURE_HEADER: sign(SECRET, url, form)}


@dataclass
class Gate:
    """An admission on a clock and a capacity that the test sets."""

    now_s: float = 1000.0
    room: bool = True
    voice: bool = True
    spent: str = ""
    public_url: str = PUBLIC_URL
    max_strangers: int = 2
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = MemoryTokenStore(lambda: self.now_s)
        self.admission = Admission(
            carriers(),
            self.tokens,
            self.public_url,
            has_room=lambda: self.room,
            has_voice=lambda: self.voice,
            budget_spent=lambda: self.spent,
            max_strangers=self.max_strangers,
        )

    def ask(
        self,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] = FORM,
        name: str = "twilio",
        endpoint: Endpoint = "answer",
        rest: str = "",
    ) -> Webhook:
        """A request, signed unless it brings headers of its own."""
        url = self.admission.url_of(name, endpoint, rest)
        return Webhook(url=url, headers=signed(url, form) if headers is None else headers, form=form)

    def announced(self, **asked: Any) -> IncomingCall:
        call = self.admission.announced(asked.get("name", "twilio"), self.ask(**asked))
        assert call is not None
        return call

    async def token(self, name: str = "twilio") -> str:
        return await self.admission.issue_token(name, self.announced(name=name))

    async def start(
        self, token: str, name: str = "twilio", call_id: str = CALL, account_id: str = ACCOUNT
    ) -> Admitted:
        started = Started(call_id, "MZ1", account_id, parameters={"token": token} if token else {})
        return await self.admission.start(name, started, Upgrade(url="wss://b"))

    async def refused(self, token: str, **started: str) -> str:
        with pytest.raises(Refused) as caught:
            await self.start(token, **started)
        assert caught.value.close_code == 1008
        assert not token or token not in str(caught.value)
        return caught.value.reason


@pytest.fixture
def gate() -> Gate:
    return Gate()


def upgrade(name: str = "twilio") -> Upgrade:
    url = f"wss://bridge.example/voice/carriers/{name}/media"
    return Upgrade(url=url, headers=signed(url))


# -- the way in --------------------------------------------------------------------------------------------------


async def test_a_call_is_announced_invited_and_let_in(gate: Gate) -> None:
    call = gate.announced()
    token = token_in(await gate.admission.invite("twilio", call))
    with gate.admission.upgrade("twilio", upgrade()):
        assert gate.admission.strangers == 1
        assert await gate.start(token) == Admitted(call, resumed=False)
    assert gate.admission.strangers == 0
    assert (call.from_number, call.to_number) == ("+1555", "+1666")


def token_in(reply: Reply) -> str:
    parameter = Xml.fromstring(reply.body).find(".//Parameter[@name='token']")
    assert parameter is not None
    return parameter.attrib["value"]


async def test_every_answer_sends_the_carrier_to_the_public_url(gate: Gate) -> None:
    base = "bridge.example/voice/carriers/twilio"
    urls = StreamUrls(
        f"wss://{base}/media", f"https://{base}/status", f"https://{base}/ended", f"https://{base}/answer"
    )
    assert gate.admission.urls("twilio") == urls
    body = (await gate.admission.invite("twilio", gate.announced())).body
    assert all(url in body for url in (urls.media, urls.status, urls.ended))


# -- the webhook -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["answer", "status", "ended"])
@pytest.mark.parametrize("headers", [{}, {SIGNATURE_HEADER: ""}, {SIGNATURE_HEADER: "Zm9yZ2Vk"}])
def test_no_unsigned_request_is_believed(gate: Gate, endpoint: Endpoint, headers: dict[str, str]) -> None:
    webhook = gate.ask(headers, endpoint=endpoint)
    for check in (gate.admission.announced, gate.admission.verify):
        with pytest.raises(Refused) as caught:
            check("twilio", webhook)
        assert (caught.value.reason, caught.value.status) == ("signature", 403)
    assert len(gate.tokens) == 0


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
    gate = Gate(public_url=public_url)
    assert gate.announced(headers=signed(signed_url, FORM)).call_id == CALL


def test_what_the_request_says_of_its_host_changes_nothing(gate: Gate) -> None:
    forged = "https://evil.example/carriers/twilio/answer"
    claims = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    with pytest.raises(Refused):
        gate.announced(headers=claims | signed(forged, FORM))


def test_the_query_is_part_of_what_is_signed(gate: Gate) -> None:
    headers = signed(f"{PUBLIC_URL}/carriers/twilio/answer?menu=a%20b", FORM)
    assert gate.announced(headers=headers, rest="?menu=a%20b").call_id == CALL
    for rest in ("", "?menu=a b", "?menu=other"):
        with pytest.raises(Refused):
            gate.announced(headers=headers, rest=rest)


def test_a_signature_for_one_endpoint_opens_no_other(gate: Gate) -> None:
    headers = signed(f"{PUBLIC_URL}/carriers/twilio/status", FORM)
    gate.admission.verify("twilio", gate.ask(headers, endpoint="status"))
    others: list[Endpoint] = ["answer", "ended"]
    for endpoint in others:
        with pytest.raises(Refused):
            gate.admission.verify("twilio", gate.ask(headers, endpoint=endpoint))


def test_what_is_signed_may_still_be_no_call(gate: Gate) -> None:
    with pytest.raises(ProtocolError):
        gate.announced(form={})


@pytest.mark.parametrize(
    ("draining", "room", "voice", "spent", "reason"),
    [
        (True, True, True, "", "draining"),
        (False, False, True, "", "capacity"),
        (False, True, False, "", "voice"),
        (False, True, True, "tokens_per_day", "budget"),
    ],
)
def test_new_calls_are_turned_away_when_they_cannot_be_served(
    gate: Gate, draining: bool, room: bool, voice: bool, spent: str, reason: str
) -> None:
    gate.admission.draining, gate.room, gate.voice, gate.spent = draining, room, voice, spent
    with pytest.raises(Refused) as caught:
        gate.announced()
    assert (caught.value.reason, caught.value.status) == (reason, 503)
    with pytest.raises(Refused) as stranger:
        gate.announced(headers={})
    assert stranger.value.reason == "signature"  # and are told nothing of our state


async def test_a_call_that_no_webhook_announced_is_turned_away_when_a_days_limit_is_spent(gate: Gate) -> None:
    gate.spent = "seconds_per_day"
    with pytest.raises(Refused) as caught:
        await gate.start("", name="direct")
    assert (caught.value.reason, caught.value.close_code) == ("budget", 1013)
    gate.spent = ""
    assert not (await gate.start("", name="direct")).resumed


def test_what_is_about_a_call_that_is_on_passes_while_draining_and_full(gate: Gate) -> None:
    gate.admission.draining, gate.room = True, False
    gate.admission.verify("twilio", gate.ask(endpoint="ended"))
    form = {**FORM, "StreamEvent": "stream-stopped"}
    about = gate.ask(name="talkative", form=form)
    assert gate.admission.announced("talkative", about) is None, "told where calls are announced"


async def test_a_carrier_that_is_not_configured_does_not_exist(gate: Gate) -> None:
    for ask in (
        lambda: gate.admission.announced("nobody", gate.ask()),
        lambda: gate.admission.verify("nobody", gate.ask()),
        lambda: gate.admission.upgrade("nobody", upgrade()),
    ):
        with pytest.raises(Refused) as caught:
            ask()
        assert (caught.value.reason, caught.value.status) == ("carrier", 404)
    with pytest.raises(Refused):
        await gate.start("token", name="nobody")


# -- the upgrade -------------------------------------------------------------------------------------------------


def test_an_upgrade_needs_no_with_to_be_checked(gate: Gate) -> None:
    with pytest.raises(Refused):
        gate.admission.upgrade("twilio", Upgrade(url=upgrade().url))


def test_what_stands_behind_the_address_is_part_of_it(gate: Gate) -> None:
    base = "wss://bridge.example/voice/carriers/twilio/media"
    assert gate.admission.url_of("twilio", "media") == base
    assert gate.admission.url_of("twilio", "media", "/a-token?x=a%20b") == f"{base}/a-token?x=a%20b"


def test_upgrades_are_refused_while_draining(gate: Gate) -> None:
    gate.admission.draining = True
    with pytest.raises(Refused) as caught:
        gate.admission.upgrade("twilio", upgrade())
    assert (caught.value.reason, caught.value.status) == ("draining", 503)


def test_only_so_many_sockets_may_wait_for_their_start(gate: Gate) -> None:
    with gate.admission.upgrade("twilio", upgrade()), gate.admission.upgrade("twilio", upgrade()):
        with pytest.raises(Refused) as caught:
            gate.admission.upgrade("twilio", upgrade())
        assert (caught.value.reason, caught.value.status) == ("strangers", 503)
    with gate.admission.upgrade("twilio", upgrade()):
        assert gate.admission.strangers == 1


def test_a_socket_that_fails_is_a_stranger_no_more(gate: Gate) -> None:
    with pytest.raises(ZeroDivisionError), gate.admission.upgrade("twilio", upgrade()):
        raise ZeroDivisionError
    assert gate.admission.strangers == 0


# -- the start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "guess", "\ud800", "x" * 10_000])
async def test_nothing_starts_without_a_token(gate: Gate, token: str) -> None:
    await gate.token()
    assert await gate.refused(token) == "token"


async def test_a_token_works_once(gate: Gate) -> None:
    token = await gate.token()
    await gate.start(token)
    assert await gate.refused(token) == "token"


@pytest.mark.parametrize(("later_s", "good"), [(TOKEN_TTL_S - 1, True), (TOKEN_TTL_S, False)])
async def test_a_token_expires(gate: Gate, later_s: float, good: bool) -> None:
    token = await gate.token()
    gate.now_s += later_s
    if good:
        assert (await gate.start(token)).call.call_id == CALL
    else:
        assert await gate.refused(token) == "token"


async def test_a_token_is_of_one_call_and_a_thief_does_not_spend_it(gate: Gate) -> None:
    token = await gate.token()
    assert await gate.refused(token, call_id=OTHER_CALL) == "token"
    assert (await gate.start(token)).call.call_id == CALL


async def test_a_stream_of_another_account_is_refused(gate: Gate) -> None:
    assert await gate.refused(await gate.token(), account_id="AC" + "9" * 32) == "account"


@pytest.mark.parametrize("first", [0, 1])
async def test_a_retried_webhook_gets_an_answer_that_works_and_the_call_one_stream(
    gate: Gate, first: int
) -> None:
    tokens = [await gate.token(), await gate.token()]
    assert tokens[0] != tokens[1]
    await gate.start(tokens[first])
    assert await gate.refused(tokens[1 - first]) == "second_stream"


async def test_while_a_call_is_on_no_other_stream_of_it_is_let_in_and_then_one_is(gate: Gate) -> None:
    await gate.start(await gate.token())
    gate.now_s += 3 * 3600
    assert await gate.refused(await gate.token()) == "second_stream"
    await gate.admission.release("twilio", CALL)
    assert await gate.refused("") == "token", "but not without a token"
    assert not (await gate.start(await gate.token())).resumed
    assert await gate.refused(await gate.token()) == "second_stream"


async def test_what_was_never_let_in_cannot_be_released(gate: Gate) -> None:
    await gate.start(await gate.token())
    await gate.admission.release("again", CALL)
    await gate.admission.release("twilio", OTHER_CALL)
    assert await gate.refused(await gate.token()) == "second_stream"


async def test_a_call_that_no_longer_fits_is_refused_at_its_start(gate: Gate) -> None:
    token = await gate.token()
    gate.room = False
    with pytest.raises(Refused) as caught:
        await gate.start(token)
    assert (caught.value.reason, caught.value.close_code) == ("capacity", 1013)


async def test_a_call_admitted_before_a_drain_may_start_in_it(gate: Gate) -> None:
    token = await gate.token()
    gate.admission.draining = True
    assert (await gate.start(token)).call.call_id == CALL


async def test_the_store_never_sees_a_token() -> None:
    seen: list[str] = []

    class Watched(MemoryTokenStore):
        async def put(self, key: str, value: str, ttl_s: float) -> None:
            seen.extend([key, value])
            await super().put(key, value, ttl_s)

    admission = Admission(carriers(), Watched(), PUBLIC_URL)
    token = await admission.issue_token("twilio", IncomingCall(CALL, ACCOUNT, "", "", "inbound"))
    assert len(seen) == 2 and not any(token in text for text in seen)
    assert len(token) >= 22


# -- carriers that open a lost socket again ----------------------------------------------------------------------


async def test_the_same_token_goes_on_with_the_call_and_no_other_does(gate: Gate) -> None:
    token, other = await gate.token("again"), await gate.token("again")
    first = await gate.start(token, name="again")
    for _ in range(2):
        assert await gate.start(token, name="again") == Admitted(first.call, resumed=True)
    assert await gate.refused(other, name="again") == "second_stream"
    assert await gate.refused("guess", name="again") == "token"
    assert await gate.refused("", name="again") == "token"
    await gate.admission.release("again", CALL)
    assert await gate.refused(token, name="again") == "token", "the call is over, and the token was used"


async def test_in_a_drain_a_call_that_is_on_may_come_back_and_no_new_one_comes(gate: Gate) -> None:
    token = await gate.token("again")
    await gate.start(token, name="again")
    late = await gate.token("again")
    await gate.admission.release("twilio", CALL)
    gate.admission.draining, gate.room = True, False
    with gate.admission.upgrade("again", upgrade("again")):
        assert (await gate.start(token, name="again")).resumed
        assert await gate.refused(late, name="again") == "draining"


async def test_a_call_whose_socket_we_opened_ourselves_is_not_taken_over_by_who_shows_nothing(
    gate: Gate,
) -> None:
    await gate.admission.admit("again", gate.announced(name="again"))
    assert await gate.refused("", name="again") == "token"


# -- carriers without webhooks -----------------------------------------------------------------------------------

STARTED = Started("channel-1", "s", "", from_number="100", to_number="200")
RIGHT = Upgrade(url="wss://b", headers={"Authorization": "Basic right"})


async def test_a_carrier_without_webhooks_is_let_in_by_its_upgrade_alone(gate: Gate) -> None:
    with pytest.raises(Refused, match="signature"):
        gate.admission.upgrade("direct", Upgrade(url="wss://b"))
    with gate.admission.upgrade("direct", RIGHT):
        let_in = await gate.admission.start("direct", STARTED, RIGHT)
    assert let_in == Admitted(IncomingCall("channel-1", "", "100", "200", "inbound"), resumed=False)
    with pytest.raises(Refused) as second:
        await gate.admission.start("direct", STARTED, RIGHT)
    assert second.value.reason == "second_stream"
    gate.room = False
    with pytest.raises(Refused) as full:
        await gate.admission.start("direct", Started("channel-2", "s"), RIGHT)
    assert full.value.reason == "capacity"


async def test_one_that_opens_sockets_again_is_known_by_its_call(gate: Gate) -> None:
    first = await gate.admission.start("direct_again", STARTED, RIGHT)
    assert await gate.admission.start("direct_again", STARTED, RIGHT) == Admitted(first.call, resumed=True)
    other = await gate.admission.start("direct_again", Started("channel-2", "s"), RIGHT)
    assert not other.resumed


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
