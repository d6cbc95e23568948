"""The gate, over the registry: a carrier that believes anybody, or whose words and wire disagree, fails here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from bridge.carriers.carrier import Carrier, Ended, Ending, How, Marks, Upgrade, Webhook
from bridge.carriers.registry import carrier_types, carriers_from, configured
from bridge.config import CarriersConfig, load_config
from bridge.errors import Refused, Unsupported
from bridge.secret import Secret
from tests.support.carrier_cases import Cases, all_cases, urls_of
from tests.support.source import ROOT

TABLES = all_cases()
every_carrier = pytest.mark.parametrize("cases", TABLES.values(), ids=TABLES.keys())
with_webhook = pytest.mark.parametrize(
    "cases", [c for c in TABLES.values() if c.webhook is not None], ids=lambda c: c.name
)


def webhook_of(cases: Cases) -> Webhook:
    assert cases.webhook is not None
    return cases.webhook


def without_secrets(cases: Cases) -> Carrier:
    """The carrier, with all of its secrets taken away."""
    secrets = {
        name: Secret()
        for name, value in msgspec.structs.asdict(cases.section).items()
        if isinstance(value, Secret)
    }
    bare = msgspec.structs.replace(cases.section, **secrets)
    return carrier_types()[cases.name](bare)


# -- what is there -----------------------------------------------------------------------------------------------------


def test_every_carrier_of_the_registry_is_in_the_configuration_and_has_a_table() -> None:
    names = sorted(carrier_types())
    assert names == sorted(TABLES)
    assert names == sorted(field.name for field in msgspec.structs.fields(CarriersConfig))
    assert carriers_from(load_config(environ={}).carriers) == {}


@every_carrier
def test_a_carrier_is_served_once_its_secrets_are_there(cases: Cases) -> None:
    sections = CarriersConfig(**{cases.name: cases.section})
    assert list(carriers_from(sections)) == [cases.name]
    assert cases.carrier().name == cases.name == cases.fresh().carrier
    assert cases.carrier().title


@every_carrier
def test_a_carrier_without_a_secret_is_not_served(cases: Cases) -> None:
    """No secret configured: its routes do not exist, and what is missing is told by key and reason."""
    sections = CarriersConfig(**{cases.name: type(cases.section)()})
    assert carriers_from(sections) == {}
    missing = configured(sections)[cases.name].missing()
    fields = {field.name for field in msgspec.structs.fields(type(cases.section))}
    assert missing and {key for key, _ in missing} <= fields
    assert all(why for _, why in missing)


@every_carrier
def test_no_secret_shows_in_a_repr(cases: Cases) -> None:
    revealed = [
        value.reveal()
        for value in msgspec.structs.asdict(cases.section).values()
        if isinstance(value, Secret) and value
    ]
    shown = f"{cases.section!r} {cases.carrier()!r} {cases.upgrade!r} {cases.webhook!r} {cases.starts[cases.start]!r}"
    assert not [secret for secret in revealed if secret in shown]


@every_carrier
def test_every_carrier_has_its_page(cases: Cases) -> None:
    page = (ROOT / "docs" / "carriers" / f"{cases.name}.md").read_text("utf-8")
    assert page.startswith("# ")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == [
        "## From zero to the first call",
        "## What it can do",
        "## Settings",
        "## When it goes wrong",
        "## What we are not sure of",
    ]
    settings = {field.name for field in msgspec.structs.fields(type(cases.section))}
    assert not [name for name in settings if f"`{name}`" not in page], (
        "a setting that its page does not explain"
    )


# -- the gate ----------------------------------------------------------------------------------------------------------


@with_webhook
def test_a_signed_webhook_is_believed_and_tells_its_call(cases: Cases) -> None:
    carrier, webhook = cases.carrier(), webhook_of(cases)
    carrier.verify_webhook(webhook)
    assert webhook.method in carrier.webhook_methods
    assert carrier.incoming(webhook) == cases.call


@with_webhook
def test_no_carrier_believes_an_unsigned_webhook(cases: Cases) -> None:
    with pytest.raises(Refused) as caught:
        cases.carrier().verify_webhook(replace(webhook_of(cases), headers={}, remote="203.0.113.9"))
    assert (caught.value.reason, caught.value.status) == ("signature", 403)


# A password is the others' proof, and says nothing of the body.
@pytest.mark.parametrize(
    "cases", [c for c in TABLES.values() if c.webhook is not None and c.signs_body], ids=lambda c: c.name
)
def test_no_carrier_believes_a_webhook_that_was_changed_on_its_way(cases: Cases) -> None:
    webhook = webhook_of(cases)
    changes = [
        replace(webhook, form={**webhook.form, "Extra": "1"}, body=webhook.body + b" "),
        replace(
            webhook,
            url=webhook.url + ("&" if "?" in webhook.url else "?") + "extra=1",
            body=webhook.body + b" ",
        ),
    ]
    for changed in changes:
        with pytest.raises(Refused):
            cases.carrier().verify_webhook(changed)


@with_webhook
@pytest.mark.parametrize(
    "junk", ["", " ", "x", "=", ",", "Zm9yZ2Vk", "\x00", "\ud800", "a.b.c", "Basic !", "Bearer ", "9" * 5000]
)
def test_no_header_makes_it_stumble(cases: Cases, junk: str) -> None:
    """Whatever stands in the headers that prove who is asking, it is refused, and nothing else is raised."""
    webhook = webhook_of(cases)
    proof = [name for name in webhook.headers if name.lower() not in ("content-type", "user-agent")]
    for name in proof:
        headers = {**webhook.headers, name: junk}
        try:
            cases.carrier().verify_webhook(replace(webhook, headers=headers))
        except Refused:
            continue
        assert len(proof) > 1, f"{name} means nothing"


@every_carrier
def test_nobody_is_believed_without_a_secret(cases: Cases) -> None:
    carrier = without_secrets(cases)
    if cases.webhook is not None:
        with pytest.raises(Refused):
            carrier.verify_webhook(cases.webhook)
    if not carrier.needs_token and carrier.missing():
        with pytest.raises(Refused):
            carrier.verify_upgrade(cases.upgrade)


@every_carrier
def test_an_upgrade_in_good_order_is_let_in(cases: Cases) -> None:
    cases.carrier().verify_upgrade(cases.upgrade)


@every_carrier
def test_a_forged_upgrade_is_refused(cases: Cases) -> None:
    for forged in cases.forged:
        with pytest.raises(Refused) as caught:
            cases.carrier().verify_upgrade(forged)
        assert caught.value.status in (401, 403)


@every_carrier
def test_a_stranger_gets_no_further_than_a_token(cases: Cases) -> None:
    """An upgrade without any proof is refused, or else a token must come with the stream."""
    carrier = cases.carrier()
    stranger = Upgrade(url=cases.upgrade.url, remote="203.0.113.9", now_s=cases.upgrade.now_s)
    try:
        carrier.verify_upgrade(stranger)
    except Refused:
        return
    assert carrier.needs_token
    bare = replace(cases.starts[cases.start], parameters={})
    assert carrier.token_of(bare, stranger) == ""


@with_webhook
def test_the_token_of_the_answer_is_in_the_answer_and_in_no_repr(cases: Cases) -> None:
    carrier = cases.carrier()
    reply = carrier.answer(cases.call, urls_of(cases.name), "tok-3n-of-one-call")
    if carrier.needs_token and reply.then is None:
        assert "tok-3n-of-one-call" in reply.body
    assert "tok-3n" not in repr(reply)


@with_webhook
@pytest.mark.parametrize(
    "name", ["</Say>", '"}]', "<Hangup/>", "a\x00b", "\ud800", "x" * 5000, "&amp;", "}{\\", "\n\r"]
)
def test_what_a_caller_is_named_cannot_become_an_instruction(cases: Cases, name: str) -> None:
    """The answer has the same shape whatever the caller is called, and can be encoded."""
    carrier, urls = cases.carrier(), urls_of(cases.name)
    plain = carrier.answer(cases.call, urls, "t")
    odd = carrier.answer(replace(cases.call, from_number=name, to_number=name), urls, "t")
    odd.body.encode("utf-8")
    assert odd.body.count("<Hangup") == plain.body.count("<Hangup")
    assert odd.content_type == plain.content_type
    for ending in (Ended(), Ended(Ending.LOST), Ended(Ending.TRANSFERRED, name)):
        webhook = replace(webhook_of(cases), url=urls.ended)
        carrier.ended(webhook, ending).body.encode("utf-8")


# -- words and wire agree ----------------------------------------------------------------------------------------------


@every_carrier
def test_the_capabilities_are_what_the_dialect_does(cases: Cases) -> None:
    said, dialect = cases.carrier().capabilities, cases.streaming()
    delivery = dialect.delivery
    assert delivery.marks is (said.marks is not Marks.NONE)
    assert delivery.clear is said.clear
    assert delivery.message_ms == said.packet_ms
    assert delivery.message_ms % 20 == 0
    assert dialect.outbound_format == said.formats[0]
    assert len(cases.payload) == dialect.outbound_format.bytes_in(delivery.message_ms)
    assert ("clear" in cases.says) is said.clear
    assert ("mark" in cases.says) is (said.marks is not Marks.NONE)
    assert ("send_digits" in cases.says) is (said.send_digits is How.MESSAGE)
    assert said.signed
    assert bool(said.token) is cases.carrier().needs_token


@every_carrier
def test_what_a_carrier_cannot_do_is_said(cases: Cases) -> None:
    carrier, urls = cases.carrier(), urls_of(cases.name)
    said = carrier.capabilities
    unable: dict[str, tuple[How, Callable[[], Any]]] = {
        "transfer": (said.transfer, lambda: carrier.transfer(cases.call, "+15550003333", urls)),
        "send_digits": (said.send_digits, lambda: carrier.send_digits(cases.call, "1")),
        "place_call": (said.place_calls, lambda: carrier.place_call("+15550003333", "+15550002222", urls)),
    }
    for how, ask in unable.values():
        if how is How.NO:
            with pytest.raises(Unsupported) as caught:
                next(ask())
            assert caught.value.carrier == cases.name


@every_carrier
def test_the_settings_name_our_addresses(cases: Cases) -> None:
    settings = cases.carrier().settings("+15550002222", urls_of(cases.name))
    assert settings
    assert any("bridge.example" in setting.value for setting in settings)
