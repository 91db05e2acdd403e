"""Answers of a charger to a new key, and the keys that let it in after each (WP A01.FR.03, A01.FR.04, A7.7, A7.8)."""

from enum import StrEnum


class KeyAnswer(StrEnum):
    """Meaning of an answer, or of the lack of one, for a setting that a charger was sent. Which word has which is the
    protocol's."""

    TAKEN = "TAKEN"
    """It holds from now on: of a key, no other one does."""
    AFTER_BOOT = "AFTER_BOOT"
    """It holds from the next boot on: of a key, the one before it does until then."""
    REFUSED = "REFUSED"
    """It does not hold."""
    UNKNOWN = "UNKNOWN"
    """It may hold or not: both keys are admitted until the charger has used one."""
