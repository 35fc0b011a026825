"""What it costs, beside what it could cost at best: `python -m bench`; README.md says what each figure is."""
