"""From an admitted connection to a running session: open it in the store, make it the owner, serve it to its end."""

from collections.abc import Callable, Mapping

import attrs
import structlog
from attrs import frozen

from gateway.chargers.admission import KeyUse, Principal
from gateway.chargers.capacity import Capacity
from gateway.chargers.load_budget import LoadBudget
from gateway.domain.certificates import facts_of
from gateway.domain.events import ChargePointConnected
from gateway.domain.quirks import QuirkBook
from gateway.domain.state import evolve
from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.observability.frame_log import FrameLog
from gateway.ocpp.protocol import ProtocolVersion
from gateway.security.steps import Entry
from gateway.session.commands.provisioning import DesiredKey, Triggers
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups
from gateway.session.ports import NO_FRAMES, CommandTraces, Frames, Journal, Observer
from gateway.session.router import PROFILE_TOO_LOW, Router
from gateway.session.session import Session
from gateway.session.steering_pace import SteeringPace
from gateway.session.turns import ReadTurns, TeardownTurns
from gateway.store.commits import Opened, UseKey
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
        quirks: QuirkBook | None = None,
        load: LoadBudget | None = None,
        traces: CommandTraces | None = None,
        clock_is_even: Callable[[], bool] = lambda: True,
    ) -> None:
        self._router = router
        self._capacity = capacity
        self._journal = journal
        self._reads = reads
        self._lookups = lookups
        self._protocols = protocols
        self._clock = clock
        self._clock_is_even = clock_is_even
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
        self._load = load
        self._traces = traces
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
                    if principal.use is not None and principal.use.settles:
                        await self._settle_keys(session, principal.identity, principal.use)
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
            if principal.security_profile < arrival.minimum_profile:
                return _Closing(1008, PROFILE_TOO_LOW)
            if arrival.registration is not None:
                opened.state.registration = arrival.registration
            for closed in arrival.closed:
                evolve(opened.state, closed, 0)
            session = self._session(opened, transport, principal, frames)
            if not self._router.install(principal.identity, session):
                # A still newer connection was opened meanwhile, and its opening has settled this one in the store.
                return _Closing(1008, "replaced")
            self._observer.count("sessions_opened")
            return session

    async def _open(self, transport: Transport, principal: Principal) -> Opened | None:
        peer = transport.peer
        address = f"[{peer.address}]:{peer.port}" if ":" in peer.address else f"{peer.address}:{peer.port}"
        certificate = facts_of(peer.certificate)
        connected = ChargePointConnected(
            address,
            principal.subprotocol,
            principal.security_profile,
            peer.tls_version,
            "" if certificate is None else certificate.serial_number,
            None if certificate is None else certificate.not_after,
        )
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
            limits=self._limits_now(),
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
            traces=self._traces,
            clock_is_even=self._clock_is_even,
            entry=Entry("" if principal.use is None else principal.use.credential_id, principal.security_profile),
        )

    def _limits_now(self) -> SessionLimits:
        """Those of all; under load with a longer heartbeat interval, another for each, and as much more silence."""
        limits = self._limits
        if self._load is None or not self._load.paced:
            return limits
        interval = self._load.heartbeat_interval(limits.heartbeat_interval)
        return attrs.evolve(
            limits, heartbeat_interval=interval, silence=limits.silence + interval - limits.heartbeat_interval
        )

    async def _settle_keys(self, session: Session, identity: str, use: KeyUse) -> None:
        """It has used one of its keys: from now on those before it, and those that it did not take, open nothing (A7.7,
        A7.8)."""
        try:
            await self._journal.commit(UseKey(identity, use.credential_id, use.passed_over))
        except StoreUnavailable:
            session.end("store-unavailable", code=1011)
