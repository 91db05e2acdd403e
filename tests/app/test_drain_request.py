"""A drain that is asked for over the control interface ends the run, on its own terms, as a signal does."""

from pathlib import Path

import pytest
import trio

from gateway.domain.drain import DrainStage, DrainTerms
from tests.app.running import running, settings
from tests.endtoend.gateway_process import development_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("drain") / "certs")


async def test_a_drain_that_is_asked_for_ends_the_run(tmp_path: Path, certificates: Path) -> None:
    """Its course is there to be seen from its beginning; another wish finds it under way."""
    async with running(settings(tmp_path, certificates)) as serving:
        charger = await serving.booted()
        draining = serving.gateway.draining
        stages = [draining.progress.stage]
        assert draining.begin(DrainTerms(1_000.0, 0.0, 5.0))
        begun = draining.progress  # what who has asked is shown
        assert (begun.stage, begun.sessions, begun.idle, begun.charging) == (DrainStage.COMMANDS, 1, 1, 0)
        assert 4.0 < begun.left <= 5.0
        assert not draining.begin(DrainTerms(1.0, 0.0, 1.0))
        assert draining.terms.deadline_seconds == 5.0
        assert await charger.sees_the_end() == (1001, "draining")
        with trio.fail_after(60):
            await serving.over.wait()
        stages.append(draining.progress.stage)
        assert stages == [DrainStage.SERVING, DrainStage.ENDING]
        assert (draining.progress.sessions, draining.progress.idle, draining.progress.charging) == (1, 0, 0)
