"""Deliberate faults, one at a time, and whether a test notices: ``make mutants``.

``operators`` finds the faults that can be made in a file, ``applying`` puts one into code that is loaded already,
``covering`` knows which test runs which line, ``running`` carries faults through the tests that could notice them, and
``known`` has those that change nothing, each with the reason.
"""
