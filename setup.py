"""The build's one step beyond pyproject.toml: the .proto files go into the package, beside the code made from them.

A client generator then finds them below site-packages as they import each other: ``gateway/api/v1/event.proto``.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PROTOS = Path("gateway", "api", "v1")


class BuildWithProtos(build_py):
    """The usual step, and the .proto files. An editable install has them in ``protos/``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source in sorted((HERE / "protos" / PROTOS).glob("*.proto")):
            self.copy_file(str(source), str(Path(self.build_lib, PROTOS, source.name)))


setup(cmdclass={"build_py": BuildWithProtos})
