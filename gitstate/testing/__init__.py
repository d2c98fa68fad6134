"""The conformance suite for implementers of ``StateBackend``."""
