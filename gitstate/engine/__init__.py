"""Git and nothing else: objects, packs, refs, locks, trees, history. Knows no jobs."""
