"""The SMART on FHIR form at `/ask`: asks what the chart does not hold, and lets the EHR keep the answers."""
