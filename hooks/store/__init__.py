"""What is kept: feedback, tokens, the audit record."""
