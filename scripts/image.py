"""Builds the image from the Dockerfile by buildah, and runs it in a chroot of its layers, health check included.

    python -m scripts.image             # on a base of Debian's packages, made by debootstrap: no registry is asked
    SUITE=bookworm python -m scripts.image
    BASE=python:3.12-slim python -m scripts.image

Needs root, buildah and debootstrap (`make image` installs both where it may). With CI set it fails where they are
missing; elsewhere it says what was left out. A machine that lets root make no device and mount nothing, as some
sandboxes don't, can't build it at all, which is said too. Everything is below .tools/image.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from gateway.cli.certs import dev
from scripts.pythons import Missing, mirror

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".tools" / "image"

SUITES = ("forky", "trixie")
"""Debian's releases whose packages make a base, and whose Python is then the image's: the first has the one that the
Dockerfile has by default, too. It still changes, so the second stands in for it where it can't be installed."""

OWN_RULES = "sid"
"""The rules by which debootstrap makes a base of a release that is newer than itself."""

SCRIPTS = Path("/usr/share/debootstrap/scripts")
"""Where debootstrap has its rules for each release."""

PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"

IMAGE = "localhost/ocpp-gateway"

OPTIONS = ("--root", str(PLACE / "storage"), "--runroot", str(PLACE / "run"), "--storage-driver", "vfs")
"""Nothing of the machine's own images is touched, and no file system of layers is needed."""

OF_THIS_MACHINE = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Where packages come from, and whom to trust: lent to the build, and in no layer."""

BUILD_SECONDS = 1200
"""For a step of the build; it downloads 50 MB, and a layer is a copy of the one before."""

READY_SECONDS = 60
"""Until the gateway in the image answers its health check: as long as the image gives itself."""

ALLOWED = 'mknod "$1/null" c 1 3 && : > "$1/null" && unshare --mount mount --bind "$1" "$1" && chroot / true'
"""What debootstrap and a chroot need to be allowed, in a folder."""

SETTINGS = """
[[listeners]]
host = "127.0.0.1"
port = 0
certificates = [{ certificate = "server-ecdsa.pem", key = "server-ecdsa.key" }]
[control]
address = "127.0.0.1:50051"
[metrics]
address = "off"
[store]
path = "/var/lib/gateway/gateway.db"
"""


class Failed(Exception):
    """A step that failed; the message says which."""


def run(command: Sequence[str], seconds: float = BUILD_SECONDS, **options: Any) -> str:
    """Run a command and return what it printed. Raises Failed with what it said."""
    done = subprocess.run(command, check=False, cwd=ROOT, text=True, capture_output=True, timeout=seconds, **options)
    if done.returncode:
        raise Failed(f"{' '.join(command[:3])} …: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return str(done.stdout).strip()


def buildah(command: str, *arguments: str) -> str:
    """A command of buildah."""
    return run(["buildah", *OPTIONS, command, *arguments])


def refusal() -> str | None:
    """Return why no device can be made or nothing mounted here, in the words of this machine; None: both can be."""
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        try:
            run(["sh", "-c", ALLOWED, "sh", folder], 60)
        except Failed as failed:
            return str(failed).splitlines()[-1]
    return None


def make_base(suites: Sequence[str]) -> str:
    """The base of Debian's packages, as an image: of the first release that can be had; made where it is not there.

    Raises Failed.
    """
    for suite in suites:
        try:
            return base_of(suite)
        except Failed as failed:
            print(f"Debian's {suite} was left out: {failed}", flush=True)
    raise Failed("the image has no base")


def base_of(suite: str) -> str:
    """The base of one release. Raises Failed."""
    base = f"localhost/gateway-base-{suite}"
    if base not in buildah("images", "--format", "{{.Name}}").splitlines():
        print(f"Making a base of the packages of Debian's {suite}", flush=True)
        bootstrap(suite, base)
    return base


def bootstrap(suite: str, base: str) -> None:
    """Make a release's packages an image. Raises Failed."""
    try:
        server = mirror()
    except Missing as missing:
        raise Failed(str(missing)) from missing
    rules = suite if (SCRIPTS / suite).exists() else OWN_RULES
    with tempfile.TemporaryDirectory(dir=PLACE) as folder:
        run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, folder, server, rules])
        for each in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(Path(folder, each), ignore_errors=True)
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, folder, "/")
    buildah("commit", "--quiet", "--rm", container, base)


def build(base: str) -> None:
    """The image, by the Dockerfile as it is."""
    lent = [option for path in OF_THIS_MACHINE if Path(path).exists() for option in ("--volume", f"{path}:{path}:ro")]
    isolation = ["--isolation", "chroot", "--format", "docker"]
    buildah("build", *isolation, *lent, "--build-arg", f"BASE={base}", "--tag", IMAGE, ".")


def check() -> str:
    """Run the image, ask it by its own health check, and end it; returns its Python and its time to be ready, in words.

    Raises Failed.
    """
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    if config["User"] != "gateway":
        raise Failed(f"it runs as {config['User']!r}, not as gateway")
    kind, *asking = config["Healthcheck"]["Test"]
    if kind != "CMD":
        raise Failed(f"its health check is of the kind {kind}")
    container = buildah("from", IMAGE)
    try:
        with tempfile.TemporaryDirectory() as folder:
            served = _served(container, config, asking, Path(folder))
        python = buildah("run", "--isolation", "chroot", container, "--", "python", "--version")
        return f"{python}, {served}"
    finally:
        buildah("rm", container)


def _served(container: str, config: Any, asking: list[str], folder: Path) -> str:
    with redirect_stdout(StringIO()):
        dev(directory=folder / "certs")
    settings = folder / "certs" / "gateway.toml"
    settings.write_text(SETTINGS, encoding="utf-8")
    for path in (folder, settings.parent, *settings.parent.iterdir()):
        os.chown(path, 10001, 10001)
    inside = ["buildah", *OPTIONS, "run", "--isolation", "chroot", "--user", config["User"]]
    inside += ["--volume", f"{settings.parent}:/etc/gateway:ro", container, "--"]
    command = [*inside, *config["Entrypoint"], *config["Cmd"], "--until-stdin-closes"]
    began = time.monotonic()
    with (folder / "log").open("w+", encoding="utf-8") as log:
        serving = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
        try:
            while (asked := subprocess.run([*inside, *asking], check=False, capture_output=True, text=True)).returncode:
                if serving.poll() is not None or time.monotonic() - began > READY_SECONDS:
                    log.seek(0)
                    raise Failed(f"it does not become healthy: {asked.stderr}\n{log.read()[-3000:]}")
                time.sleep(0.2)
            took = time.monotonic() - began
        finally:
            assert serving.stdin is not None
            serving.stdin.close()
            code = serving.wait(READY_SECONDS)
        log.seek(0)
        said = log.read()
    if code or "gateway stopped" not in said:
        raise Failed(f"it ended with {code}:\n{said[-3000:]}")
    return f"healthy after {took:.1f} s, drained, exit code 0"


def main() -> int:
    """Build and try the image; the exit code."""
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        print(f"{', '.join(missing) or 'root'} was not found: the image was not built")
        return 1 if os.environ.get("CI") else 0
    PLACE.mkdir(parents=True, exist_ok=True)
    if (said := refusal()) is not None:
        print(f"this machine does not allow what a chroot needs ({said}): the image was not built")
        return 0
    began = time.monotonic()
    try:
        suite = os.environ.get("SUITE")
        base = os.environ.get("BASE") or make_base([suite] if suite else SUITES)
        print(f"Building {IMAGE} on {base}", flush=True)
        build(base)
        print(f"Built {IMAGE} in {time.monotonic() - began:.0f} s: {check()}")
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
