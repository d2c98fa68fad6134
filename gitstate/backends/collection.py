"""The folder of the jobs, for who looks at it without their model: guards, a clone, the completion of a shell."""

from gitstate.format import message
from gitstate.format.layout import Layout
from gitstate.store.documents import Collection

__all__ = ["JOBS"]

JOBS = Collection("jobs", Layout(), id_field="job_id", trailer=message.JOB)
