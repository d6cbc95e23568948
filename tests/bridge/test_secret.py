"""Secrets: they show themselves when asked, and only then."""

from __future__ import annotations

import copy
import logging
import pickle

import msgspec
import pytest

from bridge.secret import Secret, Veiled

HIDDEN = "sk-do-not-show-me"


def test_a_secret_shows_itself_when_asked_and_only_then(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(HIDDEN)
    logging.getLogger("test").warning("%s %r %s", secret, secret, {"key": secret})
    shown = (str(secret), repr(secret), f"{secret}", "%s" % secret, f"{[secret]!r}", caplog.text)  # noqa: UP031
    assert not [text for text in shown if HIDDEN in text]
    assert str(secret) == "***"
    assert secret.reveal() == HIDDEN


def test_an_empty_secret_says_that_it_is_empty() -> None:
    assert (str(Secret()), repr(Secret()), bool(Secret())) == ("", "Secret('')", False)


def test_secrets_compare() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"


def test_secrets_are_not_serialised_by_accident() -> None:
    holder = {"key": Secret(HIDDEN)}
    for serialise in (pickle.dumps, msgspec.json.encode, msgspec.to_builtins):
        with pytest.raises(TypeError) as caught:
            serialise(holder)
        assert HIDDEN not in str(caught.value)


def test_a_copy_keeps_it() -> None:
    assert copy.deepcopy([Secret(HIDDEN)]) == [copy.copy(Secret(HIDDEN))] == [Secret(HIDDEN)]


def test_a_veiled_table_prints_its_keys_alone() -> None:
    table = Veiled(api_key="canary", model="m")
    assert table == {"api_key": "canary", "model": "m"}
    for shown in (repr(table), str(table), f"{table}", repr([table])):
        assert "canary" not in shown
        assert "api_key" in shown
