"""The browsers, as for the SDK's tests."""

from e2e.sdk.conftest import both, chromium, firefox

__all__ = ["both", "chromium", "firefox"]
