"""Events of a charge point's configuration keys."""

from typing import ClassVar, TypeAlias

from attrs import frozen

from gateway.domain.commands import ConfigurationKey


@frozen
class ConfigurationReported:
    """Configuration keys as a GetConfiguration returned them; secrets are redacted."""

    TYPE: ClassVar[str] = "configuration.reported"
    VERSION: ClassVar[int] = 1
    keys: tuple[ConfigurationKey, ...]
    unknown_keys: tuple[str, ...] = ()


@frozen
class BootConfigurationApplied:
    """One key of the platform's configuration: ``status`` is ``Asked`` before it is put to the charger, then the
    charger's word or, where it gave none, ``Error:<code>``. ``firmware_version`` is what it ran then: other firmware
    is asked again."""

    TYPE: ClassVar[str] = "configuration.applied"
    VERSION: ClassVar[int] = 1
    key: str
    value: str
    status: str
    firmware_version: str | None = None
    attempts: int = 0
    """How often this firmware was asked for the key, this time included."""
    fingerprint: str = ""
    """Digest of the value, keyed by the store, where ``value`` hides it: two that differ are two values. Never
    shown; else empty."""


Body: TypeAlias = ConfigurationReported | BootConfigurationApplied
