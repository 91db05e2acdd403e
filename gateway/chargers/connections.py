"""From an admitted connection to a running session: open it in the store, make it the owner, serve it to its end."""

from collections.abc import Mapping

import structlog
from attrs import frozen

from gateway.chargers.admission import Principal
from gateway.chargers.capacity import Capacity
from gateway.domain.events import ChargePointConnected
from gateway.domain.quirks import Quirk
from gateway.domain.state import evolve
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.observability.frame_log import FrameLog
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.commands.provisioning import DesiredKey, Triggers
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups
from gateway.session.ports import NO_FRAMES, Frames, Journal, Observer
from gateway.session.router import Router
from gateway.session.session import Session
from gateway.session.steering_pace import SteeringPace
from gateway.session.turns import ReadTurns, TeardownTurns
from gateway.store.commits import Opened, RemoveCredentials
from gateway.store.reads import Reads
from gateway.transport.api import Transport

log = structlog.get_logger()

CLOSE_TRY_AGAIN_LATER = 1013
"""RFC 6455's registry of close codes."""


@frozen
class _Closing:
    """The close code and reason of a connection that gets no session."""

    code: int
    reason: str


class ChargerConnections:
    """The listeners' ``handle``."""

    def __init__(
        self,
        *,
        router: Router,
        capacity: Capacity,
        journal: Journal,
        reads: Reads,
        lookups: Lookups,
        protocols: Mapping[str, ProtocolVersion],
        clock: Clock,
        limits: SessionLimits,
        observer: Observer,
        recorder: FrameLog,
        timers: TimerQueue,
        boot_configuration: tuple[DesiredKey, ...],
        quirks: tuple[Quirk, ...] = (),
    ) -> None:
        self._router = router
        self._capacity = capacity
        self._journal = journal
        self._reads = reads
        self._lookups = lookups
        self._protocols = protocols
        self._clock = clock
        self._limits = limits
        self._observer = observer
        self._recorder = recorder
        self._timers = timers
        self._teardown_turns = TeardownTurns()
        self._read_turns = ReadTurns()
        self._fault_log = FaultLog()
        self._boot_configuration = boot_configuration
        self._triggers = Triggers()
        self._steering_pace = SteeringPace()
        self._quirks = quirks
        self.draining = False

    async def __call__(self, transport: Transport, principal: object) -> None:
        """Serve one connection to its end. Cancellation ends the session in good order.

        Closed with 1013 where there is no place for it: admission has looked before, so that happens only to
        connections that were admitted at the same moment.
        """
        assert isinstance(principal, Principal)
        identity = principal.identity
        if not self._capacity.take(replaces=self._router.live(identity) is not None):
            self._observer.count("closed_at_capacity")
            await transport.aclose(CLOSE_TRY_AGAIN_LATER, "at capacity")
            return
        try:
            frames = self._recorder.opened(identity, transport.peer) or NO_FRAMES
            try:
                session = await self._begin(transport, principal, frames)
                if isinstance(session, _Closing):
                    frames.add_end("local", session.code, session.reason)
                    await transport.aclose(session.code, session.reason)
                    return
                try:
                    if principal.superseded:
                        await self._supersede(session, principal)
                    await session.run()
                finally:
                    self._router.remove(identity, session)
            finally:
                self._recorder.over(identity)
        finally:
            self._capacity.give_back()

    async def _begin(self, transport: Transport, principal: Principal, frames: Frames) -> "Session | _Closing":
        """Have the session before it finish, open the connection in the store, and make its session the owner."""
        if self.draining:
            return _Closing(1001, "draining")
        with self._router.arriving(principal.identity) as arrival:
            try:
                await self._router.hand_over(principal.identity, arrival)
                opened = await self._open(transport, principal)
            except StoreUnavailable:
                return _Closing(1011, "store-unavailable")
            # No await from here on: what the operator does next, he does to the session.
            if opened is None or arrival.expelled:
                return _Closing(1008, "deleted")
            if arrival.registration is not None:
                opened.state.registration = arrival.registration
            for closed in arrival.closed:
                evolve(opened.state, closed, 0)
            session = self._session(opened, transport, principal, frames)
            if not self._router.install(principal.identity, session):
                # A still newer connection was opened meanwhile, and its opening has settled this one in the store.
                return _Closing(1008, "replaced")
            return session

    async def _open(self, transport: Transport, principal: Principal) -> Opened | None:
        peer = transport.peer
        address = f"[{peer.address}]:{peer.port}" if ":" in peer.address else f"{peer.address}:{peer.port}"
        connected = ChargePointConnected(address, principal.subprotocol, principal.security_profile, peer.tls_version)
        opened = await self._journal.commit(self._router.opening(principal.identity, connected, self._clock()))
        if not isinstance(opened, Opened):
            return None
        log.info("charger connected", charge_point=principal.identity, epoch=opened.epoch, address=address)
        return opened

    def _session(self, opened: Opened, transport: Transport, principal: Principal, frames: Frames) -> Session:
        return Session(
            state=opened.state,
            transport=transport,
            protocol=self._protocols[principal.subprotocol],
            journal=self._journal,
            reads=self._reads,
            lookups=self._lookups,
            clock=self._clock,
            limits=self._limits,
            observer=self._observer,
            frames=frames,
            timers=self._timers,
            teardown_turns=self._teardown_turns,
            read_turns=self._read_turns,
            fault_log=self._fault_log,
            boot_configuration=self._boot_configuration,
            triggers=self._triggers,
            steering_pace=self._steering_pace,
            quirks=self._quirks,
        )

    async def _supersede(self, session: Session, principal: Principal) -> None:
        """It has used its new key: from now on the older ones open nothing (A7.7, A7.8)."""
        if principal.superseded:
            try:
                await self._journal.commit(RemoveCredentials(principal.identity, principal.superseded))
            except StoreUnavailable:
                session.end("store-unavailable", code=1011)
