"""Pure JSON: canonical bytes, pointers, merge. Knows no git, no models and no files."""
