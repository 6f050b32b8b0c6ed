"""Runtimes: one file per format, which loads an exported model without kfc and Keras."""
