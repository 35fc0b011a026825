"""Real processes, random faults and kills for as long as one likes; `python -m tests.soak --help`."""
