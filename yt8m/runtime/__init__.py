"""The machine: devices, memory, processes, clusters, files, progress and interrupts."""
