"""``python -m examples.night [PICTURE.svg]``: play the night, say what became of each home, draw the picture."""

import sys
from pathlib import Path

from examples.night.night import picture, run
from examples.night.prices import prices


def main(arguments: list[str]) -> None:
    """Play the night."""
    outcomes = run()
    for each in outcomes:
        states = " ".join(dict.fromkeys(state for _, state in each.states))
        print(
            f"{each.home.name}: {each.energy_wh / 1000:.2f} of {each.wanted_wh / 1000:.2f} kWh for {each.cost} "
            f"{each.currency}; plan: {states}"
        )
    target = Path(arguments[0] if arguments else "night.svg")
    target.write_text(picture(outcomes, prices()), encoding="utf-8")
    print(f"the picture: {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
