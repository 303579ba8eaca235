"""What several topics know of one patient."""
