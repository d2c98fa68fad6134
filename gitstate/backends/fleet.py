"""Several machines: how far their stores are apart, the jobs of all of them, and syncs in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["FleetBackend"]
