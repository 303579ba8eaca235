"""What is told in a way of its own: a symptom, a density, a stage, the words on the cord."""
