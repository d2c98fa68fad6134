"""Who set what stands at a place, where null is a value like any other."""

from gitstate import CheckpointState
from gitstate.backends.rewind import RewindBackend
from gitstate.values.shape import ABSENT


async def test_null_is_set_like_any_other_value(backend: RewindBackend) -> None:
    state = CheckpointState(job_id="nightly", job_name="nightly", total_sheets=1)
    for metadata in ({}, {"a": None}, {"a": None}, {"a": 1}, {"a": None}, {}):
        state.metadata = dict(metadata)
        await backend.save(state)
    told = await backend.blame("nightly", "/metadata/a")
    assert [setting.value for setting in told.settings] == [ABSENT, None, 1, None]
    made = [checkpoint.revision for checkpoint in await backend.history("nightly")]
    assert [setting.checkpoint.revision for setting in told.settings] == [made[0], made[1], made[2], made[4]]
