"""The console script: runs a command, and ends without a traceback whatever becomes of the terminal meanwhile."""

import errno
import os
import sys

from gateway.signals import ignore, stop_noted

INTERRUPTED = 130

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What standard output answers when it takes no more."""

try:
    from gateway.cli.root import app
except KeyboardInterrupt:  # the libraries take half a second: long enough for a change of mind
    raise SystemExit(INTERRUPTED) from None

__all__ = ["app", "run"]


def run() -> None:
    """Run the command that the arguments name. Raises SystemExit."""
    if stop_noted():  # `gateway serve` was stopped while it loaded: nothing has begun
        ignore()
        raise SystemExit(0)
    try:
        try:
            app(prog_name="gateway")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where its failure can be reported
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stdout = None  # or it would be flushed again, and complained about
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        sys.stdout = None
        print(f"error: can't write the output: {os.strerror(error.errno)}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        ignore()
