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
    20 sheets          59        1    5,370    8,370        7    2,480    5,595    1,563        -        -      898
    1,000 sheets       59        1   77,910    8,370        7   38,755   78,138    1,578        -        -    2,858
    1 job              59        1    5,592    8,370        9    2,536    5,806    1,563        -        -      997
    10,000 jobs        59        1   10,438    8,370        9    4,960   10,657    1,563        -        -      997
mark: a save of which only one file is encoded; the blob of the sheet, its folder, the job, and the way up to the root
    20 sheets          59        1    5,034    8,370        7    1,865    4,810      948        -        -      838
    1,000 sheets       59        1   77,570    8,370        7   38,140   77,351      963        -        -      838
    1 job              59        1    5,250    8,370        9    1,921    5,018      948        -        -      937
    10,000 jobs        59        1   10,098    8,370        9    4,345    9,870      948        -        -      937
execution: two blobs of 24 KB together, and no sheet is looked into but to say how many are done
    20 sheets          59        1   12,402    8,370        8   24,915   31,554   24,594        -        -      689
    1,000 sheets       59        1   12,412    8,370        8   24,922   31,563   24,601        -        -      689
    1 job              59        1   12,622    8,370       10   24,971   31,764   24,594        -        -      788
    10,000 jobs        59        1   17,474    8,370       10   27,396   36,619   24,595        -        -      788
load: known, so the branch is read and the state validated
    20 sheets           3        -        -       41        -        -        -        -        -        -      107
    1,000 sheets        3        -        -       41        -        -        -        -        -        -    1,087
    1 job               3        -        -       41        -        -        -        -        -        -      107
    10,000 jobs         3        -        -       41        -        -        -        -        -        -      107
list: known to the index, so the branch is read and five statements are asked
    20 sheets           6        -        -       41        -        -        -        -        -        5       76
    1,000 sheets        6        -        -       41        -        -        -        -        -        5       76
    1 job               6        -        -       41        -        -        -        -        -        5       76
    10,000 jobs         6        -        -       41        -        -        -        -        -        5      282
open, load: a first read of all files of the job, each checked; packs are opened, and what is known of values, not jobs
    20 sheets          80        -        -    8,440        -        -   15,935        -   15,693        -    1,529
    1,000 sheets       82        -        -    8,472        -        -  539,918        -  530,854        -   14,267
    1 job              77        -        -    8,419        -        -   16,006        -   15,748        -    1,549
    10,000 jobs        77        -        -    8,419        -        -   18,435        -   18,173        -    1,570
index: brought to the head after one save, by numbers of commits; the folders on the way to the job are compared
    20 sheets           9        -        -       82        -        -        -        -        -       16      311
    1,000 sheets        9        -        -       82        -        -        -        -        -       16      311
    1 job               9        -        -       82        -        -        -        -        -       16      379
    10,000 jobs         9        -        -       82        -        -        -        -        -       16      379
view: brought to the head after one save; git's index is read, checked, and written whole, whatever changed in it
    20 sheets         115        -    3,146    4,753        -        -    7,863        -      600        -    1,401
    1,000 sheets      115        -   97,242   98,195        -        -  231,670        -      608        -    1,442
checkpoint: of eight saves, whose packs become one; what it reads and hashes are those
    20 sheets         268        9   20,261   49,716        -        -   40,626        -        -        -    1,931
    1,000 sheets      268        9  311,117  339,810        -        -  621,576        -        -        -    1,943
    1 job             265        9   21,359   50,751        -        -   42,732        -        -        -    2,047
    10,000 jobs       265        9   40,747   70,139        -        -   81,508        -        -        -    2,047
sync, nothing: one conversation, in which both say where they stand
    20 sheets          39        -        -      205        -        -    1,110        -    1,077        -      938
    1,000 sheets       39        -        -      205        -        -    1,098        -    1,065        -      926
    1 job              39        -        -      205        -        -    1,215        -    1,182        -      926
    10,000 jobs        39        -        -      205        -        -    1,215        -    1,182        -      926
sync, a save: a checkpoint, since nothing gets to others that is not on the disk; one pack; the remote's ref noted
    20 sheets         161       10    4,360   25,150        7    2,575    4,639    1,621    2,698        -    1,697
    1,000 sheets      164       10    4,360   25,339        7   38,793   40,852    1,579    2,644        -    1,712
    1 job             161       10    4,360   25,150        9    1,969    3,990      959    2,141        -    1,736
    10,000 jobs       161       10    4,360   25,150        9    4,393    6,417      959    2,141        -    1,748
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
        assert many[kind] - one[kind] <= 5000 * saves, f"{kind}: more than the folders on the way to the job"


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
