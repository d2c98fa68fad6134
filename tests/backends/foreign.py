"""A model of other people's making: the shape of the interface, and much that our own model knows nothing of."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, computed_field, create_model, field_validator

__all__ = ["TheirJob", "TheirSheet", "their_job"]


class TheirJobStatus(str, Enum):  # noqa: UP042 - as older packages wrote it
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class TheirSheetStatus(Enum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Cost(BaseModel):
    model_config = ConfigDict(frozen=True)

    amount: Decimal
    currency: Literal["EUR", "USD"] = "EUR"
    tokens: dict[str, int] = {}


class Named(BaseModel):
    kind: Literal["check"] = "check"
    name: str
    weights: tuple[float, ...] = ()


class SheetCore(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    sheet_num: int = Field(ge=1)
    status: TheirSheetStatus = TheirSheetStatus.PENDING
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempt_count: int = 0
    error_message: str | None = None
    execution_duration_seconds: float | None = None
    stdout_tail: str | None = None
    cost: Cost | None = None
    checks: list[Named] = []
    labels: set[str] = set()
    seen_codes: frozenset[int] = frozenset()
    raw: bytes = b""
    timeout: timedelta = timedelta(seconds=90)
    ratio: float = 1.0
    big: int = 2**70
    naive: datetime = datetime(2020, 2, 29, 12, 30)  # noqa: DTZ001 - naive times must come back naive
    origin: PurePosixPath = PurePosixPath("parts/one.txt")
    scratch: dict[str, Any] = Field(default_factory=dict, exclude=True)
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)

    @field_validator("labels")
    @classmethod
    def _lower(cls, labels: set[str]) -> set[str]:
        return {label.lower() for label in labels}

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def is_slow(self) -> bool:
        return (self.execution_duration_seconds or 0) > 60


class JobCore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    job_id: str
    job_name: str
    total_sheets: int = Field(ge=1)
    last_completed_sheet: int = 0
    current_sheet: int | None = None
    status: TheirJobStatus = TheirJobStatus.PENDING
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    pid: int | None = None
    total_retry_count: int = 0
    run_id: UUID = UUID("12345678-1234-5678-1234-567812345678")
    owner: str = Field("nobody", alias="ownerName")
    budget: Cost | None = None
    by_number: dict[int, Cost] = {}
    notes: list[str | int | float | None] = []
    matrix: list[list[float]] = [[1.0, -0.0, 1e300]]
    _observers: list[Any] = PrivateAttr(default_factory=list)

    @field_validator("job_name")
    @classmethod
    def _strip(cls, name: str) -> str:
        return name.strip()


def _numbered(prefix: str, count: int) -> dict[str, Any]:
    kinds: list[Any] = [(int, 0), (str | None, None), (float, 0.5), (list[int], [])]
    return {f"{prefix}_{number:02d}": kinds[number % len(kinds)] for number in range(count)}


TheirSheet = create_model("TheirSheet", __base__=SheetCore, **_numbered("metric", 60 - len(SheetCore.model_fields)))
TheirJob = create_model(
    "TheirJob",
    __base__=JobCore,
    sheets=(dict[int, TheirSheet], Field(default_factory=dict)),
    **_numbered("setting", 39 - len(JobCore.model_fields)),
)


def their_job(job_id: str = "theirs") -> Any:
    """Return a job with something in every kind of field."""
    cost = Cost(amount=Decimal("1.10"), tokens={"b": 2, "a": 1})
    sheet = TheirSheet(  # type: ignore[call-arg]  # no type checker knows of fields that are numbered
        sheet_num=2,
        status=TheirSheetStatus.FAILED,
        attempt_count=3,
        error_message="line\u2028break \ud800",
        execution_duration_seconds=61.25,
        cost=cost,
        checks=[Named(name="one", weights=(0.1, 2.0))],
        labels={"B", "a"},
        seen_codes=frozenset({3, 1, 2}),
        raw=b"bytes",
        metric_01="text",
        metric_03=[3, 2, 1],
        scratch={"not": "stored"},
    )
    return TheirJob(  # type: ignore[call-arg]
        job_id=job_id,
        job_name="  Theirs ",
        total_sheets=3,
        ownerName="somebody",
        budget=cost,
        by_number={10: cost, 9: cost},
        notes=[1, 1.0, "1", None],
        sheets={2: sheet, 1: TheirSheet(sheet_num=1, status=TheirSheetStatus.COMPLETED)},
        setting_01="set",
    )
