"""The cost of runs: the work of a job, and the time that a device takes for it."""

from condensery.cost.jobs import classes_of_job, of_job
from condensery.cost.rates import DeviceRates, Rate, Speed, read_rates
from condensery.cost.work import Work, image_floats

__all__ = ["DeviceRates", "Rate", "Speed", "Work", "classes_of_job", "image_floats", "of_job", "read_rates"]
