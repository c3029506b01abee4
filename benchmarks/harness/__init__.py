"""What the benchmarks are made of: cases, the hot loops, their work, clocks and summaries."""
