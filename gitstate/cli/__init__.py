"""The command line."""

import sys

__all__ = ["start"]


def start() -> None:
    """Run it, as the program ``gitstate`` does: Ctrl-C ends it quietly also while its modules are being read."""
    try:
        from gitstate.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)  # as `failures.INTERRUPTED` has it, which may not be read yet
