"""What is on disk: events, lines, files. This package gives bytes no meaning; `projections` does."""
