"""Captures of connections that Wireshark reads.

```python
capture = adieu.debug.Capture("call.pcapng")
pc = adieu.RTCPeerConnection(settings=adieu.TransportSettings(capture=capture))
...
capture.close()
```
The file has every datagram of ICE and DTLS as it was on the network, with its addresses. There is no key log: the crate
that does DTLS gives no secrets away. With `contents=True` the file also has the decrypted packets of SCTP, as a
second interface.
"""

from adieu.webrtc.capture import Capture

__all__ = ["Capture"]
