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
    20 sheets          52        1    5,372    8,370        7    2,480    5,596    1,563        -        -      859
    1,000 sheets       52        1   77,910    8,370        7   38,755   78,138    1,578        -        -    2,813
    1 job              52        1    5,588    8,370        9    2,536    5,804    1,563        -        -      939
    10,000 jobs        52        1   10,438    8,370        9    4,960   10,657    1,563        -        -      939
mark: a save of which only one file is encoded; the blob of the sheet, its folder, the job, and the way up to the root
    20 sheets          52        1    5,020    8,370        7    1,865    4,803      948        -        -      799
    1,000 sheets       52        1   77,564    8,370        7   38,140   77,348      963        -        -      793
    1 job              52        1    5,248    8,370        9    1,921    5,017      948        -        -      879
    10,000 jobs        52        1   10,098    8,370        9    4,345    9,870      948        -        -      884
execution: two blobs of 24 KB together, and no sheet is looked into but to say how many are done
    20 sheets          52        1   12,400    8,370        8   24,916   31,554   24,595        -        -      652
    1,000 sheets       52        1   12,414    8,370        8   24,922   31,564   24,601        -        -      652
    1 job              52        1   12,620    8,370       10   24,972   31,764   24,595        -        -      743
    10,000 jobs        52        1   17,470    8,370       10   27,396   36,617   24,595        -        -      738
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
open, load: a first read of all files of the job, each checked; what is opened are packs, not jobs
    20 sheets          79        -        -    8,440        -        -   15,935        -   15,693        -    1,725
    1,000 sheets       79        -        -    8,440        -        -  539,918        -  530,854        -   23,283
    1 job              76        -        -    8,419        -        -   16,007        -   15,749        -    1,759
    10,000 jobs        76        -        -    8,419        -        -   18,435        -   18,173        -    1,746
index: brought to the head after one save, by numbers of commits; the folders on the way to the job are compared
    20 sheets           9        -        -       82        -        -        -        -        -       16      287
    1,000 sheets        9        -        -       82        -        -        -        -        -       16      287
    1 job               9        -        -       82        -        -        -        -        -       16      343
    10,000 jobs         9        -        -       82        -        -        -        -        -       16      348
view: brought to the head after one save; git's index is read, checked, and written whole, whatever changed in it
    20 sheets         115        -    3,146    4,753        -        -    7,863        -      600        -    1,299
    1,000 sheets      115        -   97,242   98,195        -        -  231,670        -      608        -    1,346
checkpoint: of eight saves, whose packs become one; what it reads and hashes are those
    20 sheets         232        9   20,261   49,716        -        -   40,626        -        -        -    1,769
    1,000 sheets      232        9  311,126  339,819        -        -  621,594        -        -        -    1,781
    1 job             229        9   21,351   50,743        -        -   42,716        -        -        -    1,853
    10,000 jobs       229        9   40,751   70,146        -        -   81,519        -        -        -    1,853
sync, nothing: one conversation, in which both say where they stand
    20 sheets          39        -        -      205        -        -        -        -    1,077        -      904
    1,000 sheets       39        -        -      205        -        -        -        -    1,065        -      902
    1 job              39        -        -      205        -        -        -        -    1,182        -      902
    10,000 jobs        39        -        -      205        -        -        -        -    1,182        -      904
sync, a save: a checkpoint, since nothing gets to others that is not on the disk; one pack; the remote's ref noted
    20 sheets         160       10    4,360   25,150        7    2,575    3,125    1,621    2,698        -    1,650
    1,000 sheets      163       10    4,360   25,339        7   38,793   39,354    1,579    2,644        -    1,658
    1 job             160       10    4,360   25,150        9    1,969    2,403      959    2,141        -    1,707
    10,000 jobs       160       10    4,360   25,150        9    4,393    4,830      959    2,141        -    1,738
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
