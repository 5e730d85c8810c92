"""Sessions: rooms, graceful close with receipts, reset, recovery."""
