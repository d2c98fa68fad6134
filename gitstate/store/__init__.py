"""Documents with a history: the store, its writer, its history and its worktree. Knows no models."""
