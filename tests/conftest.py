"""Settings that all tests share."""

import os
from typing import NoReturn

from hypothesis import settings

# A deadline for a single example measures how busy the machine is, not the code. All else is as Hypothesis chooses:
# with CI set, its own profile makes the examples the same in every run.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


def _refuse(*command: object) -> NoReturn:
    raise AssertionError(f"{command}: it would replace pytest itself, whose verdict would then be lost")


# `gateway serve` starts its process again where OpenSSL was loaded too early. In here that is pytest's process, and the
# second run's output would go where the first one captured it: such a test has to run the command in its own process.
os.execv = os.execve = _refuse
