"""Requests of a charger, its CALLs: each is decoded, looked up, decided, and its events committed with its answer.

Guards. A decision may rest on facts of other charge points (an idTag that is in use nowhere else). The store checks
these again in the transaction; where one no longer holds, nothing is written, and the message is decided anew. Only
then does the reader wait for its own commit.

A failure of a handler is answered with CALLERROR, except for messages that a charger queues until they are confirmed:
those are not answered at all, since an error could make the charger drop them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
import trio

from gateway.domain.decision import CallRefused, Context, Facts, Query, Request, StartQuery, VendorDataQuery
from gateway.domain.reservations import overdue
from gateway.domain.values import Registration, new_id
from gateway.domain.vendor_data import REJECTED
from gateway.errors import StoreUnavailable
from gateway.ocpp import rpc
from gateway.session.answers import Answers, Pending, nothing
from gateway.session.commands.calls import CallQueue
from gateway.session.commands.provisioning import Provisioning
from gateway.session.context import CLOSE_INTERNAL, SessionContext, SessionOver
from gateway.session.fault_log import FaultLog
from gateway.session.lookups import Lookups
from gateway.session.readiness import Readiness
from gateway.session.task_group import TaskGroup
from gateway.session.turns import cost_of_faults
from gateway.transport.api import ConnectionClosed

log = structlog.get_logger()

MAX_DECISIONS = 4
"""How often one message is decided anew because others changed what it rests on. The last decision is made without
the contested fact, so a charger always gets its answer."""

NO_FACTS = Facts()

MAX_ASIDE = 4
"""Vendors' data of one charger that wait for a service at once; further ones are answered Rejected. A charger has one
CALL under way (J §4.1.1): more mean that it gave up waiting, or never does."""

UNKNOWN: Final = "unknown"
"""In the place of an action that the protocol does not know: a charger chooses its text."""


class RequestHandler:
    """The requests of one session, one at a time, in the order in which they came."""

    __slots__ = (
        "_answers",
        "_aside",
        "_aside_answered",
        "_calls",
        "_context",
        "_fault_log",
        "_lookups",
        "_provisioning",
        "_readiness",
        "_tasks",
    )

    def __init__(
        self,
        context: SessionContext,
        *,
        tasks: TaskGroup,
        lookups: Lookups,
        readiness: Readiness,
        answers: Answers,
        calls: CallQueue,
        provisioning: Provisioning,
        fault_log: FaultLog,
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._lookups = lookups
        self._readiness = readiness
        self._answers = answers
        self._calls = calls
        self._provisioning = provisioning
        self._fault_log = fault_log
        self._aside = 0
        self._aside_answered: trio.Event | None = None

    async def handle(self, call: rpc.Call | rpc.Unread) -> None:
        """Decide a CALL and see to its answer, which goes out when this returns or some time later
        (``Answers.under_way``). Raises ConnectionClosed and SessionOver."""
        context = self._context
        boots = context.protocol.allowed_before_acceptance(call.action)
        if not boots and not context.state.accepted and call.action not in self._calls.solicited:
            context.observer.count("calls_before_acceptance")
            code = context.protocol.errors.not_accepted
            refusal = rpc.encode_call_error(call.message_id, code, "the charge point is not accepted")
            self._answers.send(Pending(refusal, nothing))
            return
        if boots:
            self._readiness.hold()
        then = self._boot_answered if boots else self._readiness.message_handled
        if isinstance(call, rpc.Call):
            request = context.protocol.decode_call(call.message_id, call.action, call.payload)
        else:
            context.observer.count("unread_messages", call.action)
            request = context.protocol.decode_unread(call.message_id, call.action, call.data)
        if request.faults:
            context.transport.charge(cost_of_faults(request.faults))
        if isinstance(request, CallRefused):
            context.observer.count("calls_refused", f"{request.code} {request.action or UNKNOWN}")
            refusal = rpc.encode_call_error(request.message_id, request.code, request.description)
            self._answers.send(Pending(refusal, then))
            return
        began = context.observer.now()
        connector = context.protocol.reported_status_of(request)
        if connector is not None:
            self._provisioning.reported.add(connector)
        try:
            pending = await self._decide(request, then, began)
        except SessionOver:
            raise
        except Exception:
            pending = Pending(self._handler_failed(request), then, request.action, began)
        finally:
            if request.deviations:
                # After the decision, so that a boot which deviates counts for the make that it names.
                context.observer.deviated(context.identity, context.state.boot, request.deviations)
        if pending is not None:
            self._answers.send(pending)

    async def wait_for_services(self) -> None:
        """Wait until no request waits for a service outside of the gateway."""
        while self._aside:
            if self._aside_answered is None:
                self._aside_answered = trio.Event()
            await self._aside_answered.wait()

    async def _decide(self, request: Request[Any], then: Callable[[], None], began: float) -> Pending | None:
        """Decide a request, taken up at ``began``. Return its answer if that is to be sent now; ``then`` follows it.

        None: it goes out without the reader. The journal sends it (``Answers.committed``), to which it was handed over
        with its events; or a task does that asks a service outside of the gateway. The commit is waited for only where
        it may come back (guards), or where ``deviations`` are to be counted after it.
        """
        context, answers = self._context, self._answers
        for attempt in range(MAX_DECISIONS):
            query = context.protocol.query(context.state, request)
            facts = NO_FACTS if query is None else await self._look_up(request, query, began)
            if facts is None:
                return None
            limits, now = context.limits, context.clock()
            transaction_id = new_id("tx") if isinstance(query, StartQuery) else ""
            decision_context = Context(now, limits.heartbeat_interval, limits.retry_interval, transaction_id)
            if answers.under_way is not None:
                await answers.wait()  # a change that time brought about is being committed
            decision = context.protocol.decide(context.state, request, facts, decision_context)
            # No timer ends a reservation: the reader does, with what the charger says next, and no other task.
            events = decision.events
            if context.state.reservations and context.clock_is_even():
                events = (*events, *overdue(context.state, now, events))
            events = (*events, *context.state.charging.changes(events))
            pending = Pending(rpc.encode_call_result(request.message_id, decision.reply), then, request.action, began)
            if not events:
                return pending
            guards = decision.guards if attempt < MAX_DECISIONS - 1 else ()
            # Set before it is handed over: nothing else that the charger says is handled until it is answered.
            answers.under_way = pending
            context.submit(events, partial(answers.committed, pending), guards)
            if guards or request.deviations:
                await answers.wait()
            if not pending.guard_failed:
                return None
        raise AssertionError("a commit without guards can't fail on one")

    def _handler_failed(self, request: Request[Any]) -> bytes:
        """Log the exception that is being handled; the CALLERROR that answers the request. Raises it again for a
        message that must not be answered so: a charger keeps it until it is confirmed, and might give it up."""
        context = self._context
        if context.protocol.is_transaction_message(request.action):
            raise  # noqa: PLE0704 - called while it is handled
        unwritten = self._fault_log.take(context.identity)
        if unwritten is not None:
            log.exception(
                "handler failed", charge_point=context.identity, action=request.action, unlogged_before=unwritten
            )
        context.observer.count("handler_failures", request.action)
        code = context.protocol.errors.failed
        return rpc.encode_call_error(request.message_id, code, "the gateway failed on this message")

    def _boot_answered(self) -> None:
        # The answer that this connection got, not what holds by now: the operator may have decided anew meanwhile.
        answer = self._context.state.boot_answer
        context = self._context
        context.follow_make()
        if context.on_boot is not None:
            context.on_boot()
        self._readiness.pace(context.limits.settle_delay, context.limits.ready_after_silence)
        self._readiness.boot_answered(answer)
        if answer is Registration.ACCEPTED:
            self._provisioning.start()

    # --- what a decision needs --------------------------------------------------------------------------------

    async def _look_up(self, request: Request[Any], query: Query, began: float) -> Facts | None:
        """Return what the decision needs; None: a task of its own decides, since it takes a service outside of the
        gateway."""
        context = self._context
        if isinstance(query, VendorDataQuery):
            facts = self._lookups.at_once(query)
            if facts is not None:
                return facts
            if self._aside >= MAX_ASIDE:
                return Facts(vendor_answer=REJECTED)
            self._aside += 1
            self._tasks.start(self._answer_aside, request, query, began)
            return None
        try:
            return await self._lookups.fetch(context.identity, query)
        except StoreUnavailable as error:
            context.end("store-unavailable", code=CLOSE_INTERNAL)
            raise SessionOver("store-unavailable") from error

    async def _answer_aside(self, request: Request[Any], query: VendorDataQuery, began: float) -> None:
        """Answer as a service says, when it does; the reader goes on meanwhile. A task: it waits for its own commit."""
        context = self._context
        received = context.clock()
        try:
            facts = await self._lookups.fetch(context.identity, query)
            try:
                decision_context = Context(
                    received, context.limits.heartbeat_interval, context.limits.retry_interval, ""
                )
                decision = context.protocol.decide(context.state, request, facts, decision_context)
                if decision.events:
                    await context.commit(decision.events)
                answer = rpc.encode_call_result(request.message_id, decision.reply)
            except SessionOver:
                raise
            except Exception:
                answer = self._handler_failed(request)
            try:
                await context.send(answer)
                context.observer.answered(request.action, began, context.latencies)
            except ConnectionClosed as closed:
                if not context.handing_over:
                    raise
                context.connection_closed(closed)
        finally:
            self._aside -= 1
            if self._aside_answered is not None:
                self._aside_answered.set()
                self._aside_answered = None
        self._readiness.message_handled()
