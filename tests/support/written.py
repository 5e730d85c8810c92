"""The log as a test sees it."""

from __future__ import annotations

import logging


class Written(logging.Handler):
    """Keeps the written lines: the id, and the rest in the form `ice DEBUG = checking`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        id_, _, text = record.getMessage().partition(" ")
        self.lines.append((id_, f"{record.name.removeprefix('adieu.')} {record.levelname} {text}"))

    def of(self, log_id: str) -> list[str]:
        return [line for id_, line in self.lines if id_ == log_id]
