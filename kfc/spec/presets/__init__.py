"""The presets of kfc: one YAML file of ordinary values for each name."""
