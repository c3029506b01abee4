"""Continual learning: a memory of few images per class, and networks trained on it step after step.

``classes`` learns the classes of one data set group by group (DM section 3.5), ``domains`` one data set after
another (after DSA's experiment on digits). Nothing is imported here: the workflow needs only ``orders``.
"""
