"""What the stored bytes mean: names, layout, codec, message, version. Knows no git."""
