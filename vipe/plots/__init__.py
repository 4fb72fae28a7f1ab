"""Pictures and pages: one function writes one file. Needs the `report` extra."""
