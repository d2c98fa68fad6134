"""The ``StateBackend`` interface and its implementations. Async begins here."""
