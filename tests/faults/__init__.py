"""Injected faults: kills, damaged files, bad inputs, full disks and two simultaneous runs."""
