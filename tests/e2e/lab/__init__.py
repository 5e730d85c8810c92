"""The lab: real browsers, other implementations and a network of their own, started and ended surely."""
