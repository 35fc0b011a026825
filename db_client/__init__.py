"""Writes that are never lost: on disk first, then in the SQLite service. Start at `store.py` and `DESIGN.md`."""
