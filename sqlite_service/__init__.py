"""rqlite's HTTP data API over one SQLite file: the embedded service. Start reading at `DESIGN.md` and `app.py`."""
