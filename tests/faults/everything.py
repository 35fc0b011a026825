"""All modules that hold campaigns."""

from tests.faults import elections, files, kills, model, network, processes, syscalls

MODULES = (kills, syscalls, files, network, processes, model, elections)
