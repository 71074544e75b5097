"""Timing of small pieces of code."""

from .timer import Measurement, Timer, timer

__all__ = ["Measurement", "Timer", "timer"]
