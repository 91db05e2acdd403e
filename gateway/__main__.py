"""`python -m gateway`: the same as the console script."""

from gateway.cli.main import run

if __name__ == "__main__":
    run()
