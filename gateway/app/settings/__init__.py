"""The gateway's settings: frozen values with defaults, read from a TOML file.

``listeners``, ``chargers`` and ``sections`` are the settings, each with its default and the reason for it;
``expectations`` is what a value may be; ``loading`` reads a file and names all of its problems at once; ``example``
renders the commented example file from the same source.
"""

from gateway.app.settings.chargers import (
    AuthorizationSettings,
    BootConfigurationSetting,
    QuirkSettings,
    SessionSettings,
)
from gateway.app.settings.example import render_example
from gateway.app.settings.listeners import CertificateFiles, ListenerSettings
from gateway.app.settings.sections import (
    ControlSettings,
    DrainSettings,
    LoggingSettings,
    MetricsSettings,
    RetentionSettings,
    Settings,
    StoreSettings,
)
from gateway.app.settings.toml_file import examine, load

__all__ = [
    "AuthorizationSettings",
    "BootConfigurationSetting",
    "CertificateFiles",
    "ControlSettings",
    "DrainSettings",
    "ListenerSettings",
    "LoggingSettings",
    "MetricsSettings",
    "QuirkSettings",
    "RetentionSettings",
    "SessionSettings",
    "Settings",
    "StoreSettings",
    "examine",
    "load",
    "render_example",
]
