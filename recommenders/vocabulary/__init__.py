"""What rules are written in: logic, facts, guidance as data, scores, formulas, evidence."""
