"""The verbs of the command line: where each is found, what it is for in a few words, and which belong together.

``gitstate --help`` is made of this alone, so that it imports no verb; a verb's own help says the rest.
"""

__all__ = ["HIDDEN", "SECTIONS"]

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Make a store": {
        "init": ("stores.init", "Make a store in a folder, or on a branch of a project."),
        "clone": ("remotes.clone", "Make a store of all that another repository has."),
        "import": ("exchange.import_", "Take over state from JSON files or SQLite."),
    },
    "Look at jobs": {
        "list": ("listing.list_", "List the jobs, the one that was saved last first."),
        "show": ("jobs.show", "Show the state of a job, as it is or was."),
        "next": ("why.next_", "Say which sheet comes next, and why."),
        "log": ("history.log", "List the checkpoints of a job, the newest first."),
        "attempts": ("attempts.attempts", "List the attempts at the sheets of a job."),
        "watch": ("watch.watch", "Print each new checkpoint as it comes."),
        "top": ("watch.top", "Show the running jobs, live."),
    },
    "Find out what happened": {
        "diff": ("diffs.diff", "Show what changed between two revisions of a job."),
        "compare": ("diffs.compare", "Compare two jobs, sheet by sheet."),
        "blame": ("why.blame", "Show which checkpoints set a value."),
        "bisect": ("why.bisect", "Find the first checkpoint at which something holds."),
    },
    "Go back, and change": {
        "pin": ("pins.pin", "Give a checkpoint a name that stays."),
        "rollback": ("rewind.rollback", "Bring a job back to an earlier state."),
        "restore": ("rewind.restore", "Bring some sheets or values back."),
        "undo": ("rewind.undo", "Take back the last thing that a person did."),
        "skip": ("sheets.skip", "Say that sheets are not to be run."),
        "reset": ("sheets.reset", "Make sheets pending again, so that they run once more."),
        "fork": ("rewind.fork", "Begin a new job at a checkpoint of another one."),
        "forks": ("rewind.forks", "Draw the tree of forks of a job."),
        "delete": ("jobs.delete", "Delete a job; its history stays."),
        "undelete": ("rewind.undelete", "Bring a deleted job back."),
    },
    "Edit the files": {
        "status": ("edits.status", "Show what was edited in the folder."),
        "commit": ("edits.commit", "Check the edits, and make checkpoints of them."),
        "discard": ("edits.discard", "Drop edits; what stood there is kept aside."),
    },
    "Let others look first": {
        "propose": ("proposals.propose", "Begin a proposal: a branch with changes to review."),
        "review": ("proposals.review", "Show what a proposal would change."),
        "apply": ("proposals.apply", "Merge a proposal, if what it relied on is still so."),
    },
    "Work on several machines": {
        "remote": ("remotes.remote", "Name other repositories, to sync with."),
        "sync": ("sync.sync", "Bring this store and a remote to one state."),
        "fetch": ("sync.fetch", "Fetch what a remote has, and check it."),
        "push": ("sync.push", "Give a remote what it lacks; nothing is forced."),
        "fleet": ("fleet.fleet", "List the jobs of all machines."),
        "rescue": ("rescue.rescue", "Look at states that were kept aside, and bring them back."),
    },
    "Look after a store": {
        "verify": ("upkeep.verify", "Check everything that the store holds."),
        "gc": ("upkeep.gc", "Pack all objects anew, so that they take less room."),
        "reshard": ("upkeep.reshard", "Spread thousands of jobs over more folders."),
        "scan": ("scan.scan", "Look for credentials in the whole history."),
        "purge": ("purge.purge", "Remove a job or a value from all of the history."),
        "export": ("exchange.export", "Write checkpoints and executions for other tools."),
        "hooks": ("hooks.hooks", "Have git refuse states that do not validate."),
        "attributes": ("plain_git.attributes", "Let plain git diff and merge states by field."),
    },
    "Try it": {
        "demo": ("demo.demo", "Watch a real job being killed, resumed and recovered."),
        "completion": ("completion.completion", "Print the script with which a shell completes all this."),
    },
}
"""Sections of verbs, in the order in which people meet them; of each verb where it is, and what it is for."""

HIDDEN = {"textconv": "plain_git.textconv", "merge-driver": "plain_git.merge_driver"}
"""Verbs that git calls, and no person."""
