"""What loads each format, without kfc and Keras."""
