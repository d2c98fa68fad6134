"""Several machines: how far their stores are apart, the jobs of all of them, and syncs in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from gitstate.backends.proposing import ProposingBackend
from gitstate.errors import InvalidInputError

if TYPE_CHECKING:
    from gitstate.backends.fleet_jobs import Fleet, Seen
    from gitstate.store.autosync import Autosync
    from gitstate.store.lag import Lag

__all__ = ["FleetBackend"]
