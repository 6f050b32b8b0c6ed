"""A spec -> one stand-alone script that trains the same network, without kfc."""
