"""A network, rows and the `training` part of a spec -> trained weights and their history."""
