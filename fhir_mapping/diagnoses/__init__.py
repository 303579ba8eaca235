"""What the diagnoses on record say, one by one and together."""
