"""The process for a fault that acts at import: ``python -m tests.mutants.imported ORDER``, started by ``running``."""

import json
import sys
from pathlib import Path

import pytest

from tests.mutants.applying import import_with
from tests.mutants.children import Report, reporter
from tests.mutants.operators import find


class Telling:
    """Reports each test and ends with the first that fails."""

    def __init__(self, report: Report, order: list[str]) -> None:
        self._report = report
        self._order = {test: at for at, test in enumerate(order)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._order.get(item.nodeid, len(self._order)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._report({"at": nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._report({"killed": report.nodeid})


def main(order_file: str) -> None:
    order = json.loads(Path(order_file).read_text())
    path = Path(order["root"]) / order["file"]
    mutant = next(each for each in find(path.read_text(), order["file"]) if each.identity == order["identity"])
    import_with(path, mutant)
    if early := sorted(name for name in sys.modules if name.partition(".")[0] == "gateway"):
        raise RuntimeError(f"imported without the fault: {early}")
    from tests.mutants.running import Profile  # which imports the store

    report = reporter(order["pipe"])
    arguments = Path(order_file).with_suffix(".tests")
    arguments.write_text("\n".join(order["tests"]))
    plugins = [Profile(), Telling(report, order["tests"])]
    options = ["-q", "-x", "-s", "-o", "timeout=0", "--stores", order["stores"]]
    status = pytest.main([*options, f"@{arguments}"], plugins=plugins)
    if status == pytest.ExitCode.OK:
        report({"done": True})
    elif status != pytest.ExitCode.TESTS_FAILED:
        report({"failed": f"the tests can't be collected ({status!r})"})


if __name__ == "__main__":
    main(sys.argv[1])
