"""What is seen from outside: logs without patient data, metrics, health, traces."""
