"""Faults on purpose: kills, damaged files, bad inputs, full disks and two runs at once."""
