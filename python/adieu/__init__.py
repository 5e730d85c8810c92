"""WebRTC for Python that knows how to say goodbye."""
