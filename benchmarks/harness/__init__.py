"""The parts of the benchmarks: cases, the hot loops, their work, clocks and summaries."""
