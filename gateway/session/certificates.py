"""Delivery of a new certificate to the charger that asked for it (WP A02; B11.1, B11.3).

The certificate is a command like any other: recorded before it is sent, under a request id made of the request's own
and the number of the try. So a restart, or a charger that comes back, goes on where it was left, and an answer that
came in between is found. What an answer means for the request is recorded with it
(``gateway.domain.command_states.consequences``), a late one too.
"""

from datetime import timedelta
from typing import Final

import trio

from gateway.domain.codec import fingerprint
from gateway.domain.commands import RefusalReason, Refused
from gateway.domain.decision import SigningOpen
from gateway.domain.events import CertificateSigningEnded, NewEvent
from gateway.domain.security_commands import CertificateSigned
from gateway.domain.signing import SigningEnd, SigningRecord
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import SessionContext
from gateway.session.task_group import TaskGroup

MAX_TRIES: Final = 3
"""Of which no answer came: a charger that has taken the certificate with none of them does not answer, and may have
it; its next connection shows that."""

TRY_SECONDS: Final = 120.0
"""For one try: its turn behind other commands, and the charger's answer; it verifies a chain on a small processor."""

PAUSE_SECONDS: Final = 30.0
"""Until the next try. Most chargers that gave no answer are busy, or reboot."""

ANSWER_SECONDS: Final = 1.0
"""After its deadline a try is settled by commits."""


class CertificateDelivery:
    """One session's. ``wake`` may be called by any task of the loop."""

    __slots__ = ("_commands", "_context", "_runs", "_tasks")

    def __init__(self, context: SessionContext, tasks: TaskGroup, commands: CommandQueue) -> None:
        self._context = context
        self._tasks = tasks
        self._commands = commands
        self._runs = False

    def wake(self) -> None:
        """Send the certificate, if there is one to be sent."""
        if not self._runs and self._issued() is not None:
            self._runs = True
            self._tasks.start(self._run)

    def _issued(self) -> SigningRecord | None:
        signing = self._context.state.signing
        return signing if signing is not None and signing.chain else None

    async def _run(self) -> None:
        try:
            while (signing := self._issued()) is not None:
                await self._deliver(signing)
        finally:
            self._runs = False

    async def _deliver(self, signing: SigningRecord) -> None:
        """Try until it is over: by an answer, by its time, or because there were enough tries."""
        context, command, number = self._context, CertificateSigned(signing.chain), 1
        while number <= MAX_TRIES:
            left = signing.expires_at - context.clock()
            if left <= timedelta(0):
                await trio.sleep(PAUSE_SECONDS)  # its end is being recorded
                if self._is_over(signing):
                    return
                continue
            deadline = trio.current_time() + min(TRY_SECONDS, left.total_seconds())
            outcome = await self._commands.submit(
                command,
                request_id=f"{signing.signing_id}.{number}",
                fingerprint=fingerprint(context.reads.store_id, command),
                deadline=deadline,
                answer_by=deadline + ANSWER_SECONDS,
            )
            if self._is_over(signing):
                return
            if isinstance(outcome, Refused):
                if outcome.reason is RefusalReason.INVALID_COMMAND:
                    await self._undelivered(signing, "; ".join(each.description for each in outcome.violations))
                    return
            else:
                number += 1
            await trio.sleep(PAUSE_SECONDS)
            if self._is_over(signing):
                return
        await self._undelivered(signing, "no answer")

    def _is_over(self, signing: SigningRecord) -> bool:
        present = self._context.state.signing
        return present is None or present.signing_id != signing.signing_id

    async def _undelivered(self, signing: SigningRecord, reason: str) -> None:
        body = CertificateSigningEnded(signing.signing_id, SigningEnd.UNDELIVERED, reason)
        await self._context.commit((NewEvent(body, self._context.clock()),), (SigningOpen(signing.signing_id),))
