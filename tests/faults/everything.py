"""All modules that hold campaigns."""

from tests.faults import files, kills, model, network, processes

MODULES = (kills, files, network, processes, model)
