"""The conformance suite of state backends: what every one of them must do."""

from typing import Any

from gitstate.testing.interface_tests import InterfaceTests
from gitstate.testing.mark_tests import MarkTests
from gitstate.testing.state_tests import StateTests

__all__ = ["StateBackendTests"]


class StateBackendTests(InterfaceTests, StateTests, MarkTests):
    """Subclass it in a test module and give it one fixture, ``backend``, an empty backend that is closed afterwards::

        class TestMyBackend(StateBackendTests):
            @pytest.fixture                          # pytest_asyncio.fixture where asyncio_mode is strict
            async def backend(self, tmp_path):
                async with MyBackend(tmp_path) as backend:
                    yield backend

    Two hooks say what a fixture cannot: ``corrupt`` damages a stored state, ``reopen`` opens the same storage again;
    without them the tests that need them are skipped. A third, ``job``, makes the states.

    Tests of your own are welcome. One that replaces a test of the suite must say why, with
    ``@gitstate.testing.overrides("reason")``, or the class is refused with a TypeError: a suite that can be silenced
    unseen proves nothing.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in dir(StateBackendTests):
            if name.startswith("test_") and getattr(cls, name) is not getattr(StateBackendTests, name):
                test = getattr(cls, name)
                if not getattr(test, "override_reason", None):
                    raise TypeError(f"{cls.__name__}.{name} replaces a test of the suite and does not say why")
