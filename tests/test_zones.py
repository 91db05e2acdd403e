"""Zones are there on a system that has none: the package `tzdata` is a dependency (slim images have no zoneinfo)."""

import subprocess
import sys

SCRIPT = """
import zoneinfo
zoneinfo.reset_tzpath(())
print(zoneinfo.ZoneInfo("Europe/London").key)
"""


def test_a_zone_is_found_without_the_systems_files() -> None:
    """With an empty search path only the package is left."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("Europe/London", "")
