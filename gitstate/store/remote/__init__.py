"""Remotes: what goes there, what comes from there, and what becomes of both."""
