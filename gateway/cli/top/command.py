"""`gateway top`: sessions, power, events and commands of the fleet on a full screen."""

import os
import sys
from datetime import UTC, datetime

from gateway.cli.connection import DEFAULT_TARGET, TargetOption, connect
from gateway.cli.output import fail


def top(target: TargetOption = DEFAULT_TARGET) -> None:
    """Watch sessions, power, events and commands on a full screen, until q.

    / searches, o orders by power, trouble or name, enter opens the charge point under the cursor, escape goes back.
    """
    if not all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        fail("gateway top needs a terminal; `gateway watch --lines` and `gateway chargers readings` need none")
    if os.environ.get("TERM", "") in ("", "dumb"):
        fail("gateway top needs a terminal that can be drawn on: TERM names none")
    # The libraries of the screen take a quarter of a second: for those who want it.
    from gateway.cli.top.feed import Feed
    from gateway.cli.top.screen import Top

    with connect(target) as gateway:
        feed = Feed(gateway)
        app = Top(feed, target, lambda: datetime.now(UTC))
        try:
            app.run()
        finally:
            feed.close()
        if app.error is not None:
            raise app.error
