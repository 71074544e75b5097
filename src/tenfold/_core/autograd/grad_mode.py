"""Contexts and decorators that say whether operations are recorded for gradients."""

from __future__ import annotations

import functools
import inspect

from ..trace.handle import tls
from ..trace.walk import set_mode


def is_grad_enabled() -> bool:
    """Whether operations are recorded for gradients in this thread."""
    return tls.walk.at.mode


class _Mode:
    """A context manager that is also a decorator (of functions and of generators, whose every step it then covers)."""

    def __call__(self, f):
        if inspect.isclass(f):
            raise TypeError(f"{type(self).__name__} decorates functions, not classes: decorate the methods")
        if inspect.isgeneratorfunction(f):

            @functools.wraps(f)
            def generator(*args, **kwargs):
                with self.copy():
                    steps = f(*args, **kwargs)
                sent = None
                while True:
                    try:
                        with self.copy():
                            value = steps.send(sent)
                    except StopIteration as stop:
                        return stop.value
                    sent = yield value

            return generator

        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            with self.copy():
                return f(*args, **kwargs)

        return wrapped

    def copy(self):
        return type(self)()


class no_grad(_Mode):
    """Nothing is recorded for gradients inside: results have requires_grad False. A context or a decorator."""

    def __new__(cls, orig_func=None):
        self = super().__new__(cls)
        return self if orig_func is None else self(orig_func)

    def __init__(self, orig_func=None):
        self.before = []

    def __enter__(self):
        self.before.append(tls.walk.at.mode)
        set_mode(False)

    def __exit__(self, *error):
        set_mode(self.before.pop())


class enable_grad(no_grad):
    """Operations are recorded for gradients inside, also within `no_grad`. A context or a decorator."""

    def __enter__(self):
        self.before.append(tls.walk.at.mode)
        set_mode(True)


class set_grad_enabled(_Mode):
    """Recording for gradients on or off: at once, and as a context until its end."""

    def __init__(self, mode: bool):
        self.mode = bool(mode)
        self.before = tls.walk.at.mode
        set_mode(self.mode)

    def __call__(self, f):
        set_mode(self.before)
        return super().__call__(f)

    def copy(self):
        return set_grad_enabled(self.mode)

    def __enter__(self):
        set_mode(self.mode)

    def __exit__(self, *error):
        set_mode(self.before)


class inference_mode(_Mode):
    """As `no_grad`, for code that never takes gradients of what it makes."""

    def __new__(cls, mode=True):
        self = super().__new__(cls)
        if callable(mode):
            self.__init__(True)
            return self(mode)
        return self

    def __init__(self, mode: bool = True):
        self.mode = bool(mode)
        self.before = []

    def copy(self):
        return inference_mode(self.mode)

    def __enter__(self):
        w = tls.walk
        self.before.append((w.at.mode, w.inference))
        w.inference = self.mode
        set_mode(not self.mode)

    def __exit__(self, *error):
        mode, inference = self.before.pop()
        tls.walk.inference = inference
        set_mode(mode)


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return tls.walk.inference


class set_multithreading_enabled(_Mode):
    """Accepted: `backward()` is part of a program, whose threads `torch.set_num_threads` sets."""

    def __init__(self, mode: bool):
        self.mode = bool(mode)

    def copy(self):
        return set_multithreading_enabled(self.mode)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass
