"""Python's collector of garbage, which looks through all that there is again and again while thousands of objects come
to be.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep it from looking for garbage in circles, a quarter of the time, while the block makes what has none."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # What was made counts as old, else the next object that comes to be has all of it looked through. What somebody
        # froze, as Python 3.12 does when it begins, stays frozen.
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()
