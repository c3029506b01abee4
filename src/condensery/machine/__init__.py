"""The machine of a job: its device, its GPUs, and the versions of the code."""
