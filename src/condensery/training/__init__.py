"""Training of evaluation networks: recipes, training images, stacked networks, outcomes."""
