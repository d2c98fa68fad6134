"""Options that several verbs have, each said once."""

import click

__all__ = ["DRY_RUN", "bare", "dry_run", "json_done", "json_report", "message", "volatile"]

DRY_RUN = "Nothing was written, this was a dry run."
"""What a verb tells behind what it would have done."""

bare = click.option("--bare", is_flag=True, help="Make a bare repository: no files beside the history.")
dry_run = click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
json_done = click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
json_report = click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
message = click.option("-m", "--message", metavar="TEXT", help="Say why, in the message of the commit.")
volatile = click.option(
    "--all", "volatile", is_flag=True, help="Show also what nearly every save changes, such as updated_at."
)
