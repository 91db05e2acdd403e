"""Long errands of the charger: installing firmware and uploading diagnostics, as sequences of statuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import trio

from gateway.simulator.config import ChargerConfig, Clock
from gateway.simulator.security import SecurityExtension
from gateway.simulator.wallbox import Wallbox

#: How long a step (a download, an installation, an upload) takes, in seconds of the charger's life.
STEP_SECONDS = 10.0
#: How often a charger in use looks whether it may install now, in seconds of its life.
WAIT_SECONDS = 15.0

#: What the box can fetch from and upload to; any other location fails, so that failures can be shown too.
SCHEMES = ("http", "https", "ftp", "ftps", "sftp")


class Maintenance:
    """One firmware update and one upload at a time; a new request replaces the one that runs (S §6.19).

    Nothing is really transferred. `say(action, payload)` sends a message; `reboot` returns when the charger is
    accepted again; `present` has it connect anew with a certificate and its key.
    """

    def __init__(
        self,
        config: ChargerConfig,
        clock: Clock,
        box: Wallbox,
        say: Callable[[str, dict[str, Any]], None],
        reboot: Callable[[], Awaitable[None]],
        emit: Callable[..., None],
        present: Callable[[str, bytes], None],
    ) -> None:
        self.firmware = config.firmware
        self.extension = SecurityExtension(config.identity, say, self._step, _reachable, reboot, present)
        self._config = config
        self._clock = clock
        self._box = box
        self._say = say
        self._reboot = reboot
        self._emit = emit
        self._now_at = {"FirmwareStatusNotification": "Idle", "DiagnosticsStatusNotification": "Idle"}
        self._running: dict[str, trio.CancelScope] = {}

    def current(self, message: str) -> str:
        """The status to report when it is triggered: Idle unless something is under way (S §5.17)."""
        return self._now_at[message]

    async def upload_diagnostics(self, location: str) -> None:
        """GetDiagnostics: Uploading, then Uploaded or UploadFailed."""
        with self._alone("DiagnosticsStatusNotification"):
            self._diagnostics("Uploading")
            await self._step()
            self._diagnostics("Uploaded" if _reachable(location) else "UploadFailed")

    async def update_firmware(self, location: str, at: datetime) -> None:
        """UpdateFirmware: wait for its time, download, wait until no car charges, install, reboot (S §6.19)."""
        with self._alone("FirmwareStatusNotification"):
            await trio.sleep(max((at - self._clock()).total_seconds(), 0.0))
            self._status("Downloading")
            await self._step()
            if not _reachable(location):
                self._status("DownloadFailed")
                return
            self._status("Downloaded")
            while any(  # noqa: ASYNC110 - as a wallbox does: it looks from time to time
                c.transaction is not None for c in self._box.connectors.values()
            ):
                await trio.sleep(self._config.pace(WAIT_SECONDS))
            self._status("Installing")
            await self._step()
            self.firmware = _version_in(location) or self.firmware
            await self._reboot()
            self._status("Installed")

    def _alone(self, errand: str) -> trio.CancelScope:
        """A scope for this errand; the one that runs is cancelled."""
        earlier = self._running.get(errand)
        if earlier is not None:
            earlier.cancel()
        scope = self._running[errand] = trio.CancelScope()
        return scope

    def _status(self, status: str) -> None:
        self._report("FirmwareStatusNotification", status, busy=("Downloading", "Downloaded", "Installing"))
        self._emit("firmware", status=status)

    def _diagnostics(self, status: str) -> None:
        self._report("DiagnosticsStatusNotification", status, busy=("Uploading",))
        self._emit("diagnostics", status=status)

    def _report(self, message: str, status: str, busy: tuple[str, ...]) -> None:
        self._now_at[message] = status if status in busy else "Idle"
        self._say(message, {"status": status})

    async def _step(self) -> None:
        await trio.sleep(self._config.pace(STEP_SECONDS))


def _reachable(location: str) -> bool:
    try:
        parts = urlsplit(location)
        return parts.scheme in SCHEMES and bool(parts.hostname)
    except ValueError:
        return False


def _version_in(location: str) -> str | None:
    """The version that the new firmware reports: the file's name without its ending."""
    name = urlsplit(location).path.rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0][:50] or None
