"""What can be looked up: the rules, the attributes of their sources, sample patients, and how a call came out."""
