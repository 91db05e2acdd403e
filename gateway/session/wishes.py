"""The way of changes of wanted states to the session that owns the charge point, or to the store where none does."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gateway.charging.wishes import WantedRequest
from gateway.domain.commands import RefusalReason, Refused
from gateway.domain.decision import Guard, NotConnected
from gateway.domain.events import NewEvent
from gateway.domain.steering import ChangedWanted
from gateway.domain.values import Clock
from gateway.errors import CommitUnknown
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.context import SessionOver
from gateway.session.ports import Journal
from gateway.session.router import Router
from gateway.session.steering import answered, decide, made, repeated, unused
from gateway.store.commits import Append, Appended, GuardFailed, Missing
from gateway.store.reads import Reads

MAX_ROUNDS: Final = 40
"""Of a change that finds the charge point's ownership changing hands: two seconds of ``PAUSE``, in which a charger has
connected, or its session has ended and said so."""

PAUSE: Final = 0.05
"""Seconds between two rounds."""

CHANGING_HANDS = Refused(
    RefusalReason.STORE_UNAVAILABLE, "the charge point's connection is changing; nothing was changed"
)


async def nowhere(_: str) -> bool:
    """Return false: there is no other node."""
    return False


class WantedStates:
    """Changes of what is wanted, for charge points that are connected and for those that are not."""

    def __init__(
        self,
        router: Router,
        journal: Journal,
        reads: Reads,
        clock: Clock,
        protocol: ProtocolVersion,
        elsewhere: Callable[[str], Awaitable[bool]] = nowhere,
    ) -> None:
        """``protocol``: the version by which a charge point is read that is not connected here. ``elsewhere``: whether
        another node has the session, which follows what is recorded."""
        self._router = router
        self._journal = journal
        self._reads = reads
        self._clock = clock
        self._protocol = protocol
        self._elsewhere = elsewhere

    async def change(
        self, identity: str, request: WantedRequest, also: tuple[NewEvent, ...] = ()
    ) -> ChangedWanted | Refused:
        """Commit a change of what is wanted, or why there is none. The same request again, by its id, changes nothing
        and is answered as it was. ``also``: events that are recorded with it.

        Raises ``StoreUnavailable``, and ``CommitUnknown`` where it is not known whether it was kept. Cancelling
        withdraws nothing that was handed over.
        """
        outcome = await self._change(identity, request, also)
        if isinstance(outcome, Refused) and outcome.reason is RefusalReason.INVALID_COMMAND:
            # What is wrong by now was right when it came first: an end that is over, a connector.
            earlier = await self._reads.changed_wanted(identity, request.request_id)
            if earlier is not None:
                return repeated(earlier, request)
        return outcome

    async def _change(
        self, identity: str, request: WantedRequest, also: tuple[NewEvent, ...]
    ) -> ChangedWanted | Refused:
        for _ in range(MAX_ROUNDS):
            session = self._router.session(identity)
            if session is not None:
                try:
                    return await session.steering.change(request, also)
                except SessionOver as over:
                    if over.doubtful:
                        raise CommitUnknown("the store failed while the change was recorded") from over
            else:
                outcome = await self._commit(identity, request, also)
                if outcome is not None:
                    return outcome
            await trio.sleep(PAUSE)
        return CHANGING_HANDS

    async def _commit(
        self, identity: str, request: WantedRequest, also: tuple[NewEvent, ...]
    ) -> ChangedWanted | Refused | None:
        """As ``change``, where no session here owns the charge point. None: one does, or what it rests on has
        changed."""
        stored = await self._reads.state(identity, self._clock())
        if stored is None:
            return Refused(RefusalReason.UNKNOWN_CHARGE_POINT, f"there is no charge point {identity}")
        alone: tuple[Guard, ...] = (NotConnected(),)
        if stored.connected:
            if not await self._elsewhere(identity):
                return None
            alone = ()
        change = decide(stored.state, request, self._protocol, self._clock())
        if isinstance(change, Refused):
            return change
        guards = (*alone, *change.guards, *unused(also))
        # A session that is opened meanwhile raises the epoch: then the change goes through it.
        result = await self._journal.commit(Append(identity, stored.state.epoch, (change.event, *also), guards))
        match result:
            case Appended():
                return made(change)
            case GuardFailed():
                return answered(result, request)
            case Missing():
                return Refused(RefusalReason.UNKNOWN_CHARGE_POINT, f"there is no charge point {identity}")
            case _:
                return None
