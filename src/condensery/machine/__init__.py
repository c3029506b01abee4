"""The machine that a job runs on: its device, its GPUs, the versions of the code."""
