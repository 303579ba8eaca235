"""Which bone, which side, which level."""
