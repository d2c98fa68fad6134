"""Threads that do work beside, where the system gives one."""

import logging
import threading
from collections.abc import Callable

__all__ = ["started"]

_log = logging.getLogger("gitstate")


def started(
    work: Callable[[], None], name: str, otherwise: str = "", level: int = logging.WARNING
) -> threading.Thread | None:
    """Start a thread that keeps no program from ending, and return it.

    None: there are as many as may be, or the program ends, in which Python 3.12 starts no more. ``otherwise`` is logged
    then, but not of a program that ends: it does at once what is due.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if otherwise and threading.main_thread().is_alive():
            _log.log(level, "%s: %s", otherwise, error)
        return None
    return thread
