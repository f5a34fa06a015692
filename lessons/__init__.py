"""Lessons to read along with the package; README.md names the doors."""
