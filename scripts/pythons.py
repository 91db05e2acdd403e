"""Run the tests on the lowest supported Python and on a newer one, each unpacked from the Debian suite that has it.

`make test-pythons` calls it, and `make coverage` asks it for the newer one. An interpreter that this machine has is
used as it is; any other is unpacked with its own libraries into ``.pythons/``, from the mirror that the machine's own
apt sources name, and nothing is installed. The packages are the locked ones, by hash. Prints each version that ran.
Where a version can't be had, it says which and why; with ``CI`` set that fails the run. So does, anywhere, a version
that ran no test.
"""

import argparse
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".pythons"
LOCK = ROOT / "requirements-dev.lock"

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Who signs Debian's suites, old and new; apt itself has it."""

APT_SECONDS = 600
INSTALL_SECONDS = 900
TEST_SECONDS = 45 * 60
"""Of one version: the suite takes some minutes on an idle core."""

EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Wanted:
    """A Python to test on: what its version starts with, and the Debian suite that has it."""

    version: str
    suite: str

    @property
    def minor(self) -> str:
        """As ``3.11``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def folder(self) -> Path:
        """The folder it is unpacked into."""
        return FOLDER / f"{self.version}-{self.suite}"


FLOOR = Wanted("3.11.2", "bookworm")
"""Debian 12's own, and the lowest that the README names."""

NEWER = (Wanted("3.14", "sid"), Wanted("3.13", "trixie"))
"""The newest first. One of them has to run: the suites that still change may no longer have theirs one day."""


class Missing(Exception):
    """A version that can't be had here, and why."""


# --- interpreters -----------------------------------------------------------------------------------------------


def interpreter(wanted: Wanted) -> Path:
    """This machine's own, or the unpacked one. Raises Missing."""
    own = Path("/usr/bin") / f"python{wanted.minor}"
    if fits(wanted, own):
        return own
    unpacked = wanted.folder / "usr" / "bin" / f"python{wanted.minor}"
    if not fits(wanted, unpacked):
        unpack(wanted, unpacked)
    if not fits(wanted, unpacked):
        raise Missing(f"what Debian's {wanted.suite} has as python{wanted.minor} is {version_of(unpacked) or 'broken'}")
    return unpacked


def version_of(python: Path) -> str | None:
    """None where it isn't there or doesn't start."""
    try:
        asked = [str(python), "-c", "import platform, sqlite3, ssl, venv; print(platform.python_version())"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def fits(wanted: Wanted, python: Path) -> bool:
    """Return true if it is the version, or a patch release of it."""
    found = version_of(python)
    return found is not None and f"{found}.".startswith(f"{wanted.version}.")


def unpack(wanted: Wanted, python: Path) -> None:
    """Fetch the interpreter's packages with all libraries they need, down to libc, and unpack them. Raises Missing."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Missing(f"{program} was not found: Pythons are unpacked from Debian's packages")
    if not KEYRING.exists():
        raise Missing(f"{KEYRING} was not found: Debian's packages could not be verified")
    shutil.rmtree(wanted.folder, ignore_errors=True)
    apt = wanted.folder / "apt"
    options = apt_options(apt, wanted.suite)
    call(["apt-get", *options, "--quiet", "update"], APT_SECONDS)
    packages = [f"python{wanted.minor}", "libstdc++6"]
    call([*fetching(options), *packages], APT_SECONDS)
    for package in sorted((apt / "archives").glob("*.deb")):
        call(["dpkg-deb", "--extract", str(package), str(wanted.folder)], APT_SECONDS)
    shutil.rmtree(apt)
    wrap(wanted.folder, python)


def fetching(options: Sequence[str]) -> list[str]:
    """The command that only downloads. With an empty list of what is installed, everything needed comes along."""
    return ["apt-get", *options, "--quiet", "--yes", "--download-only", "--no-install-recommends", "install"]


def apt_options(folder: Path, suite: str) -> list[str]:
    """An apt of its own: one suite, the machine's mirror, and nothing of the machine's state read or written."""
    for each in ("lists/partial", "archives/partial", "none"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    sources, status = folder / "sources.list", folder / "status"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    status.touch()
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": folder / "none",
        "Dir::Etc::Preferences": folder / "no-preferences",
        "Dir::Etc::PreferencesParts": folder / "none",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": status,
        "Dir::State::Extended_States": folder / "extended_states",
        "Dir::Cache": folder,
        "Dir::Cache::Archives": folder / "archives",
        "Debug::NoLocking": "1",  # the folder is this run's own, and who runs it may be no root
        "APT::Sandbox::User": "",
        "Acquire::Retries": "3",
        "Acquire::Languages": "none",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def mirror() -> str:
    """Return the address this machine gets Debian from, by its own apt sources. Raises Missing."""
    asked = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(SITE)", "Created-By: Packages"]
    for line in call(asked, APT_SECONDS).splitlines():
        origin, _, rest = line.partition(" ")
        codename, _, site = rest.partition(" ")
        if origin == "Debian" and site and "-" not in codename:  # not its updates, not its security suite
            return site
    # Before the first `apt-get update` apt knows no origins: then what the sources themselves say.
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if path.is_file() and (found := re.search(MIRROR, path.read_text(), re.MULTILINE)):
            return found[1]
    raise Missing("this machine's apt sources name no Debian mirror")


MIRROR = r"^(?:URIs:|deb(?: \[[^\]]*\])?) *(\S+/debian)/?(?:\s|$)"
"""In a list of sources, old or new format."""


def wrap(folder: Path, python: Path) -> None:
    """Put a script in the interpreter's place that starts it with its own libc: the machine's may be older.

    Nothing is put into the environment, so that other programs which the tests start keep the machine's libraries.
    """
    loaders = sorted(folder.glob("usr/lib*/ld-linux*.so.*")) + sorted(folder.glob("lib*/ld-linux*.so.*"))
    libraries = sorted(each for place in ("lib", "usr/lib") for each in folder.glob(f"{place}/*-linux-gnu*"))
    if not loaders or not libraries or not python.exists():
        raise Missing(f"the packages hold no {python.name} that can be started")
    real = python.with_name(f"{python.name}.real")
    python.rename(real)
    paths = ":".join(map(str, libraries))
    command = (
        f'{shlex.quote(str(loaders[0]))} --argv0 "$0" --library-path {shlex.quote(paths)} {shlex.quote(str(real))}'
    )
    python.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    python.chmod(0o755)


def call(command: Sequence[str | Path], seconds: float) -> str:
    """Run a command and return its output. Raises Missing with its error, addresses left out."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(each) for each in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{name} took longer than {seconds:.0f} s") from error
    if done.returncode:
        said = re.sub(r"\S+://\S+", "…", " ".join(done.stdout.split()[-60:]))
        raise Missing(f"{name} ended with {done.returncode}: {said}")
    return done.stdout


# --- tests ------------------------------------------------------------------------------------------------------


def environment_for(wanted: Wanted, python: Path) -> Path:
    """The Python of a virtual environment with the locked packages; made anew when lock or metadata changed.

    Needs no ``python3-venv``: this run's pip installs into it. Raises Missing.
    """
    folder = FOLDER / f"venv-{wanted.version}"
    inside, stamp = folder / "bin" / "python", folder / ".installed"
    sources = (LOCK, ROOT / "pyproject.toml")
    if (
        fits(wanted, inside)
        and stamp.exists()
        and all(stamp.stat().st_mtime > each.stat().st_mtime for each in sources)
    ):
        return inside
    call([python, "-m", "venv", "--clear", "--without-pip", folder], INSTALL_SECONDS)
    install = installer(inside)
    call([*install, "--require-hashes", "--only-binary", ":all:", "--requirement", LOCK], INSTALL_SECONDS)
    call([*install, "--no-deps", "--no-build-isolation", "--editable", ROOT], INSTALL_SECONDS)
    stamp.touch()
    return inside


def installer(inside: Path) -> list[str | Path]:
    """The command that installs into an environment: this run's pip, or uv where it has none."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--python", inside, "install", "--quiet", "--disable-pip-version-check"]
    beside = Path(sys.executable).with_name("uv")
    return [beside if beside.exists() else "uv", "pip", "install", "--quiet", "--python", inside]


@dataclass(frozen=True)
class Run:
    """Result of one version's tests."""

    version: str
    code: int
    seconds: float
    log: Path

    @property
    def summary(self) -> str:
        """Counts of tests, as pytest prints them."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        counts = [line for line in lines if re.match(r"=*\s*(\d+ \w+, )*\d+ \w+ in [\d.]+s", line)]
        return (counts or lines or ["nothing was printed"])[-1].strip("= ")


def test(wanted: Wanted, python: Path, arguments: Sequence[str]) -> Run:
    """Run the suite; what it prints goes to a file."""
    version = version_of(python) or "broken"
    log = FOLDER / f"{wanted.version}.log"
    print(f"Python {version}: running the tests, output in {log.relative_to(ROOT)}", flush=True)
    began = time.monotonic()
    with log.open("wb") as file:
        command = [str(python), "-m", "pytest", "-q", "-rs", "--durations=10", *arguments]
        environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        # In a session of its own: what the tests have started ends with them, also where they are cut off.
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = running.wait(TEST_SECONDS)
        except subprocess.TimeoutExpired:
            file.write(f"\nended after {TEST_SECONDS} s\n".encode())
            code = 1
        finally:
            end(running)
    return Run(version, code, time.monotonic() - began, log)


def end(running: subprocess.Popen[bytes]) -> None:
    """End a run with all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def main() -> int:
    """The exit code: 0 where every version ran and passed, or, outside CI, where those passed that could be had."""
    options = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], epilog="Other arguments are pytest's."
    )
    every = [FLOOR, *NEWER]
    options.add_argument("--only", action="append", choices=[each.version for each in every], help="may be repeated")
    options.add_argument("--setup-only", action="store_true", help="make the environments, run nothing")
    options.add_argument("--newer", action="store_true", help="print the path of the newer one's Python, run nothing")
    asked, arguments = options.parse_known_args()
    FOLDER.mkdir(exist_ok=True)
    if asked.newer:
        return print_newer()
    # Each group needs one version that runs; the later ones of a group stand in for the first.
    groups = [[each] for each in every if each.version in asked.only] if asked.only else [[FLOOR], list(NEWER)]
    chosen, left_out, complete = choose(groups)
    # One after the other: each spreads its tests over all cores (the options come from the Makefile).
    runs = [] if asked.setup_only else [test(wanted, python, arguments) for wanted, python in chosen]
    return report(runs, left_out, complete and bool(chosen))


def print_newer() -> int:
    """Print the path of a newer Python with the packages, or, where none can be had, of the running one, and say so.

    The exit code: in CI a newer one has to be there.
    """
    chosen, left_out, complete = choose([NEWER])
    for each in left_out:
        print(each, file=sys.stderr)
    if not complete and os.environ.get("CI"):
        print("error: in CI there has to be a newer Python", file=sys.stderr)
        return 1
    if not complete:
        print(f"Python {platform.python_version()} is used in its place", file=sys.stderr)
    print(chosen[0][1] if complete else sys.executable)
    return 0


def choose(groups: Sequence[Sequence[Wanted]]) -> tuple[list[tuple[Wanted, Path]], list[str], bool]:
    """The first of each group that can be had, and its Python; what was left out; whether each group has one."""
    chosen: list[tuple[Wanted, Path]] = []
    left_out: list[str] = []
    complete = True
    for group in groups:
        for wanted in group:
            try:
                chosen.append((wanted, environment_for(wanted, interpreter(wanted))))
                break
            except Missing as missing:
                left_out.append(f"Python {wanted.version} was left out: {missing}")
        else:
            complete = False
    return chosen, left_out, complete


def report(runs: Sequence[Run], left_out: Sequence[str], complete: bool) -> int:
    """Print what became of each version; the exit code. In CI it fails where a version is missing."""
    for run in runs:
        if run.code:
            print(f"--- Python {run.version} ---\n{run.log.read_text(errors='replace')}")
    for run in runs:
        print(f"Python {run.version}: {'passed' if run.code == 0 else 'FAILED'} in {run.seconds:.0f} s: {run.summary}")
    for each in left_out:
        print(each)
    in_ci = bool(os.environ.get("CI"))
    if not complete and in_ci:
        print("error: in CI the lowest Python and a newer one have to run", file=sys.stderr)
    return int(any(run.code for run in runs) or (in_ci and not complete))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
