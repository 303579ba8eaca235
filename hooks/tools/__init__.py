"""For integrators and authors: the command line and what it calls."""
