"""The two wire protocols of adieu, defined once.

* * `words`: messages about closing and resetting, the same in-band and by signaling.
* `control`: the control channel of a session (JSON) and the header of session messages (binary).
* `signaling`: the WebSocket between a client and the server.
* `ids`: the names that both sides compute.

Everything is a `msgspec.Struct`: parsing is typed, unknown fields are ignored, a wrong field is a
`msgspec.ValidationError` that names it. `tools/schema.py` writes `docs/reference/protocol.schema.json` from them.
"""

VERSION = 1
"""The version that both sides send in `hello`. A peer with another one is refused with a message that names both."""
