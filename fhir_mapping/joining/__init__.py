"""What several results, or several lists, say together."""
