"""Files and folders of a session: offered over the control channel, carried by channels of their own, proved."""
