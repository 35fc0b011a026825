"""All modules that hold campaigns."""

from tests.faults import elections, files, kills, model, network, power, processes, syscalls

MODULES = (kills, syscalls, power, files, network, processes, model, elections)
