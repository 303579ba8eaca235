"""The service as a process: serving, logs, metrics, traces."""
