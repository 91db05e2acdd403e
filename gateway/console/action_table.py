"""The actions that a person may ask for: their fields, and the words said before."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from gateway.console import action_requests
from gateway.console.calls import Gateway
from gateway.console.form_fields import Field

OPERATION, COMMAND, CHANGE = "operation", "command", "change"


@frozen
class Action:
    """``what``: what will happen, in sentences. ``ends``: how it is followed: as an operation, a command, or a change
    that is done when it is answered. ``danger``: it interrupts a driver, or can't be taken back."""

    name: str
    title: str
    what: tuple[str, ...]
    ends: str
    rpc: Callable[[Gateway], Any]
    request: Callable[[str, str, Mapping[str, str]], Any]
    fields: tuple[Field, ...] = ()
    danger: bool = False


CONNECTOR: Final = Field("connector", "Connector", "number", hint="As the charger numbers it, from 1.", default="1")
ANY_CONNECTOR: Final = Field(
    "connector", "Connector", "number", required=False, hint="Empty: the charge point as a whole."
)
INSIST: Final = Field("insist", "Do it although the gateway sees a reason against it", "checkbox", required=False)
UNTIL: Final = Field("until", "Until (UTC)", "datetime-local", required=False, hint="Empty: until it is lifted.")
WHY: Final = Field("why", "Why, for those who read the history", required=False)


_ALL: Final = (
    Action(
        "start",
        "Start charging",
        (
            "The charger is asked to start a session for the tag, as if it had been held to the reader.",
            "It is done when a session has come of it and the meter shows power. Nothing is sent twice.",
        ),
        OPERATION,
        lambda gateway: gateway.operations.StartCharging,
        action_requests.start,
        (Field("id_tag", "Tag to charge for"), CONNECTOR, INSIST),
    ),
    Action(
        "stop",
        "Stop charging",
        (
            "The charger is asked to end the session; the driver has to start again to go on.",
            "It is done when the charger has stopped it, or the meter shows no power any more.",
        ),
        OPERATION,
        lambda gateway: gateway.operations.StopCharging,
        action_requests.stop,
        (
            Field("transaction_id", "Session", required=False, hint="Empty: the only one that runs."),
            Field("connector", "Connector", "number", required=False),
        ),
        danger=True,
    ),
    Action(
        "limit",
        "Limit charging",
        (
            "A limit is set by hand. It comes before a plan until it is lifted or its time is over.",
            "It is kept for a charger that is offline. It is done when the meter shows that it holds.",
        ),
        OPERATION,
        lambda gateway: gateway.operations.LimitCharging,
        action_requests.limit,
        (
            Field("value", "Limit", "number"),
            Field("unit", "Unit", "select", options=(("A", "A per phase"), ("W", "W over all phases"))),
            Field(
                "phases",
                "Phases",
                "select",
                required=False,
                hint="Those that are used: a power is put in A by them.",
                options=(("", "not given"), ("1", "1"), ("2", "2"), ("3", "3")),
            ),
            ANY_CONNECTOR,
            UNTIL,
        ),
    ),
    Action(
        "pause",
        "Pause charging",
        ("A limit of 0 is set by hand. The session stays open, and goes on when the pause is lifted.",),
        OPERATION,
        lambda gateway: gateway.operations.PauseCharging,
        action_requests.pause,
        (ANY_CONNECTOR, UNTIL),
    ),
    Action(
        "resume",
        "Lift limit or pause",
        ("The limit or pause that was set by hand is lifted; a plan, if there is one, holds again.",),
        OPERATION,
        lambda gateway: gateway.operations.ResumeCharging,
        action_requests.resume,
        (ANY_CONNECTOR,),
    ),
    Action(
        "plan",
        "Set a plan",
        (
            "The plan takes the place of the one before. The gateway brings it onto the charger and keeps it there.",
            "A limit that was set by hand comes before it.",
        ),
        CHANGE,
        lambda gateway: gateway.steering.SetPlan,
        action_requests.plan,
        (
            CONNECTOR,
            Field(
                "steps",
                "Steps",
                "textarea",
                hint="A line each: a time in UTC (2026-11-27T22:00) and amperes, 0 for a pause, or none. "
                "The last line is the end of the plan, a time alone.",
            ),
            WHY,
        ),
    ),
    Action(
        "clear-plan",
        "Take the plan back",
        ("The plan is taken back, and its limit is removed from the charger. A limit set by hand stays.",),
        CHANGE,
        lambda gateway: gateway.steering.ClearPlan,
        action_requests.clear_plan,
        (CONNECTOR, WHY),
    ),
    Action(
        "reset",
        "Restart the charger",
        (
            "The charger restarts, and is away for a minute or more.",
            "Soft: sessions are ended in order first. Hard: at once, and a session may end without its stop.",
        ),
        COMMAND,
        lambda gateway: gateway.commands.Reset,
        action_requests.reset,
        (Field("type", "Kind", "select", options=(("soft", "Soft"), ("hard", "Hard"))),),
        danger=True,
    ),
    Action(
        "unlock",
        "Unlock a connector",
        (
            "The lock of the plug is opened, for a cable that is stuck.",
            "Where a session runs the charger ends it. It is not the way to stop one.",
        ),
        COMMAND,
        lambda gateway: gateway.commands.UnlockConnector,
        action_requests.unlock,
        (CONNECTOR,),
        danger=True,
    ),
    Action(
        "trigger",
        "Ask for a message",
        ("The charger is asked to send a message now. Nothing else changes.",),
        COMMAND,
        lambda gateway: gateway.commands.TriggerMessage,
        action_requests.trigger,
        (Field("message", "Message", "select", options=action_requests.TRIGGERS), ANY_CONNECTOR),
    ),
    Action(
        "availability",
        "Into or out of use",
        (
            "Out of use: the connector takes no new sessions. One that runs goes on to its end first.",
            "Into use: it is free again.",
        ),
        COMMAND,
        lambda gateway: gateway.commands.ChangeAvailability,
        action_requests.availability,
        (Field("type", "", "select", options=(("in", "Into use"), ("out", "Out of use"))), ANY_CONNECTOR),
        danger=True,
    ),
    Action(
        "configure",
        "Change a configuration key",
        (
            "The key is set on the charger. Some count after a restart, and the charger says so.",
            "What the platform asks for after each boot may set it back.",
        ),
        COMMAND,
        lambda gateway: gateway.commands.ChangeConfiguration,
        action_requests.configure,
        (Field("key", "Key"), Field("value", "Value", required=False)),
        danger=True,
    ),
    Action(
        "read-configuration",
        "Read the configuration",
        ("The charger is asked for all of its keys. Nothing changes.",),
        COMMAND,
        lambda gateway: gateway.commands.GetConfiguration,
        action_requests.read_configuration,
    ),
    Action(
        "firmware",
        "Update the firmware",
        (
            "The charger fetches the firmware from the address and installs it; it restarts, and ends sessions first.",
            "A wrong firmware may put it out of service for good. Each stage is shown as it is reached; some chargers "
            "report none, and are followed for a day.",
        ),
        OPERATION,
        lambda gateway: gateway.operations.InstallFirmware,
        action_requests.firmware,
        (
            Field("location", "Address of the firmware", "url"),
            Field("at", "From when on (UTC)", "datetime-local", required=False, hint="Empty: at once."),
        ),
        danger=True,
    ),
    Action(
        "signed-firmware",
        "Install signed firmware",
        (
            "It fetches the firmware, verifies its signature, and installs it; it restarts, and ends sessions first.",
            "Each stage is shown as it is reached. It is done when the charger reports it as installed.",
        ),
        OPERATION,
        lambda gateway: gateway.operations.InstallFirmware,
        action_requests.signed_firmware,
        (
            Field("location", "Address of the firmware", "url"),
            Field("certificate", "Certificate that signed it", "textarea", hint="In PEM, valid now."),
            Field("signature", "Signature", "textarea", hint="In base64."),
            Field("at", "Fetched from when on (UTC)", "datetime-local", required=False, hint="Empty: at once."),
            Field(
                "install_at",
                "Installed from when on (UTC)",
                "datetime-local",
                required=False,
                hint="Empty: when fetched.",
            ),
        ),
        danger=True,
    ),
    Action(
        "read-certificates",
        "Read the root certificates",
        ("The charger is asked which root certificates it has. Nothing changes.",),
        COMMAND,
        lambda gateway: gateway.commands.GetInstalledCertificateIds,
        action_requests.read_certificates,
        (Field("use", "To know", "select", options=(("gateway", "the gateway"), ("firmware", "signed firmware"))),),
    ),
)

ACTIONS: Final[Mapping[str, Action]] = {each.name: each for each in _ALL}
"""By name, in the order in which a page shows them."""
