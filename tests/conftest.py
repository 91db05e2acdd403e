"""Settings that all tests share."""

from hypothesis import settings

# A deadline for a single example measures how busy the machine is, not the code. All else is as Hypothesis chooses:
# with CI set, its own profile makes the examples the same in every run.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")
