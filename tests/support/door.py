"""The gateway's door on a harness: real admission and real connections, so that a charger is let in by what it
shows."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import evolve

from gateway.chargers.admission import Admission, EntryTerms, Principal
from gateway.chargers.capacity import Capacity, Descriptors
from gateway.chargers.connections import ChargerConnections
from gateway.domain.credentials import Verifier, make_credential
from gateway.domain.records import CredentialKind
from gateway.observability.frame_log import FrameLog
from gateway.session.ports import NoObserver
from gateway.store.commits import AddCredential
from gateway.transport.api import Accept, Peer, Rejection, UpgradeRequest
from tests.support.harness import CheckedTimers, Harness, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

PEER = Peer("192.0.2.7", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)

BASIC, CERTIFICATE = "basic", "certificate"
"""Names of its listeners, of security profile 2 and 3."""


class Door:
    """The door to charge point CP1."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.frames = FrameLog(virtual_clock, 100)
        self.admission = Admission(
            reads=harness.reads,
            verifier=Verifier(),
            clock=virtual_clock,
            observer=NoObserver(),
            terms={BASIC: EntryTerms("/"), CERTIFICATE: EntryTerms("/", 3)},
            subprotocols=("ocpp1.6",),
            refusing=lambda: None,
        )
        self.timers = CheckedTimers()
        self.connections = ChargerConnections(
            router=harness.router,
            capacity=Capacity(Descriptors(100, 10, 10)),
            journal=harness.journal,
            reads=harness.reads,
            lookups=harness.lookups,
            protocols={"ocpp1.6": harness.protocol},
            clock=virtual_clock,
            limits=harness.limits,
            observer=harness.observer,
            recorder=self.frames,
            timers=self.timers,
            boot_configuration=(),
        )

    def give_key(self, key: bytes, kind: CredentialKind = CredentialKind.GENERATED) -> None:
        """One more key for the charge point."""
        self.harness.store.commit([AddCredential("CP1", make_credential(key, kind, virtual_clock()))])

    async def knock(
        self,
        key: bytes | None,
        offered: tuple[str, ...] = ("ocpp1.6",),
        peer: Peer = PEER,
        listener: str = BASIC,
    ) -> Accept | Rejection:
        """Ask to be let in; the answer."""
        if listener == CERTIFICATE:
            peer = evolve(peer, certificate=b"der")
        headers: tuple[tuple[str, str], ...] = ()
        if key is not None:
            headers = (("Authorization", "Basic " + base64.b64encode(b"CP1:" + key).decode()),)
        return await self.admission(UpgradeRequest("/CP1", headers, offered, peer, listener))

    async def opens_to(self, key: bytes | None, listener: str = BASIC) -> bool:
        """Return true if a charger with this key would be let in."""
        return isinstance(await self.knock(key, listener=listener), Accept)

    @asynccontextmanager
    async def connected(self, key: bytes | None, listener: str = BASIC) -> AsyncIterator[ScriptedCharger]:
        """A charger that was let in with a key, until the block is left; then its link is lost."""
        accepted = await self.knock(key, listener=listener)
        assert isinstance(accepted, Accept), accepted
        principal = accepted.principal
        assert isinstance(principal, Principal)
        transport = FakeTransport()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.timers.run)
            over = trio.Event()

            async def serve() -> None:
                await self.connections(transport, principal)
                over.set()

            nursery.start_soon(serve)
            await trio.testing.wait_all_tasks_blocked()
            charger = ScriptedCharger(transport)
            yield charger
            if not charger.gone:
                await charger.lose_link()
            await over.wait()
            nursery.cancel_scope.cancel()
        assert self.timers.restless == []
