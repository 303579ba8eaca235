"""What the reader sees: cards, their words, their suggestions."""
