"""What the emulated Lightning keeps for an account: voices, pronunciation dictionaries and cloned voices.

Strategy:

- `Dictionaries` and `Clones` are plain memory: values in, values or a `Refusal` out; the time is passed in.
  The handlers below them only read requests and write answers.
- Shapes and errors are lightning.md 7, and where that is silent, what the vendor's own package declares.
- Nothing is synthesised from a cloned voice: the engine speaks every id that looks like one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import BodyPartReader, web

from bridge.emulators.lightning_http import refusal_response
from bridge.emulators.lightning_refusals import Refusal, account_error, refused
from bridge.emulators.lightning_requests import LANGUAGES, json_object
from bridge.emulators.lightning_voices import VOICES

DICTIONARIES_PATH: Final = "/waves/v1/pronunciation-dicts"
CLONES_PATH: Final = "/waves/v1/voice-cloning"
MAX_CLONE_BYTES: Final = 5 << 20
MAX_DISPLAY_NAME_CHARS: Final = 500
CLONE_MODELS: Final = ("lightning-v3.1", "lightning-v3.1-pro")
#: mpeg, wav, webm and mp4, under all the names that clients give them.
_CLONE_TYPES: Final = frozenset(
    f"{kind}/{name}"
    for kind in ("audio", "video")
    for name in ("mpeg", "mp3", "wav", "x-wav", "wave", "vnd.wave", "webm", "mp4", "x-m4a", "m4a")
)
_ORGANIZATION_ID: Final = "5eed" * 6

Admit = Callable[[web.Request], web.Response | None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Dictionaries:
    """The pronunciation dictionaries of an account."""

    _items: dict[str, dict[str, object]] = field(default_factory=dict)
    _made: int = 0

    def all(self) -> list[dict[str, object]]:
        """Every dictionary, in the order they were made."""
        return list(self._items.values())

    def create(self, fields: Mapping[str, object], now: datetime) -> dict[str, object] | Refusal:
        """Make one out of ``{"items": [{"word", "pronunciation"}]}``."""
        if problems := _item_problems(fields.get("items")):
            return account_error(400, "Invalid request", problems)
        self._made += 1
        made = {"id": f"{self._made:024x}", "items": fields["items"], "createdAt": _wire_time(now)}
        self._items[f"{self._made:024x}"] = made
        return made

    def update(self, fields: Mapping[str, object]) -> dict[str, object] | Refusal:
        """Give the dictionary `id` other items."""
        found = self._items.get(str(fields.get("id")))
        if problems := _id_problems(fields) + _item_problems(fields.get("items")):
            return account_error(400, "Invalid request", problems)
        if found is None:
            return _NO_DICTIONARY
        found["items"] = fields["items"]
        return {"id": found["id"], "items": found["items"]}

    def delete(self, fields: Mapping[str, object]) -> dict[str, object] | Refusal:
        """Forget the dictionary `id`."""
        if problems := _id_problems(fields):
            return account_error(400, "Invalid request", problems)
        found = self._items.pop(str(fields["id"]), None)
        return {"id": found["id"], "deleted": True} if found else _NO_DICTIONARY


_NO_DICTIONARY: Final = account_error(404, "Pronunciation dictionary not found", ())


def _id_problems(fields: Mapping[str, object]) -> list[str]:
    dictionary_id = fields.get("id")
    return [] if isinstance(dictionary_id, str) and dictionary_id else ["id: Required"]


def _item_problems(items: object) -> list[str]:
    if not isinstance(items, list) or not items:
        return ["items: Expected a list of at least one {word, pronunciation}"]
    return [
        f"items.{index}.{name}: Expected a string that is not empty"
        for index, item in enumerate(items)
        for name in ("word", "pronunciation")
        if not (isinstance(item, dict) and isinstance(item.get(name), str) and item[name])
    ]


@dataclass(frozen=True, slots=True)
class Upload:
    """The file that a voice is cloned from."""

    name: str
    content_type: str
    size_bytes: int


@dataclass(slots=True)
class Clones:
    """The cloned voices of an account."""

    _made: list[dict[str, object]] = field(default_factory=list)

    def all(self) -> list[dict[str, object]]:
        """Every clone, as it is listed."""
        return list(self._made)

    def create(
        self, form: Mapping[str, str], upload: Upload | None, now: datetime
    ) -> dict[str, object] | Refusal:
        """Clone a voice; it is ready at once."""
        if problem := _form_problem(form) or _upload_problem(upload):
            return account_error(400, problem)
        assert upload is not None  # or there would be a problem
        number = f"{len(self._made) + 1:024x}"
        common = {
            "voiceId": f"voice_{number[-10:]}",
            "displayName": form["displayName"],
            "status": "completed",
            "language": form.get("language", "en"),
            "createdAt": _wire_time(now),
        }
        listed = {"_id": number, "description": form.get("description", ""), "accent": form.get("accent", "")}
        tags = [tag.strip() for tag in form.get("tags", "").split(",") if tag.strip()]
        model = form.get("model", CLONE_MODELS[0])
        self._made.append(common | listed | {"tags": tags, "cloningType": "instant", "modelIds": [model]})
        made = {"model": model, "audioFileNames": [upload.name], "organizationId": _ORGANIZATION_ID}
        return {"message": "Voice cloned successfully", "data": common | made | {"samples": []}}


def _form_problem(form: Mapping[str, str]) -> str | None:
    if not 1 <= len(form.get("displayName", "")) <= MAX_DISPLAY_NAME_CHARS:
        return f"displayName must have 1 to {MAX_DISPLAY_NAME_CHARS} characters"
    model = form.get("model", CLONE_MODELS[0])
    if model == "lightning-v2":
        return "Voice cloning for lightning-v2 is deprecated. Please use lightning-v3.1"
    if model not in CLONE_MODELS:
        return f"Invalid model. Expected {' | '.join(CLONE_MODELS)}"
    if form.get("language", "en") not in LANGUAGES[1:]:
        return "Unsupported language"
    return None


def _upload_problem(upload: Upload | None) -> str | None:
    if upload is None:
        return "file is required"
    if upload.content_type not in _CLONE_TYPES:
        return "Invalid file type. Only mpeg, wav, webm and mp4 are allowed"
    return "File too large. The maximum is 5 MB" if upload.size_bytes > MAX_CLONE_BYTES else None


def _wire_time(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- HTTP --------------------------------------------------------------------------------------------------------------


class AccountRoutes:
    """The handlers of one emulator's voices, dictionaries and clones."""

    def __init__(self, admit: Admit) -> None:
        """`admit` refuses a bad key, or gives None."""
        self._admit = admit
        self._dictionaries, self._clones = Dictionaries(), Clones()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve all of it."""
        router.add_get("/waves/v1/health", _health)
        routes: Sequence[tuple[str, str, Handler]] = (
            ("GET", "/waves/v1/{model}/get_voices", self._get_voices),
            ("GET", "/waves/v1/voice/get-all-models", self._get_all_models),
            ("GET", DICTIONARIES_PATH, self._list_dictionaries),
            ("POST", DICTIONARIES_PATH, self._create_dictionary),
            ("PUT", DICTIONARIES_PATH, self._update_dictionary),
            ("DELETE", DICTIONARIES_PATH, self._delete_dictionary),
            ("GET", CLONES_PATH, self._list_clones),
            ("POST", CLONES_PATH, self._create_clone),
            ("DELETE", CLONES_PATH, self._delete_clone),
            ("DELETE", CLONES_PATH + "/{id}", self._delete_clone),
        )
        for method, path, handler in routes:
            router.add_route(method, path, self._admitted(handler))

    def _admitted(self, handler: Handler) -> Handler:
        async def admitted(request: web.Request) -> web.StreamResponse:
            return self._admit(request) or await handler(request)

        return admitted

    async def _get_voices(self, request: web.Request) -> web.Response:
        voices = VOICES.get(request.match_info["model"])
        if voices is None:
            return refusal_response(account_error(400, "Invalid model"))
        return _answer({"voices": [voice.wire() for voice in voices]})

    async def _get_all_models(self, _request: web.Request) -> web.Response:
        every = {voice.voice_id: voice for pool in VOICES.values() for voice in pool}
        return _answer({"voices": [voice.catalogue_wire() for voice in every.values()]})

    async def _list_dictionaries(self, _request: web.Request) -> web.Response:
        return _answer(self._dictionaries.all())

    async def _create_dictionary(self, request: web.Request) -> web.Response:
        return _answer(self._dictionaries.create(await _fields(request), datetime.now(UTC)))

    async def _update_dictionary(self, request: web.Request) -> web.Response:
        return _answer(self._dictionaries.update(await _fields(request)))

    async def _delete_dictionary(self, request: web.Request) -> web.Response:
        return _answer(self._dictionaries.delete(await _fields(request)))

    async def _list_clones(self, _request: web.Request) -> web.Response:
        return _answer({"data": self._clones.all()})

    async def _create_clone(self, request: web.Request) -> web.Response:
        if request.content_type != "multipart/form-data":
            return refusal_response(account_error(400, "Expected multipart/form-data"))
        form, upload = await _multipart(request)
        return _answer(self._clones.create(form, upload, datetime.now(UTC)))

    async def _delete_clone(self, _request: web.Request) -> web.Response:
        gone = "Voice clones can no longer be deleted over the API"
        return refusal_response(refused(410, "ENDPOINT_DEPRECATED", gone))


async def _health(_request: web.Request) -> web.Response:
    connected = {"status": "connected"}
    return _answer({"status": "ok", "mongo": connected, "redis": connected, "rabbitmq": connected})


async def _fields(request: web.Request) -> Mapping[str, object]:
    """The JSON object in the body; what is none has no fields, and is refused for that."""
    return json_object(await request.read()) or {}


async def _multipart(request: web.Request) -> tuple[dict[str, str], Upload | None]:
    form: dict[str, str] = {}
    upload = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            continue
        if part.name == "file":
            content_type = part.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            upload = Upload(part.filename or "", content_type, await _size_of(part))
        else:
            form[part.name] = await part.text()
    return form, upload


async def _size_of(part: BodyPartReader) -> int:
    """How long `part` is. It is read to its end, and none of it is kept."""
    size_bytes = 0
    while chunk := await part.read_chunk():
        size_bytes += len(chunk)
    return size_bytes


def _answer(told: object) -> web.Response:
    if isinstance(told, Refusal):
        return refusal_response(told)
    return web.Response(body=msgspec.json.encode(told), content_type="application/json")
