"""What a text says, before anybody knows a code."""
