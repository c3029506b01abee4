"""Pools: networks trained on real images, stored during training and grouped by accuracy (DM section 3.4)."""
