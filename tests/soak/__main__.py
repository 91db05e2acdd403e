"""``python -m tests.soak [--seconds N]``: the long form of ``test_soak``; with ``--nodes N`` several gateways on one
PostgreSQL, an hour of them unless it is said."""

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from tests.endtoend.gateway_process import development_certificates
from tests.soak import nodes
from tests.soak.soaking import soak

SECONDS, NODES_SECONDS = 600.0, 3_600.0
"""By default."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of the churn; 600 by default, 3600 with --nodes")
    parser.add_argument("--minutes", type=float, help="in the place of --seconds")
    parser.add_argument("--chargers", type=int, default=16, help="of a single gateway (%(default)s)")
    parser.add_argument("--nodes", type=int, default=0, help="so many gateways, and all that they rest on fails")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what fails, and when")
    options = parser.parse_args()
    seconds = options.seconds or (NODES_SECONDS if options.nodes else SECONDS)
    if options.minutes:
        seconds = 60 * options.minutes
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    with tempfile.TemporaryDirectory(prefix="gateway-soak-") as name:
        folder = Path(name)
        certificates = development_certificates(folder / "certs")
        churn = partial(soak, folder, certificates, seconds, options.chargers)
        if options.nodes:
            churn = partial(nodes.soak, folder, certificates, seconds, options.nodes)
        try:
            reported = trio.run(churn)
        except BaseException:
            for log in sorted(folder.rglob("gateway.log")):
                tail = log.read_text(errors="replace").splitlines()[-40:]
                print(log.parent.name, *tail, sep="\n", file=sys.stderr)
            raise
    print(reported)


if __name__ == "__main__":
    main()
