"""The collector of garbage rests while much is made, and does not look through it afterwards."""

import gc

import pytest

from gitstate.engine.garbage import uncollected


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    gc.unfreeze()  # Python 3.12 begins with some
    yield
    gc.unfreeze()
    gc.enable()


def test_what_was_made_is_old_and_nothing_is_lost_to_the_collector() -> None:
    with uncollected():
        assert not gc.isenabled()
        made = [[number] for number in range(5000)]
    assert gc.isenabled() and gc.get_freeze_count() == 0
    assert gc.get_count()[0] < 1000
    assert any(each is made for each in gc.get_objects(generation=2))


def test_what_somebody_froze_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.isenabled() and gc.get_freeze_count() == frozen > 0


def test_who_has_switched_it_off_finds_it_off() -> None:
    gc.disable()
    with pytest.raises(ValueError, match="whatever"), uncollected():
        raise ValueError("whatever")
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ValueError, match="whatever"), uncollected():
        raise ValueError("whatever")
    assert gc.isenabled()
