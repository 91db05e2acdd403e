"""The gateway's settings: frozen values with defaults, read from a TOML file.

``listeners``, ``chargers``, ``control`` and ``sections`` are the settings, each with its default and the reason for it;
``expectations`` is what a value may be; ``loading`` reads a file and names all of its problems at once; ``example``
renders the commented example file from the same source.
"""

from gateway.app.settings.chargers import (
    AuthorizationSettings,
    BootConfigurationSetting,
    QuirkSettings,
    SessionSettings,
)
from gateway.app.settings.control import ControlSettings, HttpSettings
from gateway.app.settings.example import render_example
from gateway.app.settings.listeners import CertificateFiles, ListenerSettings
from gateway.app.settings.sections import (
    CertificateSettings,
    DrainSettings,
    LoggingSettings,
    MetricsSettings,
    RetentionSettings,
    Settings,
    StoreSettings,
    TracingSettings,
)
from gateway.app.settings.toml_file import examine, load

__all__ = [
    "AuthorizationSettings",
    "BootConfigurationSetting",
    "CertificateFiles",
    "CertificateSettings",
    "ControlSettings",
    "DrainSettings",
    "HttpSettings",
    "ListenerSettings",
    "LoggingSettings",
    "MetricsSettings",
    "QuirkSettings",
    "RetentionSettings",
    "SessionSettings",
    "Settings",
    "StoreSettings",
    "TracingSettings",
    "examine",
    "load",
    "render_example",
]
