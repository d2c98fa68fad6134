"""A person's own repository, beside whose branches a store may lie."""

from pathlib import Path

from tests.git import git

__all__ = ["make_project", "photograph", "quietly"]

_HOOKS = ("pre-commit", "post-checkout", "reference-transaction", "post-index-change", "pre-push")


def make_project(folder: Path, *, commit: bool = True) -> Path:
    """Make a project: two files, one of them edited since the commit, one untracked, and hooks that tell on us."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "src").mkdir()
    (folder / "src/main.py").write_text("print(1)\n")
    (folder / "README").write_text("mine\n")
    if commit:
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "Begin")
        (folder / "README").write_text("mine, edited\n")
    (folder / "notes.txt").write_text("untracked\n")
    for name in _HOOKS:
        hook = folder / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {folder.parent}/hook-ran\n")
        hook.chmod(0o755)
    return folder


def quietly(folder: Path, *words: str) -> str:
    """Run git in a folder without the hooks that tell on us, and without changes to its index that nobody asked for."""
    return git(folder, "--no-optional-locks", "-c", "core.hooksPath=/dev/null", *words)


def photograph(project: Path) -> dict[str, object]:
    """Return all that keeping state beside a project must leave as it is, times of files too."""
    kept = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts[:1]]
    own = [project / ".git" / name for name in ("HEAD", "index", "logs/HEAD", "ORIG_HEAD")]
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in [*kept, *own] if path.exists()}
    hooks = sorted(path.name for path in (project / ".git/hooks").iterdir())
    return {
        "files": files,
        "hooks": hooks,
        "ran": (project.parent / "hook-ran").exists(),
        "status": git(project, "--no-optional-locks", "status", "--porcelain=v2", "--branch"),
    }
