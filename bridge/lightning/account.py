"""What an account has at Lightning, over REST: voices, pronunciation dictionaries, cloned voices.

Strategy:

- One request, one answer, each with a deadline and a bound. Nothing is asked again on its own: not all of it may be
  done twice.
- Nothing here costs a unit of concurrency, and nothing here is needed during a call.
- Clones cannot be deleted: Lightning has taken that out of its API (it answers 410). Its console can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from bridge.config import LightningConfig
from bridge.errors import CLOSED, TimedOut, Unavailable
from bridge.lightning.account_data import (
    Dictionary,
    Items,
    Sample,
    VoiceClone,
    VoiceInfo,
    check_name,
    check_text,
    clone_in,
    clones_in,
    dictionaries_in,
    dictionary_in,
    model_slug,
    voices_in,
    wire_items,
)
from bridge.lightning.faults import with_mend
from bridge.lightning.http_client import (
    FAILURES,
    fault_in,
    headers_of,
    open_session,
    read_up_to,
    told,
    url_of,
)

DICTIONARIES_PATH: Final = "/waves/v1/pronunciation-dicts"
CLONES_PATH: Final = "/waves/v1/voice-cloning"
CATALOGUE_PATH: Final = "/waves/v1/voice/get-all-models"
ANSWER_TIMEOUT_S: Final = 30.0
#: A clone is made while one waits.
CLONE_TIMEOUT_S: Final = 180.0
#: Some 217 voices are 100 KB.
MAX_ANSWER_BYTES: Final = 8 << 20


class Account:
    """An account at Lightning.

        async with Account(config) as account:
            voices = await account.voices()

    All of its methods raise `LightningError`: `InvalidRequest` when what is asked cannot be, `Unauthorized` when the
    key is wrong, `Busy`, `Unavailable` and `TimedOut` when it may be had later.

    Args:
        config: address, key, proxy, `connect_timeout_s`.
        answer_timeout_s: how long an answer may take, all of it.
    """

    def __init__(self, config: LightningConfig, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._config, self._answer_timeout_s = config, answer_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Account:
        self._session = open_session(self._config)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def voices(self, model: str = "") -> list[VoiceInfo]:
        """The voices of `model`, by default the configuration's, in either of its spellings."""
        slug = model_slug(model or self._config.model)
        return voices_in(await self._json("GET", f"/waves/v1/{slug}/get_voices"))

    async def all_voices(self) -> list[VoiceInfo]:
        """The voices of all models, with a description and a preview. Which model has which is not said."""
        return voices_in(await self._json("GET", CATALOGUE_PATH))

    async def dictionaries(self) -> list[Dictionary]:
        """The pronunciation dictionaries."""
        return dictionaries_in(await self._json("GET", DICTIONARIES_PATH))

    async def create_dictionary(self, items: Items) -> Dictionary:
        """Make a dictionary. Its `id` is what `pronunciation_dicts` of a request want."""
        listed = wire_items(items)
        made = dictionary_in(await self._json("POST", DICTIONARIES_PATH, {"items": listed}))
        return msgspec.structs.replace(made, items=made.items or dict(items))

    async def update_dictionary(self, dictionary_id: str, items: Items) -> Dictionary:
        """Replace all words of a dictionary by `items`."""
        check_text("id", dictionary_id)
        fields = {"id": dictionary_id, "items": wire_items(items)}
        changed = dictionary_in(await self._json("PUT", DICTIONARIES_PATH, fields), dictionary_id)
        return msgspec.structs.replace(changed, items=changed.items or dict(items))

    async def delete_dictionary(self, dictionary_id: str) -> None:
        """Delete a dictionary."""
        check_text("id", dictionary_id)
        answer = await self._json("DELETE", DICTIONARIES_PATH, {"id": dictionary_id})
        if isinstance(answer, dict) and answer.get("deleted") is False:
            raise Unavailable("the dictionary was not deleted", code="not_deleted")

    async def clone(
        self,
        name: str,
        sample: Sample,
        *,
        model: str = "",
        language: str = "",
        description: str = "",
        accent: str = "",
        tags: Sequence[str] = (),
    ) -> VoiceClone:
        """Clone the voice in `sample` (see `account_data.sample_of`). What is left empty is left to Lightning.

        Args:
            name: 1 to 500 characters.
            language: a code, of what is spoken in the sample; leaving it out costs quality.
        """
        check_name(name)
        form = aiohttp.FormData()
        given = {
            "displayName": name,
            "model": model_slug(model),
            "language": language,
            "description": description,
            "accent": accent,
            "tags": ",".join(tags),
        }
        for field, value in given.items():
            check_text(field, value)
            if value:
                form.add_field(field, value)
        form.add_field("file", sample.audio, filename=sample.file_name, content_type=sample.content_type)
        return clone_in(await self._json("POST", CLONES_PATH, form=form, timeout_s=CLONE_TIMEOUT_S))

    async def clones(self) -> list[VoiceClone]:
        """The cloned voices."""
        return clones_in(await self._json("GET", CLONES_PATH))

    # -- one request -----------------------------------------------------------------------------------

    async def _json(
        self,
        method: str,
        path: str,
        fields: object = None,
        *,
        form: aiohttp.FormData | None = None,
        timeout_s: float | None = None,
    ) -> object:
        """The answer, decoded."""
        limit_s = timeout_s or self._answer_timeout_s
        try:
            async with asyncio.timeout(limit_s) as deadline:
                return await self._ask(method, path, fields, form)
        except FAILURES as failure:
            late = isinstance(failure, TimeoutError) and deadline.expired()
            error = told(failure, self._config)
        raise TimedOut(f"no answer within {limit_s:g} s", code="answer_timeout") if late else error

    async def _ask(self, method: str, path: str, fields: object, form: aiohttp.FormData | None) -> object:
        """Raises: one of `FAILURES`, or LightningError."""
        if self._session is None:
            raise Unavailable("the account is not opened: use it in `async with`", code=CLOSED)
        headers = headers_of(self._config, Accept="application/json")
        body: aiohttp.FormData | bytes | None = form
        if fields is not None:
            body, headers["Content-Type"] = msgspec.json.encode(fields), "application/json"
        url = url_of(self._config, path)
        async with self._session.request(
            method, url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            if not 200 <= answer.status < 300:
                fault = with_mend(await fault_in(answer), path)
                raise fault.as_error(secret=self._config.api_key.reveal())
            raw = await read_up_to(answer, MAX_ANSWER_BYTES + 1)
        return _decoded(raw)


def _decoded(raw: bytes) -> object:
    if len(raw) > MAX_ANSWER_BYTES:
        raise Unavailable(f"answered with more than {MAX_ANSWER_BYTES >> 20} MB", code="protocol")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        reason = "answered with something that is no JSON: is lightning.base_url right?"
        raise Unavailable(reason, code="protocol") from None
