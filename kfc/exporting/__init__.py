"""A finished run -> a folder that a service loads without kfc, checked before it counts."""
