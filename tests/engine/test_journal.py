"""Records come back as they were written, up to the first that did not reach the disk."""

import errno
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gitstate.engine import files
from gitstate.engine import journal as journal_module
from gitstate.engine.journal import Journal, Record, Stretch

ONE, TWO = "1" * 40, "2" * 40
MAIN = "refs/heads/main"


def record(size: int = 10, after: str = TWO) -> Record:
    return Record(MAIN, ONE, after, os.urandom(size))


def opened(folder: Path, *, durable: bool = True) -> Journal:
    journal = Journal(folder / "journal", durable=durable)
    journal.refresh()
    return journal


def records_in(folder: Path) -> list[Record]:
    """What somebody who comes anew reads; thousands do in this process."""
    journal = opened(folder)
    found = list(journal.records)
    journal.close()
    return found


RECORDS = st.builds(
    Record,
    st.sampled_from([MAIN, "refs/heads/ä/b", "refs/gitstate/rescue/" + "x" * 200]),
    st.sampled_from([None, ONE, TWO]),
    st.sampled_from([ONE, TWO]),
    st.binary(max_size=2000),
)


@settings(max_examples=30)
@given(st.lists(RECORDS, max_size=12), st.booleans())
def test_what_was_appended_is_read_by_others(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], durable: bool
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    writer, witness = opened(folder, durable=durable), opened(folder)
    for number, each in enumerate(records):
        assert writer.append(each)
        if number % 3 == 0:
            witness.refresh()
            assert witness.records == records[: number + 1]
    assert records_in(folder) == writer.records == records
    writer.close()
    witness.close()


def test_processes_append_behind_one_another(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path, durable=False)
    records = [record() for _ in range(10)]
    for each in records:
        one.refresh()
        assert one.append(each)
        one, other = other, one
    assert opened(tmp_path).records == records


def test_one_that_was_emptied_knows_what_was_synced(tmp_path: Path) -> None:
    journal, witness = opened(tmp_path), opened(tmp_path)
    journal.append(record(5000))
    journal.begin({MAIN: TWO})
    journal.begin({"refs/heads/b": ONE})
    witness.refresh()
    assert witness.records == journal.records == []
    assert dict(witness.synced) == {MAIN: TWO, "refs/heads/b": ONE}
    assert not witness.is_of_another_boot
    small = record(1)
    journal.append(small)
    assert opened(tmp_path).records == [small], "not what stood there before"


def test_a_record_that_was_taken_back_does_not_count(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    kept, void, later = record(), record(), record()
    journal.append(kept)
    journal.append(void)
    journal.take_back()
    assert opened(tmp_path).records == journal.records == [kept]
    journal.append(later)
    assert opened(tmp_path).records == [kept, later]


def test_where_a_ref_stood_before_the_first_record_is_known(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    assert dict(journal.synced) == {MAIN: ONE}
    stretch = journal.stretch()
    journal.append(record(after="3" * 40))
    journal.release(stretch)
    assert dict(opened(tmp_path).synced) == {MAIN: TWO}, "the second one is not on the disk"
    (tmp_path / "other").mkdir()
    other = opened(tmp_path / "other")
    other.append(Record(MAIN, None, ONE, b"pack"))
    assert dict(other.synced) == {}


def test_each_record_has_sectors_of_its_own(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.append(record(1))
    end = journal.stretch().end
    records = [record(size + sectors) for size in (430, 942) for sectors in (-5, -1, 0, 1, 5)]  # 430: just one sector
    taken = []
    for each in records:
        assert journal.append(each)
        taken.append((journal.stretch().end - end) // 512)
        end = journal.stretch().end
        assert end % 512 == 0
    assert taken == [1, 1, 1, 2, 2, 2, 2, 2, 3, 3]
    assert records_in(tmp_path)[1:] == records


def test_the_file_is_filled_to_its_very_end_and_does_not_grow(tmp_path: Path) -> None:
    journal, exact = opened(tmp_path), 127 * 512 - 82  # a sixteenth of the room, with what stands around a pack
    first = record(exact)
    assert journal.append(first)
    freed = journal.stretch()
    others = [record(exact) for _ in range(15)]
    assert all(map(journal.append, others)) and journal.stretch().end == 1 << 20
    assert not journal.append(record(1))
    journal.release(freed)
    last = record(exact)
    assert journal.append(last), "just what was freed"
    assert records_in(tmp_path) == [*others, last]
    assert (tmp_path / "journal").stat().st_size == 1 << 20


def test_the_largest_record_takes_a_quarter(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert not journal.append(record((1 << 18) - 81))
    assert journal.append(record((1 << 18) - 82))


@pytest.mark.parametrize("left", [0, 10, 70, 1000, 2080])
def test_a_file_that_was_cut_off_has_what_is_whole(tmp_path: Path, left: int) -> None:
    journal = opened(tmp_path)
    whole = record()
    journal.append(whole)
    end = journal.stretch().end
    journal.append(record(2000))
    os.truncate(tmp_path / "journal", end + left)  # 2082 would be all of it
    assert records_in(tmp_path) == [whole]


def test_what_the_system_writes_in_pieces_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, whole, pwrite = opened(tmp_path), record(5000), os.pwrite
    assert journal.append(record())
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:700], at))
    assert journal.append(whole)
    assert records_in(tmp_path)[1:] == [whole]


def test_an_erased_one_leaves_nothing_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, beside = opened(tmp_path), tmp_path / "beside"
    journal.append(record(3000))
    beside.hardlink_to(tmp_path / "journal")
    done: list[str] = []
    sync = files.sync

    def synced(fd: int) -> None:
        assert not any(beside.read_bytes()) and (tmp_path / "journal").exists(), "first all of it"
        done.append("content")
        sync(fd)

    def named(folder: str) -> None:
        assert folder == str(tmp_path) and not (tmp_path / "journal").exists()
        done.append("name")

    monkeypatch.setattr(files, "sync", synced)
    monkeypatch.setattr(files, "sync_directory", named)
    journal.erase()
    assert done == ["content", "name"] and beside.stat().st_size == 1 << 20
    assert journal.records == [] and not journal.is_damaged
    journal.erase()
    assert len(done) == 2, "there is none"


def test_what_is_too_large_or_has_no_room_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert not journal.append(record(300_000))
    count = 0
    while journal.append(record(100_000)):
        count += 1
        assert journal.is_half_full == (count > 5)
    assert count == 10
    assert (tmp_path / "journal").stat().st_size == 1 << 20, "it never grows"
    assert len(opened(tmp_path).records) == 10


class Life(RuleBasedStateMachine):
    """Two processes and one that begins anew each time, beside a list of the records that count."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gitstate-"))
        self.journals = [opened(self.folder), opened(self.folder)]
        self.counting: list[Record] = []
        self.stretches: list[tuple[Stretch, list[Record]]] = []

    @rule(who=st.integers(0, 1), size=st.sampled_from([1, 3000, 90_000, 250_000]), ref=st.sampled_from("ab"))
    def append(self, who: int, size: int, ref: str) -> None:
        journal = self.turn(who)
        new = Record(ref, ONE, TWO, bytes([len(self.counting) % 256]) * size)
        if journal.append(new):
            self.counting = [*self.counting, new]
        else:
            assert sum(len(each.pack) + 1000 for each in self.counting) + size > 700_000, "there was room"

    @rule(who=st.integers(0, 1))
    def append_and_take_back(self, who: int) -> None:
        journal = self.turn(who)
        if journal.append(record(60_000)):
            journal.take_back()

    @rule(who=st.integers(0, 1))
    def begin_a_checkpoint(self, who: int) -> None:
        self.stretches.append((self.turn(who).stretch(), self.counting))

    @precondition(lambda self: self.stretches)
    @rule(who=st.integers(0, 1), which=st.integers(0, 9))
    def end_a_checkpoint(self, who: int, which: int) -> None:
        stretch, counted = self.stretches.pop(which % len(self.stretches))
        self.turn(who).release(stretch)
        released = {id(each) for each in counted}
        self.counting = [each for each in self.counting if id(each) not in released]

    @rule(who=st.integers(0, 1))
    def empty(self, who: int) -> None:
        self.turn(who).begin({"b": ONE})
        self.counting = []

    @rule(who=st.integers(0, 1))
    def reopen(self, who: int) -> None:
        self.journals[who].close()

    @invariant()
    def a_third_one_sees_what_counts(self) -> None:
        assert records_in(self.folder) == self.counting

    def turn(self, who: int) -> Journal:
        self.journals[who].refresh()
        assert self.journals[who].records == self.counting
        return self.journals[who]

    def teardown(self) -> None:
        for journal in self.journals:
            journal.close()
        shutil.rmtree(self.folder)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


def test_the_room_of_released_records_is_used_again(tmp_path: Path) -> None:
    journal, witness = opened(tmp_path), opened(tmp_path)
    for _ in range(100):
        records = [record(size) for size in (30_000, 100, 70_000)]
        stretch = journal.stretch()
        assert all(map(journal.append, records))
        journal.release(stretch)
        witness.refresh()
        assert witness.records == journal.records == records
    assert (tmp_path / "journal").stat().st_size == 1 << 20


def test_a_record_of_a_write_that_failed_gives_way_to_the_one_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    for _ in range(10):
        journal.release(journal.stretch())
        assert journal.append(record(100_000))
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write", lambda data, at, write=journal._write: (write(data, at), os.open("", 0)))
        with pytest.raises(FileNotFoundError):
            journal.append(record(10))  # it is there, whatever the disk says
    last = record(50_000)
    assert journal.append(last), "it does not fit behind the others"
    assert opened(tmp_path).records[-1] == last


@pytest.mark.parametrize("place", ["mark", "middle", "sum"])
def test_the_first_record_that_is_torn_ends_the_journal(tmp_path: Path, place: str) -> None:
    journal = opened(tmp_path)
    records = [record(2000) for _ in range(3)]
    ends = []
    for each in records:
        journal.append(each)
        ends.append(journal._end)
    offset = ends[0] + {"mark": 1, "middle": 1000, "sum": 2000 + 61 + len(MAIN) + 2}[place]
    path = tmp_path / "journal"
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    assert opened(tmp_path).records == records[:1]


@pytest.mark.parametrize("slot", [0, 1])
def test_a_header_that_is_torn_leaves_the_other_one(tmp_path: Path, slot: int) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    journal.begin({MAIN: ONE})
    journal.begin({MAIN: TWO})  # the third header stands in slot 1, the second in slot 0
    with (tmp_path / "journal").open("r+b") as file:
        file.seek(slot * 4096 + 30)
        file.write(b"\0" * 20)
    assert opened(tmp_path).synced[MAIN] == (TWO if slot == 0 else ONE)
    assert not opened(tmp_path).is_damaged


def test_a_file_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    (tmp_path / "journal").unlink()
    journal.refresh()
    assert journal.records == []
    journal.append(record())
    assert len(opened(tmp_path).records) == 1


def test_many_refs_are_remembered_as_far_as_there_is_room(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    for number in range(60):
        journal.begin({f"refs/heads/{number:0100}": ONE})
    assert f"refs/heads/{59:0100}" in opened(tmp_path).synced


def test_another_boot_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not opened(tmp_path).is_of_another_boot, "there is no journal"
    opened(tmp_path).append(record())
    assert not opened(tmp_path).is_of_another_boot
    monkeypatch.setattr(journal_module, "boot_id", lambda: "another")
    assert opened(tmp_path).is_of_another_boot


def test_without_a_boot_to_tell_nothing_is_journaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "boot_id", lambda: "")
    assert not opened(tmp_path).append(record())


def test_what_has_no_room_still_stands_on_records_that_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty, careful = opened(tmp_path, durable=False), opened(tmp_path)
    assert hasty.append(record())
    careful.refresh()
    synced: list[int] = []
    monkeypatch.setattr(files, "sync_content", synced.append)
    for _ in range(2):
        assert not careful.append(record(300_000))
        careful.sync()
    assert len(synced) == 1


def test_a_journal_whose_headers_are_damaged_begins_anew_with_the_next_record(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    with (tmp_path / "journal").open("r+b") as file:
        file.write(bytes(8192))
    assert opened(tmp_path).is_damaged
    new = record()
    opened(tmp_path).append(new)
    again = opened(tmp_path)
    assert (again.is_damaged, again.records) == (False, [new])
    assert again.is_of_another_boot is False


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_where_there_is_no_room_for_a_journal_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(files, "create", refuse)
        journal = opened(tmp_path)
        if code == errno.EIO:
            with pytest.raises(OSError, match=os.strerror(code)):
                journal.append(record())
        else:
            assert not journal.append(record())
    assert not (tmp_path / "journal").exists()
    assert journal.append(record())


def test_a_header_of_another_format_is_none(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(record())
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes().replace(b"gitstate journal 2", b"gitstate journal 3"))
    again = opened(tmp_path)
    assert again.is_damaged and again.records == []


@pytest.mark.parametrize("text", [b"{}", b"[1]", b'{"generation": 1, "nobody": "knows"}', b"7", b""])
def test_a_header_that_says_something_else_is_none(tmp_path: Path, text: bytes) -> None:
    opened(tmp_path).append(record())
    header = journal_module._MAGIC + text + b"\n%x" % zlib.crc32(text)
    with (tmp_path / "journal").open("r+b") as file:
        for slot in range(2):
            file.seek(4096 * slot)
            file.write(header.ljust(4096, b"\0"))
    assert opened(tmp_path).records == []
    assert opened(tmp_path).append(record())


def test_a_record_that_goes_on_at_the_start_takes_no_more_than_the_room_that_was_freed(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    records = [record(100_000) for _ in range(14)]
    assert all(map(journal.append, records[:3]))
    freed = journal.stretch()
    assert all(map(journal.append, records[3:10])) and not journal.append(records[10])
    journal.release(freed)
    assert all(map(journal.append, records[10:13])), "just what three had"
    assert not journal.append(records[13])
    assert not journal.append(record(1))
    assert records_in(tmp_path) == records[3:13]


def test_one_that_waits_for_the_disk_waits_once_for_what_others_wrote_in_haste(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty, careful = opened(tmp_path, durable=False), Journal(tmp_path / "journal")
    synced: list[int] = []
    monkeypatch.setattr(files, "sync_content", synced.append)
    assert hasty.append(record())
    synced.clear()  # the file itself was new
    hasty.sync()
    assert synced == []
    careful.refresh()
    careful.sync()
    careful.sync()
    assert len(synced) == 1
    assert careful.append(record()) and len(synced) == 1, "it is waited for later"
    careful.sync()
    careful.sync()
    assert len(synced) == 2
    hasty.refresh()
    careful.refresh()
    careful.sync()
    assert len(synced) == 2, "what another read is on the disk"
    careful.begin({})
    careful.sync()
    assert len(synced) == 3, "with the header all is"


def test_the_disk_begins_with_a_record_before_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty, careful = opened(tmp_path, durable=False), opened(tmp_path)
    assert hasty.append(record())
    careful.refresh()
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(files, "begin_sync", lambda _, start, size: begun.append((start, size)))
    before = careful.stretch().end
    assert careful.append(record(5000))
    assert begun == [(before, careful.stretch().end - before)]
    hasty.refresh()
    assert hasty.append(record()) and len(begun) == 1, "nobody will wait for it"
