"""Peers that are programs: aiortc, pion; and adieu in this process."""
