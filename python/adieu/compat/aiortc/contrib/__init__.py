"""Media files and signaling, as aiortc has them."""
