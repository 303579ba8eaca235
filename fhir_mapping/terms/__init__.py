"""Codes, units, drugs, dates and the fact dictionary: tables and their readers."""
