"""Discord's signed interactions, answered over HTTP within three seconds. Start reading at `app.py` and `DESIGN.md`."""
