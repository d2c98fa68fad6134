"""What travels beside the branch in a sync: rescues and pins, once, and never back to who dropped them."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gitstate.store.parking import keep_losers
from gitstate.store.remote import sync
from tests.backends.machines import RESCUES, fates, first, head, parted, refs, rename, results, run_sheet, two
from tests.git import git


async def test_what_cannot_be_merged_is_put_aside_and_travels(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await parted(tmp_path, hub, stack)
        report = await other.sync()
        assert results(report) == {"nightly": "parked"} and not report.is_clean
        assert fates(report) == ["kept"]
        assert len(refs(hub, RESCUES)) == len(refs(tmp_path / "other", RESCUES)) == 1
        report = await one.sync()
        assert report.is_clean and fates(report) == ["received"]
        assert refs(tmp_path / "one", RESCUES) == refs(hub, RESCUES)
        for backend in (one, other):
            assert (await backend.sync()).is_up_to_date
        git(tmp_path / "one", "update-ref", "-d", refs(hub, RESCUES)[0])
        report = await one.sync()
        assert fates(report) == ["dropped there"] and refs(hub, RESCUES) == []
        report = await other.sync()
        assert fates(report) == ["dropped here"] and refs(tmp_path / "other", RESCUES) == []
        assert refs(tmp_path / "other", "refs/gitstate/") == refs(tmp_path / "one", "refs/gitstate/") == []


async def test_a_merge_that_saves_overtake_keeps_what_lost_once(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["ours, later", "ours, last"]

    def overtaken(*words: Any) -> Any:
        found = keep_losers(*words)
        if texts:
            asyncio.run_coroutine_threadsafe(rename(one, texts.pop(0)), loop).result(30)
        return found

    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await rename(other, "theirs")
        await other.sync()
        await rename(one, "ours")
        monkeypatch.setattr(sync, "keep_losers", overtaken)
        assert fates(await one.sync()) == ["kept"]
        (rescue,) = await one.rescues()
        assert (await one.show_rescue(rescue.name)).value["job_name"] == "theirs"
        assert rescue.against is not None
        assert git(tmp_path / "one", "log", "-1", "--format=%P", "main").split()[0] == rescue.against


async def test_what_was_parked_beyond_measure_is_taken_in_by_others(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        for backend, text in ((other, "theirs"), (one, "ours")):
            state = await backend.load("nightly")
            assert state is not None
            state.metadata = {"k" * 1_100_000: text}
            await backend.save(state)
        await other.sync()
        assert fates(await one.sync()) == ["kept"]
        report = await other.sync()
        assert (results(report), fates(report)) == ({"nightly": "fast-forwarded"}, ["received"])
        (rescue,) = await other.rescues()
        assert rescue.places == ("",)
        await other.apply_rescue(rescue.name)
        state = await other.load("nightly")
        assert state is not None and [*state.metadata.values()] == ["theirs"]


async def test_a_remote_that_was_made_anew_drops_nothing_here(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        _, other = await parted(tmp_path, hub, stack)
        await other.sync()
        rescues = refs(hub, RESCUES)
        for ref in (*rescues, "refs/heads/main"):
            git(hub, "update-ref", "-d", ref)
        report = await other.sync()
        assert "dropped here" not in fates(report)
        assert refs(hub, RESCUES) == refs(tmp_path / "other", RESCUES) == rescues
        assert head(hub) == head(tmp_path / "other")


async def test_a_rescue_that_was_dropped_here_does_not_come_back_when_the_remote_moves(
    tmp_path: Path, hub: Path
) -> None:
    async with AsyncExitStack() as stack:
        one, other = await parted(tmp_path, hub, stack)
        await other.sync()
        await one.sync()
        git(tmp_path / "one", "update-ref", "-d", refs(tmp_path / "one", RESCUES)[0])
        await run_sheet(other, 1)
        await other.sync()
        report = await one.sync()
        assert fates(report) == ["dropped there"]
        assert refs(tmp_path / "one", RESCUES) == refs(hub, RESCUES) == []


async def test_pins_travel_and_never_move(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        await one.pin("nightly", "start")
        assert fates(await one.sync()) == ["sent"]
        assert fates(await other.sync()) == ["received"]
        assert refs(tmp_path / "other", "refs/tags/") == ["refs/tags/jobs/nightly/start"]
        await run_sheet(one, 1)
        await one.pin("nightly", "same")
        await other.pin("nightly", "same")
        await one.sync()
        report = await other.sync()
        assert fates(report) == ["differs"] and not report.is_clean
        assert head(tmp_path / "other", "jobs/nightly/same") != head(hub, "jobs/nightly/same")


async def test_a_tag_of_gits_own_kind_is_the_same_pin(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await two(tmp_path, hub, stack)
        git(tmp_path / "one", "tag", "-a", "-m", "a note", "jobs/nightly/noted", "main")
        git(tmp_path / "one", "push", "-q", "origin", "jobs/nightly/noted")
        report = await other.sync()
        assert fates(report) == ["received"]
        assert head(tmp_path / "other", "jobs/nightly/noted^{commit}") == head(tmp_path / "one")
        for backend in (one, other):
            assert "differs" not in fates(await backend.sync())


async def test_companions_that_are_refused_do_not_keep_the_branch_back(tmp_path: Path, hub: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await first(tmp_path / "one", hub, stack)
        hook = hub / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\n! grep refs/tags/\n")
        hook.chmod(0o755)
        await run_sheet(one, 1)
        await one.pin("nightly", "start")
        report = await one.sync()
        assert fates(report) == ["refused"] and not report.is_clean
        assert head(hub) == head(tmp_path / "one")
        await run_sheet(one, 2)
        assert fates(await one.push()) == ["refused"]
        assert head(hub) == head(tmp_path / "one")
