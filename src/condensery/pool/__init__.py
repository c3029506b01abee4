"""Pools: networks trained on real images, stored on their way and grouped by accuracy (DM section 3.4)."""
