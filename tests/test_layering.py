"""Imports point one way, and the checker that says so is itself able to say no."""

import subprocess
import sys
from graphlib import CycleError
from pathlib import Path

import pytest

from tests.layering import MAY_IMPORT, Module, lowest_first, modules_of, unused_permissions, violations_in

GATEWAY = Path(__file__).resolve().parent.parent / "gateway"


def test_every_module_of_the_gateway_keeps_the_import_rule() -> None:
    """No import points upwards, sideways, or at a library that belongs to another package."""
    found = violations_in(modules_of(GATEWAY))
    assert not found, "\n".join(map(str, found))


def test_the_rule_allows_no_cycle_between_packages() -> None:
    """The table itself has an order, so that modules which keep it can't form a cycle of packages."""
    assert lowest_first(MAY_IMPORT)[0] in {"errors", "api", "simulator"}


def test_a_table_with_a_cycle_has_no_order() -> None:
    """The check above can fail."""
    with pytest.raises(CycleError):
        lowest_first({"store": frozenset({"journal"}), "journal": frozenset({"store"})})


def test_every_permission_is_used() -> None:
    """The table says what is there, not what was there once or may come."""
    assert not unused_permissions(modules_of(GATEWAY))


def test_a_permission_without_an_import_is_found() -> None:
    """The check above can fail: of four permissions of the journal one is used here."""
    modules = [Module("gateway.journal.journal", "from gateway.store.api import Store")]
    found = [each for each in unused_permissions(modules) if each.startswith("journal:")]
    assert found == ["journal: domain", "journal: errors", "journal: histogram"]


def test_the_rule_knows_of_every_package_it_names() -> None:
    """A row's right-hand side names packages that have rows themselves: a misspelt one would forbid nothing."""
    assert frozenset().union(*MAY_IMPORT.values()) <= MAY_IMPORT.keys()


def test_the_simulator_starts_without_the_rest_of_the_gateway() -> None:
    """Importing the simulator loads the root package and itself: a charger needs nothing of the server."""
    script = (
        "import sys, gateway.simulator\n"
        "print(*sorted({name.split('.')[1] for name in sys.modules if name.startswith('gateway.')}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == ["simulator"]


BROKEN = {
    "upwards": ("store.api", "import gateway.journal", "store may not import gateway.journal"),
    "from the root": ("domain.state", "from gateway import store", "domain may not import gateway.store"),
    "from a package": ("domain.state", "from gateway.store import api", "domain may not import gateway.store"),
    "the root itself": ("domain.state", "import gateway", "domain may not import gateway.gateway"),
    "between siblings": ("session.reader", "import gateway.journal", "session may not import"),
    "past the router": ("control.commands", "from gateway.session import calls", "control may not import"),
    "relatively": ("domain.state", "from ..store import api", "domain may not import gateway.store"),
    "inside a function": ("domain.state", "def f():\n    import gateway.store", "domain may not import"),
    "for types only": (
        "domain.state",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gateway.store import api",
        "domain may not import gateway.store",
    ),
    "by name": (
        "domain.state",
        "import importlib\nimportlib.import_module('gateway.store')",
        "domain may not import gateway.store",
    ),
    "the server from the simulator": ("simulator.car", "import gateway.errors", "simulator may not import"),
    "generated code in the composition root": ("app.serve", "import gateway.api.v1", "app may not import"),
    "a package without a row": ("novelty.module", "", "gateway.novelty has no row"),
    "asyncio in a session": ("session.reader", "from asyncio import Queue", "asyncio is for"),
    "ocpp.v16 in a session": ("session.reader", "from ocpp.v16 import call", "ocpp.v16 is for"),
    "ocpp.v16 by its parent": ("session.reader", "from ocpp import v16", "ocpp.v16 is for"),
    "a version in a session": ("session.reader", "from gateway.ocpp import v16", "gateway.ocpp.v16 is for"),
    "a version in the domain of all": (
        "ocpp.rpc",
        "from gateway.ocpp.v16.protocol import X",
        "gateway.ocpp.v16 is for",
    ),
    "ocpp.v16 beside gateway.ocpp.v16": ("ocpp.rpc", "import ocpp.v16.call", "ocpp.v16 is for"),
    "websockets in a transport": ("transport.tls", "import websockets.server", "websockets is for"),
    "trio_websocket in a transport": ("transport.tls", "import trio_websocket", "trio_websocket is for"),
    "both loops in one module": ("control.server", "import asyncio\nimport trio.lowlevel", "only the bridge"),
    "trio in a decoder": ("ocpp.rpc", "from trio import Event", "may not import trio.Event"),
    "a socket in framing": ("framing.parser", "import socket", "may not import socket"),
    "TLS in framing": ("framing.parser", "import ssl", "may not import ssl"),
    "the process's clock": ("domain.state", "from time import time", "may not import time.time"),
    "the wall clock": (
        "domain.state",
        "from datetime import UTC, datetime as at\nNOW = at.now(UTC)",
        "at.now: the clock",
    ),
    "the wall clock by its library": ("domain.state", "import datetime\ndatetime.date.today()", "datetime.date.today"),
    "time in a handler": ("ocpp.v16.profiles.core", "import time\nNOW = time.time()", "may not import time"),
    "time in a session": ("session.reader", "from time import time\nNOW = time()", "time.time: the clock"),
    "time under another name": ("session.reader", "import time as t\nNOW = t.time()", "time: the clock"),
    "a function of it under another name": (
        "ocpp.v16.profiles.core",
        "from time import time as now\nnow()",
        "may not import time.time",
    ),
    "time by name": ("session.reader", "import importlib\nimportlib.import_module('time').time()", "time: the clock"),
    "a monotonic clock in a journal": ("journal.writer", "import time\nBEGAN = time.monotonic()", "time: the clock"),
    "a clock in a function": ("feed.feed", "def f():\n    from time import monotonic", "time.monotonic: the clock"),
    "the wall clock in a handler": (
        "ocpp.v16.profiles.core",
        "from datetime import datetime\ndatetime.now()",
        "datetime.now:",
    ),
    "the wall clock in a session": (
        "session.reader",
        "import datetime as d\nd.datetime.utcnow()",
        "d.datetime.utcnow:",
    ),
    "the wall clock in a router": ("session.router", "from datetime import date as day\nday.today()", "day.today: the"),
    "the wall clock in the control interface": (
        "control.server",
        "from datetime import datetime\nf(datetime.now)",
        "now:",
    ),
    "the wall clock by another name": (
        "session.reader",
        "from datetime import datetime\nat = datetime\nread = at.now\n",
        "at.now: the clock",
    ),
    "the wall clock out of another module": (
        "session.reader",
        "from gateway.domain.values import datetime\ndatetime.now()",
        "datetime.now: the clock",
    ),
    "the wall clock by getattr": (
        "ocpp.v16.profiles.core",
        "from datetime import datetime\ngetattr(datetime, 'now')()",
        "the clock is injected",
    ),
    "an identifier made of the time": ("ocpp.v16.profiles.core", "import uuid\nuuid.uuid1()", "uuid.uuid1: the clock"),
    "another such": ("session.reader", "from uuid import uuid7 as new\nnew()", "new: the clock"),
    "the process's times": ("session.reader", "import os\nos.times()", "os.times: the clock"),
    "Trio's clock in a handler": (
        "ocpp.v16.profiles.core",
        "import trio\nNOW = trio.current_time()",
        "may not import trio",
    ),
    "Trio's clock in a handler by itself": (
        "ocpp.v16.profiles.core",
        "from trio import current_time as t\nt()",
        "may not import trio.current_time",
    ),
    "a clock in the composition root": (
        "chargers.admission",
        "from datetime import datetime\ndatetime.now()",
        "datetime.now",
    ),
}


@pytest.mark.parametrize(("module", "source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named_with_its_module(module: str, source: str, reason: str) -> None:
    """Each way to break the rule is one violation, which names the module and what is wrong."""
    found = violations_in([Module(f"gateway.{module}", source)])
    assert [each.module for each in found] == [f"gateway.{module}"]
    assert reason in found[0].reason


KEPT = {
    "downwards": ("journal.writer", "from gateway.store import api\nimport gateway.errors"),
    "inside one's own package": ("store.sqlite.rows", "from gateway.store import api\nfrom .. import api"),
    "a library's name as a prefix": ("session.reader", "import websockets_of_another_kind"),
    "another part of ocpp": ("ocpp.rpc", "import ocpp.exceptions"),
    "a library at home": ("ocpp.v16.codec", "from ocpp.v16 import call"),
    "both loops in the bridge": ("bridge.loop", "import asyncio\nimport trio"),
    "an injected clock": (
        "domain.state",
        "from datetime import datetime\n\ndef age(now, at: datetime):\n    return now() - at, facts.now",
    ),
    "an injected clock in a handler": (
        "ocpp.v16.profiles.core",
        "def decide(facts):\n    return facts.now, facts.clock.now()",
    ),
    "Trio's clock in a session": ("session.reader", "import trio\nNOW = trio.current_time()"),
    "the clock where it is made": ("app.serve", "from datetime import UTC, datetime\nNOW = datetime.now(UTC)"),
    "a time out of a number": ("ocpp.v16.profiles.core", "from datetime import datetime\ndatetime.fromtimestamp(0)"),
    "a random identifier": ("session.reader", "import uuid\nuuid.uuid4()"),
}


@pytest.mark.parametrize(("module", "source"), KEPT.values(), ids=KEPT)
def test_a_kept_rule_is_not_reported(module: str, source: str) -> None:
    """An import that the rule allows passes."""
    assert violations_in([Module(f"gateway.{module}", source)]) == []


def test_a_relative_import_in_a_package_counts_from_the_package() -> None:
    """One dot in an `__init__` is the package itself, two are its parent."""
    source = "from . import state\nfrom ..store import api"
    found = violations_in([Module("gateway.domain", source, is_package=True)])
    assert [each.reason for each in found] == ["domain may not import gateway.store"]


def test_a_second_module_with_the_websocket_library_is_reported() -> None:
    """One module of framing holds the library; the next one that imports it is named."""
    source = "import websockets.server"
    found = violations_in([Module("gateway.framing.handshake", source), Module("gateway.framing.parser", source)])
    assert [str(each) for each in found] == [
        "gateway.framing.parser:1: websockets belongs to gateway.framing.handshake alone"
    ]


def test_modules_are_named_by_their_place(tmp_path: Path) -> None:
    """An `__init__` has its package's name, and is known to be a package."""
    package = tmp_path / "gateway" / "store"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "api.py").write_text("X = 1\n")
    assert modules_of(tmp_path / "gateway") == [
        Module("gateway.store", "", is_package=True),
        Module("gateway.store.api", "X = 1\n"),
    ]
