"""What there is to say about a source, and its forms."""
