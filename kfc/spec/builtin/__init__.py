"""The specs that come with kfc, one YAML file each."""
