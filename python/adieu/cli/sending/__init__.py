"""`adieu send` and `adieu receive`: codes, the proof of the other program, the list of files, both sides."""
