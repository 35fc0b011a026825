"""What every program here does at its start: read its environment, set up its log, say why it cannot start."""
