"""What a store can say without a walk over its commits, in SQLite files that may be lost at any moment."""
