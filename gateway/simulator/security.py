"""OCPP's security extension in the simulated charger: certificates, logs and signed firmware.

A new certificate of its own is presented from then on: it connects anew with it. Nothing is really
transferred, and a firmware's signature is taken as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.simulator.messages import wire_time
from gateway.simulator.operations import Answer, LongTask, Request, Trigger

#: Root certificates of one kind that fit into the box (CertificateStoreMaxLength).
MAX_INSTALLED = 8

ROOTS = ("CentralSystemRootCertificate", "ManufacturerRootCertificate")


class SecurityExtension:
    """Answers the extension's requests. `say` sends a message; `step` lasts as long as a transfer does; `reachable`
    tells whether a location can be; `reboot` returns when the charger is accepted again; `present` has it connect anew
    with a certificate and its key, in PEM."""

    def __init__(
        self,
        identity: str,
        say: Callable[[str, dict[str, Any]], None],
        step: Callable[[], Awaitable[None]],
        reachable: Callable[[str], bool],
        reboot: Callable[[], Awaitable[None]],
        present: Callable[[str, bytes], None],
    ) -> None:
        self.certificate: x509.Certificate | None = None
        self._identity = identity
        self._say = say
        self._step = step
        self._reachable = reachable
        self._reboot = reboot
        self._present = present
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._roots: dict[str, list[x509.Certificate]] = {use: [] for use in ROOTS}
        self.operations: Mapping[str, Callable[[Request, datetime], Answer]] = {
            "CertificateSigned": self._certificate_signed,
            "DeleteCertificate": self._delete,
            "ExtendedTriggerMessage": self._trigger,
            "GetInstalledCertificateIds": self._installed,
            "GetLog": self._get_log,
            "InstallCertificate": self._install,
            "SignedUpdateFirmware": self._update,
        }

    # --- certificates ----------------------------------------------------------------------------------------

    def _trigger(self, request: Request, now: datetime) -> Answer:
        accepted = {"status": "Accepted"}
        match request.text("requestedMessage"):
            case "SignChargePointCertificate":
                return Answer(accepted, LongTask(self._ask_for_certificate))
            case "LogStatusNotification":
                return Answer(accepted, LongTask(partial(self._report, "LogStatusNotification", "Idle", None)))
            case "FirmwareStatusNotification":
                return Answer(
                    accepted, LongTask(partial(self._report, "SignedFirmwareStatusNotification", "Idle", None))
                )
            case "BootNotification" | "Heartbeat" | "MeterValues" | "StatusNotification" as message:
                return Answer(accepted, Trigger(message, request.optional_whole("connectorId")))
            case _:
                return Answer({"status": "NotImplemented"})

    async def _ask_for_certificate(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._identity)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        self._say("SignCertificate", {"csr": csr.public_bytes(Encoding.PEM).decode()})

    def _certificate_signed(self, request: Request, now: datetime) -> Answer:
        chain, key = request.text("certificateChain", 10_000), self._key
        found = _read(chain)
        if found is None or key is None or _key_of(found) != _public(key.public_key()):
            return Answer({"status": "Rejected"}, self._event("InvalidChargePointCertificate", now))
        self.certificate = found

        async def use() -> None:
            self._present(chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

        return Answer({"status": "Accepted"}, LongTask(use))

    def _install(self, request: Request, now: datetime) -> Answer:
        roots = self._roots[request.choice("certificateType", *ROOTS)]
        found = _read(request.text("certificate", 5_500))
        if found is None:
            return Answer({"status": "Rejected"}, self._event("InvalidCentralSystemCertificate", now))
        if len(roots) >= MAX_INSTALLED:
            return Answer({"status": "Failed"})
        if found not in roots:
            roots.append(found)
        return Answer({"status": "Accepted"})

    def _installed(self, request: Request, now: datetime) -> Answer:
        roots = self._roots[request.choice("certificateType", *ROOTS)]
        if not roots:
            return Answer({"status": "NotFound"})
        return Answer({"status": "Accepted", "certificateHashData": [_hashes(each) for each in roots]})

    def _delete(self, request: Request, now: datetime) -> Answer:
        wanted = request.payload.get("certificateHashData")
        for roots in self._roots.values():
            for each in roots:
                if _hashes(each) == wanted:
                    roots.remove(each)
                    return Answer({"status": "Accepted"})
        return Answer({"status": "NotFound"})

    def _event(self, kind: str, now: datetime) -> LongTask:
        async def report() -> None:
            self._say("SecurityEventNotification", {"type": kind, "timestamp": wire_time(now)})

        return LongTask(report)

    # --- logs and firmware -----------------------------------------------------------------------------------

    def _get_log(self, request: Request, now: datetime) -> Answer:
        request.choice("logType", "DiagnosticsLog", "SecurityLog")
        place = Request(request.an_object("log")).text("remoteLocation", 512)
        long_task = LongTask(partial(self._upload, place, request.whole("requestId")))
        return Answer({"status": "Accepted", "filename": f"log-{now:%Y%m%d%H%M%S}.log"}, long_task)

    async def _upload(self, location: str, number: int) -> None:
        await self._report("LogStatusNotification", "Uploading", number)
        await self._step()
        end = "Uploaded" if self._reachable(location) else "UploadFailure"
        await self._report("LogStatusNotification", end, number)

    def _update(self, request: Request, now: datetime) -> Answer:
        firmware = Request(request.an_object("firmware"))
        if _read(firmware.text("signingCertificate", 5_500)) is None:
            return Answer({"status": "InvalidCertificate"}, self._event("InvalidFirmwareSigningCertificate", now))
        firmware.text("signature", 800)
        place, number = firmware.text("location", 512), request.whole("requestId")
        return Answer({"status": "Accepted"}, LongTask(partial(self._install_firmware, place, number)))

    async def _install_firmware(self, location: str, number: int) -> None:
        report = partial(self._report, "SignedFirmwareStatusNotification")
        await report("Downloading", number)
        await self._step()
        if not self._reachable(location):
            await report("DownloadFailed", number)
            return
        for status in ("Downloaded", "SignatureVerified", "Installing"):
            await report(status, number)
        await self._step()
        await self._reboot()
        await report("Installed", number)

    async def _report(self, action: str, status: str, number: int | None) -> None:
        self._say(action, {"status": status} if number is None else {"status": status, "requestId": number})


def _read(pem: str) -> x509.Certificate | None:
    """The first certificate of a PEM text, or None."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _key_of(certificate: x509.Certificate) -> bytes:
    return _public(certificate.public_key())


def _hashes(root: x509.Certificate) -> dict[str, str]:
    """CertificateHashData of a root, which is its own issuer."""
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": sha256(root.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": sha256(_key_of(root)).hexdigest(),
        "serialNumber": f"{root.serial_number:x}",
    }
