"""What each operation may take, counted: no clock, and so the same on a busy machine.

``python -m tests.budgets`` counts anew. A number that rises needs a reason beside it.
"""

import sys
from pathlib import Path

import pytest

from gitstate.engine import refs
from gitstate.engine.repository import Repository
from tests.budgets.meter import KINDS
from tests.budgets.table import parse, row, wrong
from tests.budgets.work import STORES, measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems are asked in other ways")

_TABLE = """
                    calls    syncs  written     read  objects      raw   hashed  deflate  inflate      sql   python
save: the record in the journal waits for the disk, and nothing else; what grows with the sheets is their folder's tree
    20 sheets          62        1    4,908    8,411        7    2,480    5,364    2,480        -        -      900
    1,000 sheets       62        1   77,900    8,411        7   38,755   78,133   38,755        -        -    2,855
    1 job              62        1    5,122    8,411        9    2,536    5,571    2,536        -        -      991
    10,000 jobs        62        1    8,974    8,411        9    4,960    9,925    4,960        -        -      987
mark: a save of which only one file is encoded; the blob of the sheet, its folder, the job, and the way up to the root
    20 sheets          62        1    4,564    8,411        7    1,865    4,575    1,865        -        -      837
    1,000 sheets       62        1   77,556    8,411        7   38,140   77,344   38,140        -        -      837
    1 job              62        1    4,770    8,411        9    1,921    4,778    1,921        -        -      929
    10,000 jobs        62        1    8,634    8,411        9    4,345    9,138    4,345        -        -      929
execution: two blobs of 24 KB together, and no sheet is looked into but to say how many are done
    20 sheets          62        1   12,356    8,411        8   24,916   31,532   24,916        -        -      687
    1,000 sheets       62        1   12,364    8,411        8   24,922   31,539   24,922        -        -      682
    1 job              62        1   12,556    8,411       10   24,971   31,731   24,971        -        -      774
    10,000 jobs        62        1   16,422    8,411       10   27,396   36,093   27,396        -        -      774
load: known, so the branch is read and the state validated
    20 sheets           3        -        -       41        -        -        -        -        -        -      193
    1,000 sheets        3        -        -       41        -        -        -        -        -        -    1,173
    1 job               3        -        -       41        -        -        -        -        -        -      208
    10,000 jobs         3        -        -       41        -        -        -        -        -        -      208
list: known to the index, so the branch is read and five statements are asked
    20 sheets           6        -        -       41        -        -        -        -        -        5       79
    1,000 sheets        6        -        -       41        -        -        -        -        -        5       79
    1 job               6        -        -       41        -        -        -        -        -        5       79
    10,000 jobs         6        -        -       41        -        -        -        -        -        5      384
open, load: a first read of all files of the job, each checked; what is opened are packs, not jobs
    20 sheets          92        -        -    8,440        -        -   15,935        -   15,693        -    4,231
    1,000 sheets       92        -        -    8,440        -        -  539,918        -  530,854        -   38,184
    1 job              89        -        -    8,419        -        -   16,006        -   15,748        -    4,235
    10,000 jobs        89        -        -    8,419        -        -   18,435        -   18,173        -    4,374
index: brought to the head after one save, by numbers of commits; the folders on the way to the job are compared
    20 sheets           9        -        -       82        -        -        -        -        -       16      292
    1,000 sheets        9        -        -       82        -        -        -        -        -       16      292
    1 job               9        -        -       82        -        -        -        -        -       16      350
    10,000 jobs         9        -        -       82        -        -        -        -        -       16      346
view: brought to the head after one save; git's index is read, checked, and written whole, whatever changed in it
    20 sheets         116        -    3,146    4,671        -        -    7,863        -      600        -    1,465
    1,000 sheets      116        -   97,242   98,115        -        -  231,670        -      608        -    1,501
checkpoint: of eight saves, whose packs become one; what it reads and hashes are those
    20 sheets         257        9   18,419   47,874        -        -   36,942        -        -        -    2,036
    1,000 sheets      257        9  311,065  339,758        -        -  621,472        -        -        -    2,050
    1 job             252        9   19,460   48,855        -        -   38,937        -        -        -    2,093
    10,000 jobs       252        9   34,860   64,255        -        -   69,737        -        -        -    2,093
sync, nothing: one conversation, in which both say where they stand
    20 sheets          40        -        -      205        -        -        -        -    1,077        -      944
    1,000 sheets       40        -        -      205        -        -        -        -    1,065        -      941
    1 job              40        -        -      205        -        -        -        -    1,182        -      932
    10,000 jobs        40        -        -      205        -        -        -        -    1,182        -      929
sync, a save: a checkpoint, since nothing gets to others that is not on the disk; one pack; the remote's ref noted
    20 sheets         161       10    4,360   25,191        7    2,575    2,471    2,575    2,282        -    1,918
    1,000 sheets      164       10    4,360   25,380        7   38,793   39,345   38,793    2,644        -    1,934
    1 job             161       10    4,360   25,191        9    1,969    2,168    1,969    2,141        -    1,971
    10,000 jobs       161       10    4,360   25,191        9    4,393    4,102    4,393    2,141        -    1,953
"""  # end of the table
"""Each operation with the reason for what it takes, and each store; the kinds are those of :data:`KINDS`."""

_BUDGETS = parse(_TABLE)
_EACH_SHEET = {"save", "load", "open, load"}
"""What looks at each sheet: whether it is another one than the last time; whether it is valid; what is in its file."""
_NUMBERS = ("calls", "syncs", "objects", "sql")


@pytest.mark.parametrize("store", STORES)
def test_each_operation_takes_what_its_budget_says(store: str, tmp_path: Path) -> None:
    counted = measure(store, tmp_path / "counted")
    assert list(counted) == [operation for operation, rows in _BUDGETS.items() if store in rows]
    told = []
    for operation, work in counted.items():
        found = wrong(work, _BUDGETS[operation][store])
        told += [f"\n{operation}, {store}: the row would be\n{row(store, work)}", *found] if found else []
    assert not told, "\n".join(told)


@pytest.mark.parametrize("operation", [each for each, rows in _BUDGETS.items() if "1 job" in rows])
def test_no_operation_takes_more_where_there_are_more_jobs(operation: str) -> None:
    rows = _BUDGETS[operation]
    one, many = rows["1 job"], rows["10,000 jobs"]
    assert [many[kind] for kind in _NUMBERS] == [one[kind] for kind in _NUMBERS]
    if operation != "list":  # of which a page has fifty
        assert many["python"] <= 1.1 * one["python"]
    saves = 8 if operation == "checkpoint" else 1
    for kind in set(KINDS) - {"python"}:
        assert many[kind] - one[kind] <= 4500 * saves, f"{kind}: more than the folders on the way to the job"


@pytest.mark.parametrize("operation", _BUDGETS)
def test_no_operation_asks_the_system_more_where_there_are_more_sheets(operation: str) -> None:
    few, many = _BUDGETS[operation]["20 sheets"], _BUDGETS[operation]["1,000 sheets"]
    assert [many[kind] for kind in _NUMBERS[1:]] == [few[kind] for kind in _NUMBERS[1:]]
    assert many["calls"] <= few["calls"] + 5  # there are more packs where they are larger
    if operation not in _EACH_SHEET:
        assert many["python"] <= 1.1 * few["python"]


def test_one_look_more_at_a_file_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = refs.read

    def twice(repository: Repository, ref: str) -> str | None:
        read(repository, ref)
        return read(repository, ref)

    monkeypatch.setattr(refs, "read", twice)
    work, budget = measure("20 sheets", tmp_path / "counted")["load"], _BUDGETS["load"]["20 sheets"]
    told = wrong(work, budget)
    assert [line.partition("\n")[0] for line in told] == ["calls: 6 are more than 3", "read: 82 are more than 41"]
    assert "2  open engine/files.py:" in told[0]
    assert wrong(work, {**budget, "calls": 7, "read": 120}) == [
        "calls: 6 are fewer than 7, so the budget can be made smaller",
        "read: 82 are fewer than 120, so the budget can be made smaller",
    ]
