"""Twilio's REST API with telephones behind it: whom it is asked to call answers, and says what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from urllib.parse import parse_qsl

from bridge.carriers.rest import RestAnswer, RestRequest
from bridge.carriers.twilio import TwilioConfig
from bridge.emulators.call_report import CallReport
from bridge.emulators.caller import place_call
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_script import Action
from bridge.emulators.carriers.twilio_rest import TwilioRest
from tests.support.cli import PATIENCE_S


class CallingTwilio(TwilioRest):
    """One account. `callee` is what whoever is called does; None: nobody answers."""

    def __init__(
        self,
        section: TwilioConfig,
        numbers: Mapping[str, str] | None = None,
        *,
        callee: Sequence[Action] | None = (),
    ) -> None:
        super().__init__(section, numbers)
        self.callee = callee
        self._reports: SimpleQueue[CallReport] = SimpleQueue()
        self._calls: set[asyncio.Task[CallReport]] = set()

    def judge(self, request: RestRequest) -> RestAnswer:
        answer = super().judge(request)
        if answer.status == 201 and self.callee is not None:
            form = dict(parse_qsl(request.body.decode("ascii")))
            plan = CallPlan(
                answer_url=form["Url"],
                section=self.section,
                actions=self.callee,
                from_number=form["From"],
                to_number=form["To"],
                call_sid=answer.json()["sid"],
            )
            call = asyncio.get_running_loop().create_task(place_call(plan))
            self._calls.add(call)
            call.add_done_callback(lambda call: self._reports.put(call.result()))
        return answer

    def next_report(self) -> CallReport:
        """How the next call was, once it is over; for other threads."""
        return self._reports.get(timeout=PATIENCE_S)
