"""Who makes the requests of a plan: the only I/O towards the carriers' REST APIs.

Strategy:

- One session a process, opened when it is first needed. Redirects are not followed: they would carry the credentials
  along.
- A request that got no answer is made once more only if making it twice is harmless (GET): a call is not placed twice.
- The answer is bounded in size and in time; what is wrong with it is a CarrierError, without secrets.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from bridge.carriers.rest import Plan, RestAnswer, RestRequest
from bridge.errors import CarrierError

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

REST_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 1024 * 1024


class RestClient:
    """Makes the requests of plans. Close it when done.

    Args:
        timeout_s: for one request, from connecting to the end of the answer.
    """

    def __init__(self, timeout_s: float = REST_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def carry_out(self, plan: Plan[T]) -> T:
        """Go through `plan` to its end, and return what it returns.

        Raises:
            CarrierError: a request got no answer, or not the one that was wanted.
        """
        try:
            request = next(plan)
            while True:
                request = plan.send(await self.answer_to(request))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            plan.close()

    async def answer_to(self, request: RestRequest) -> RestAnswer:
        """The answer to one request.

        Raises:
            CarrierError: there was none.
        """
        tries = 2 if request.method == "GET" else 1
        for left in reversed(range(tries)):
            try:
                return await self._ask(request)
            except CarrierError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, request: RestRequest) -> RestAnswer:
        import aiohttp

        session = self._open()
        request = request.signed(time.time())
        try:
            async with session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            ) as response:
                return RestAnswer(response.status, await _body_of(response), dict(response.headers))
        except TimeoutError:
            raise _no_answer(request, f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_answer(request, f"{type(error).__name__} at {request.url.partition('?')[0]}") from None

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    """All of the body, or the first `MAX_ANSWER_BYTES` of it. One read returns what has arrived, which may be less."""
    body = bytearray()
    while len(body) < MAX_ANSWER_BYTES and (
        more := await response.content.read(MAX_ANSWER_BYTES - len(body))
    ):
        body += more
    return bytes(body)


def _no_answer(request: RestRequest, why: str) -> CarrierError:
    return CarrierError(f"cannot {request.purpose}: {why}", carrier=request.carrier)
