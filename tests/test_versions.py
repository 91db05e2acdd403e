"""Packages that serve every version of OCPP name nothing of 1.6: no message, no configuration key, no error code.

Commands are the domain's vocabulary, and are named as 1.6 names its operations; what a charger is sent for them is said
in ``gateway/ocpp/v16`` alone. Comments and docstrings may cite what they like.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.domain.commands import COMMANDS
from gateway.ocpp.v16.decode_calls import CODES
from gateway.ocpp.v16.protocol import ERRORS
from gateway.ocpp.v16.schemas import KNOWN_ACTIONS
from tests.support.named_tests import REPOSITORY

NEUTRAL = ("domain", "energy", "store", "journal", "feed", "session", "control", "bridge", "chargers", "transport")
"""Packages of the gateway that know no version."""

ACTIONS = KNOWN_ACTIONS - COMMANDS.keys()

ERROR_CODES = {
    *CODES.values(),
    *(ERRORS.malformed, ERRORS.unread, ERRORS.not_accepted, ERRORS.failed),
    *ERRORS.unsupported,
    "OccurrenceConstraintViolation",
    "MessageTypeNotSupported",
    "RpcFrameworkError",
}

KEYS = {
    "AllowOfflineTxForUnknownId",
    "AuthorizationCacheEnabled",
    "AuthorizeRemoteTxRequests",
    "BlinkRepeat",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "ConnectorPhaseRotationMaxLength",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LightIntensity",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MaxEnergyOnInvalidId",
    "MeterValuesAlignedData",
    "MeterValuesAlignedDataMaxLength",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "MeterValueSampleInterval",
    "MinimumStatusDuration",
    "NumberOfConnectors",
    "ResetRetries",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnAlignedDataMaxLength",
    "StopTxnSampledData",
    "StopTxnSampledDataMaxLength",
    "SupportedFeatureProfiles",
    "SupportedFeatureProfilesMaxLength",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
    "WebSocketPingInterval",
    "LocalAuthListEnabled",
    "LocalAuthListMaxLength",
    "SendLocalListMaxLength",
    "ReserveConnectorZeroSupported",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "ConnectorSwitch3to1PhaseSupported",
    "MaxChargingProfilesInstalled",
    "AdditionalRootCertificateCheck",
    "AuthorizationKey",
    "CertificateSignedMaxChainSize",
    "CertificateStoreMaxLength",
    "CpoName",
    "SecurityProfile",
}
"""The specification's and the security extension's configuration keys (S §9, WP)."""

WORDS = re.compile(rf"\b(?:{'|'.join(sorted(ACTIONS))}|(?i:{'|'.join(sorted(ERROR_CODES | KEYS))}))\b")
"""Keys are compared without regard to case (S §9). Actions are not: ``authorize`` is plain English."""

SHARED: Mapping[str, tuple[str, frozenset[str]]] = {
    "domain/commands": (
        "TriggeredMessage: words of the API, and of what is stored with every such command",
        frozenset(
            [
                "BootNotification",
                "DiagnosticsStatusNotification",
                "FirmwareStatusNotification",
                "Heartbeat",
                "MeterValues",
                "StatusNotification",
            ]
        ),
    ),
    "domain/security_commands": (
        "ExtendedTrigger: words of the API, and of what is stored with every such command",
        frozenset(
            [
                "BootNotification",
                "FirmwareStatusNotification",
                "Heartbeat",
                "LogStatusNotification",
                "MeterValues",
                "StatusNotification",
            ]
        ),
    ),
    "domain/secret_names": ("a secret by its name, in whatever place it is", frozenset({"authorizationkey"})),
    "control/outcomes": (
        "the table of documented outcomes names reasons as chargers send them",
        frozenset({"GenericError", "NotImplemented", "NotSupported"}),
    ),
    "control/services/command": (
        "statuses in the API's enums of single operations",
        frozenset({"NotImplemented", "NotSupported"}),
    ),
}
"""Module: why it has words of 1.6, and which ones."""


def code_of(source: str) -> Iterator[tuple[int, str]]:
    """Identifiers and string literals of a source with their lines, docstrings left out."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text) | bytes(text)) if id(node) not in docstrings:
                yield node.lineno, text if isinstance(text, str) else text.decode("latin-1")
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.alias(name=name, asname=other):
                yield node.lineno, f"{name} {other or ''}"


def words_of_1_6(source: str) -> list[tuple[int, str]]:
    """Names of 1.6 in a source's code, with their lines."""
    return [(line, found) for line, text in code_of(source) for found in WORDS.findall(text)]


def name_of(path: Path) -> str:
    """The module below ``gateway/``."""
    return path.relative_to(REPOSITORY / "gateway").with_suffix("").as_posix()


FILES = sorted(path for package in NEUTRAL for path in (REPOSITORY / "gateway" / package).rglob("*.py"))


def test_modules_that_serve_every_version_name_nothing_of_1_6() -> None:
    """In their code: as an identifier or within a string."""
    assert len(FILES) > 300
    found = {
        (name_of(path), line, word)
        for path in FILES
        for line, word in words_of_1_6(path.read_text("utf-8"))
        if word not in SHARED.get(name_of(path), ("", frozenset()))[1]
    }
    assert found == set()


@pytest.mark.parametrize("module", SHARED)
def test_words_that_are_shared_are_there(module: str) -> None:
    """An exception that nothing needs any more goes."""
    source = (REPOSITORY / "gateway" / f"{module}.py").read_text("utf-8")
    assert {word for _, word in words_of_1_6(source)} == SHARED[module][1]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("if action == 'MeterValues': pass", ["MeterValues"]),
        ("def f():\n    return call.StopTransaction(1)", ["StopTransaction"]),
        ("state.configuration.get('websocketpinginterval')", ["websocketpinginterval"]),
        ("f'{x} is beyond GetConfigurationMaxKeys'", ["GetConfigurationMaxKeys"]),
        ("from gateway.ocpp.v16 import StartTransaction as s", ["StartTransaction"]),
        ('send(b\'[4,"1","FormationViolation","",{}]\')', ["FormationViolation"]),
        ("def f(code='SecurityError'): pass", ["SecurityError"]),
        ('def f():\n    """Answer a BootNotification."""  # NotSupported', []),
        ("authorizer.authorize(RemoteStartTransaction('TAG'))", []),
    ],
)
def test_names_are_found_in_code_and_not_in_words_about_it(source: str, found: list[str]) -> None:
    """The check above can fail. A command of the domain is none of 1.6's names."""
    assert [word for _, word in words_of_1_6(source)] == found
