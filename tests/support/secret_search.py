"""A harness that keeps all that a gateway shows and leaves behind, and looks in it for the secrets of its scenario.

Secrets are those that hold ``MARK``, which nothing else does, and the AuthorizationKeys that were on the wire.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.control.convert.audit import audit_entry
from gateway.control.convert.commands import command
from gateway.control.convert.diagnostics import frame
from gateway.control.convert.events import event
from gateway.control.convert.operations import operation
from gateway.control.convert.resources import charge_point
from gateway.observability.frame_log import FrameLog
from gateway.store.filters import AuditFilter
from tests.store.builders import of
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

MARK = "hunter2hunter2"
"""In secrets, and in nothing else."""

LOCATION = f"https://user:{MARK}@files.example/file.bin;password={MARK}?X-Amz-Signature={MARK}&sig={MARK}#{MARK}"
"""A location with a secret in every place where one may stand."""

UPLOAD = f"ftp://user:{MARK}@files.example/uploads;password={MARK}"
"""The same, as FTP servers have it."""

FRAMES = 500
"""Kept of each charger: all of a scenario's."""


class Tapped(FakeTransport):
    """A transport that notes what went over it, in both directions."""

    def __init__(self, noted: list[bytes]) -> None:
        super().__init__()
        self._noted = noted

    async def receive(self) -> bytes:
        data = await super().receive()
        self._noted.append(data)
        return data

    async def send(self, data: bytes) -> None:
        self._noted.append(data)
        await super().send(data)

    def send_nowait(self, data: bytes) -> bool:
        self._noted.append(data)
        return super().send_nowait(data)


class SearchedHarness(Harness):
    """A harness whose scenario's secrets can be looked for."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self.wire: list[bytes] = []
        """All that went over it."""
        self.logged: list[Any] = []
        self._log = FrameLog(virtual_clock, FRAMES)
        self._kept: dict[str, str] = {}

    @asynccontextmanager
    async def connected(
        self, identity: str = "CP1", transport: FakeTransport | None = None
    ) -> AsyncIterator[ScriptedCharger]:
        """As the harness's, with frames kept."""
        transport = transport or Tapped(self.wire)
        ring = self._log.opened(identity, transport.peer)
        assert ring is not None
        self.frames = ring
        try:
            async with super().connected(identity, transport) as charger:
                yield charger
        finally:
            # Frames are dated by the loop's clock: they are read while there is one.
            self._kept[identity] = "".join(str(frame(each)) for each in self._log.of(identity) or ())
            self._log.over(identity)

    def secrets(self) -> set[bytes]:
        """The scenario's secrets."""
        found = {MARK.encode()} if any(MARK.encode() in each for each in self.wire) else set()
        for message in map(_parsed, self.wire):
            if isinstance(message, list) and len(message) == 4 and message[2] == "ChangeConfiguration":
                key, value = message[3].get("key"), message[3].get("value", "")
                if key == "AuthorizationKey" and len(value) >= 16:
                    found |= {value.encode(), value.lower().encode()}
        return found

    def left(self) -> Iterator[tuple[str, bytes]]:
        """All that is shown and left behind, by the place that it is in."""
        yield from self._files()
        yield "logs", repr(self.logged).encode()
        yield "events", "".join(str(event(each)) for each in self.events()).encode()
        commands = [command(each) for each in self.store.commands(None, None, 1000)]
        operations = [operation(each) for each in self.store.find_operations(of(), "", 1000).records]
        points = [charge_point(each) for each in self.store.charge_points("", 1000)]
        entries = [audit_entry(each) for each in self.store.audit(AuditFilter(), None, 1000)]
        yield "records", "".join(map(str, (*commands, *operations, *points, *entries))).encode()
        yield "reprs", repr((self.store.commands(None, None, 1000), self.events())).encode()
        yield "frames", "".join(self._kept.values()).encode()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for file in sorted(self.path.iterdir()):
            if file.is_file():
                yield file.name, file.read_bytes()

    def found_on_disk(self) -> list[str]:
        """The same, of files alone: also once the store is closed."""
        secrets = self.secrets()
        return [place for place, content in self._files() if any(each in content for each in secrets)]

    def found(self) -> list[str]:
        """The places where a secret is; there should be none."""
        secrets = self.secrets()
        return [place for place, content in self.left() if any(each in content for each in secrets)]


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
