"""The checks of `adieu doctor`: each asks one question, ends within its bound, and returns findings in words."""
