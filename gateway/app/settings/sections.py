"""The settings of the gateway itself: control interface, store, logs, metrics, drain; and all of them together.

Fields, defaults and ``problems`` are as in ``gateway.app.settings.chargers``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from gateway.app.settings.chargers import (
    BOOT_CONFIGURATION,
    AuthorizationSettings,
    BootConfigurationSetting,
    QuirkSettings,
    SessionSettings,
)
from gateway.app.settings.expectations import (
    OFF,
    Place,
    Problems,
    about,
    address,
    at_most,
    filled,
    is_loopback,
    number,
    one_of,
    parse_address,
    twice,
    whole,
)
from gateway.app.settings.listeners import ListenerSettings


@frozen
class ControlSettings:
    """The gRPC interface for internal services."""

    address: str = field(
        default="127.0.0.1:50051",
        metadata=about("Loopback by default: any program that reaches it controls the chargers.", address()),
    )
    certificate: Path | None = field(
        default=None, metadata=about("Certificate chain in PEM: turns on TLS, with key.", example="certs/control.pem")
    )
    key: Path | None = field(
        default=None, metadata=about("The certificate's private key in PEM.", example="certs/control.key")
    )
    client_ca: Path | None = field(
        default=None,
        metadata=about(
            "Only clients with a certificate from this CA (PEM) are let in; without it clients need no certificate.",
            example="certs/clients.pem",
        ),
    )
    allow_insecure: bool = field(
        default=False,
        metadata=about(
            "Allow an address other than loopback without TLS, or without client_ca and require_callers. True only "
            "where something else guards the port: a sidecar, or a container whose port is published on loopback."
        ),
    )
    require_callers: bool = field(
        default=False,
        metadata=about(
            "Let in only callers that were made known (gateway callers add), each to what its roles allow. False: "
            "all programs that reach the address may do everything, and tokens are not looked at."
        ),
    )
    default_timeout_seconds: float = field(
        default=60.0,
        metadata=about(
            "The deadline of a command whose caller gave none. More than sessions.call_timeout_seconds: another "
            "command may be before it in the charger's queue.",
            number(1, 3600, "seconds"),
        ),
    )

    offline_grace_seconds: float = field(
        default=300.0,
        metadata=about(
            "A charge point may be offline for so long before the charging states of its connectors are shown as "
            "unknown: links drop and come back.",
            number(0, 86_400, "seconds"),
        ),
    )

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address's parts."""
        return parse_address(self.address)

    def problems(self) -> Problems:
        """TLS settings come together, and what is not loopback needs them."""
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            yield missing, "missing: certificate and key turn on TLS together"
        if self.client_ca is not None and self.certificate is None:
            yield "client_ca", "needs TLS: set certificate and key too"
        if self.certificate is None and not self.allow_insecure and not is_loopback(self.host_and_port[0]):
            yield (
                "address",
                f'"{self.address}" is not loopback and there is no TLS: set certificate and key (and client_ca), or '
                "allow_insecure = true where something else guards the port",
            )
        elif (
            self.client_ca is None
            and not self.require_callers
            and not self.allow_insecure
            and not is_loopback(self.host_and_port[0])
        ):
            yield (
                "address",
                f'"{self.address}" is not loopback and its clients need not show who they are: set client_ca or '
                "require_callers = true, or allow_insecure = true where something else guards the port",
            )


@frozen
class RetentionSettings:
    """Retention of events. What an open transaction needs stays. Whichever limit is met first counts."""

    max_age_days: float = field(
        default=90.0,
        metadata=about(
            "A quarter covers a billing period and the disputes about it; 0: no limit.", number(0, 36500, "days")
        ),
    )
    max_bytes: int = field(
        default=50_000_000_000,
        metadata=about(
            "What the store may take on disk. 18,000 chargers that report each minute make about 10 GB a day; "
            "0: no limit.",
            whole(0, 2**60, "bytes"),
        ),
    )

    def problems(self) -> Problems:
        """A limit below what an empty database takes would delete everything at once."""
        if 0 < self.max_bytes < MIN_MAX_BYTES:
            yield "max_bytes", f"expected 0 (no limit) or at least {MIN_MAX_BYTES}, found {self.max_bytes}"


MIN_MAX_BYTES = 10_000_000
"""An empty database with its write-ahead log takes up to 5 MB."""


@frozen
class StoreSettings:
    """The database: one file and its write-ahead log."""

    path: Path = field(
        default=Path("gateway.db"),
        metadata=about("On a local disk: SQLite's locks do not hold on network file systems."),
    )
    commit_deadline_seconds: float = field(
        default=5.0,
        metadata=about(
            "A commit that takes longer counts as failed: nothing is acknowledged, sessions are closed and chargers "
            "keep what they have. Slow cloud volumes sync in 10 ms; seconds mean that something is wrong.",
            number(0.1, 60, "seconds"),
        ),
    )
    retention: RetentionSettings = field(factory=RetentionSettings)


@frozen
class LoggingSettings:
    """Logs go to standard error, one line each."""

    level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=about(
            "Info has a line per connection and command, none per message.",
            one_of("debug", "info", "warning", "error"),
        ),
    )
    format: Literal["json", "console"] = field(
        default="json",
        metadata=about('"json" for machines, "console" for people.', one_of("json", "console")),
    )


@frozen
class MetricsSettings:
    """Prometheus metrics over HTTP."""

    address: str = field(
        default="127.0.0.1:9464",
        metadata=about('Loopback by default; "off" for none.', address(may_be_off=True)),
    )

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address's parts, None: off."""
        return None if self.address == OFF else parse_address(self.address)


@frozen
class DrainSettings:
    """The drain on SIGTERM: no new connections, what is in flight finishes, sessions are closed, exit 0."""

    deadline_seconds: float = field(
        default=25.0,
        metadata=about(
            "For all of it; then the rest is cut off. Below the 30 seconds that orchestrators give before they kill.",
            number(0, 3600, "seconds"),
        ),
    )
    closes_per_second: float = field(
        default=1_000.0,
        metadata=about(
            "How fast sessions are closed: every close brings a reconnect to the next gateway, whose TLS handshakes "
            "cost a millisecond of a core each.",
            number(1, 100_000),
        ),
    )


@frozen
class Settings:
    """Everything that can be set."""

    listeners: tuple[ListenerSettings, ...] = field(
        metadata=about("Where chargers connect.", filled("[[listeners]] tables", 32))
    )
    control: ControlSettings = field(factory=ControlSettings)
    store: StoreSettings = field(factory=StoreSettings)
    sessions: SessionSettings = field(factory=SessionSettings)
    quirks: tuple[QuirkSettings, ...] = field(
        default=(),
        metadata=about("", at_most("[[quirks]] tables", 256)),
    )
    boot_configuration: tuple[BootConfigurationSetting, ...] = field(
        default=BOOT_CONFIGURATION,
        metadata=about("", at_most("[[boot_configuration]] tables", 64)),
    )
    authorization: AuthorizationSettings = field(factory=AuthorizationSettings)
    logging: LoggingSettings = field(factory=LoggingSettings)
    metrics: MetricsSettings = field(factory=MetricsSettings)
    drain: DrainSettings = field(factory=DrainSettings)

    def places(self) -> list[Place]:
        """Everything that listens, in the order in which a clash is blamed on the later one."""
        found = [Place(f"listeners[{index}]", each.host, each.port) for index, each in enumerate(self.listeners)]
        found.append(Place("control.address", *self.control.host_and_port, both_families=True))
        if (metrics := self.metrics.host_and_port) is not None:
            found.append(Place("metrics.address", *metrics, both_families=True))
        return found

    def problems(self) -> Problems:
        """Return the faults between sections: names and addresses that are used twice, deadlines that contradict."""
        for name in twice(listener.name for listener in self.listeners):
            yield "listeners", f'the name "{name}" is used twice: logs and metrics could not tell them apart'
        for place, other in clashes(self.places()):
            yield place.key, f"{place} is taken by {other.key} ({other}): only one of them can listen there"
        for key in twice(each.key.casefold() for each in self.boot_configuration):
            yield "boot_configuration", f'the key "{key}" is there twice; give its fallbacks as further values'
        if self.control.default_timeout_seconds < self.sessions.call_timeout_seconds:
            yield (
                "control.default_timeout_seconds",
                f"expected at least sessions.call_timeout_seconds ({self.sessions.call_timeout_seconds:g}), found "
                f"{self.control.default_timeout_seconds:g}: commands would be given up before the charger's time is up",
            )
        for key, seconds in (
            ("sessions.ready_after_silence_seconds", self.sessions.ready_after_silence_seconds),
            *(
                (f"quirks[{index}].ready_after_silence_seconds", each.ready_after_silence_seconds)
                for index, each in enumerate(self.quirks)
            ),
        ):
            if seconds >= self.control.default_timeout_seconds:
                yield (
                    key,
                    f"expected less than control.default_timeout_seconds ({self.control.default_timeout_seconds:g}), "
                    f"found {seconds:g}: no command after a quiet reconnect would go out in time",
                )
        if self.sessions.settle_delay_seconds >= self.control.default_timeout_seconds:
            yield (
                "sessions.settle_delay_seconds",
                f"expected less than control.default_timeout_seconds ({self.control.default_timeout_seconds:g}), found "
                f"{self.sessions.settle_delay_seconds:g}: no command after a boot would go out in time",
            )
        if 0 < self.drain.deadline_seconds < self.sessions.close_seconds:
            yield (
                "drain.deadline_seconds",
                f"expected 0 or at least sessions.close_seconds ({self.sessions.close_seconds:g}), found "
                f"{self.drain.deadline_seconds:g}: no connection could be closed in time",
            )


def clashes(places: Sequence[Place]) -> Iterator[tuple[Place, Place]]:
    """Each place that can't be listened on beside an earlier one, with the first such."""
    for index, place in enumerate(places):
        for other in places[:index]:
            if place.clashes(other):
                yield place, other
                break
