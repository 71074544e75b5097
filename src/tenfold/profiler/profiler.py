"""`profile`, its schedule, and ranges that a program names."""

from __future__ import annotations

import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from enum import Enum
from functools import partial
from time import perf_counter_ns
from typing import Any

from .._core.trace.profiling import Recorder, active, end_range
from .events import EventList, events_of


class ProfilerActivity(Enum):
    """What is profiled. tenfold has the CPU alone; the others are accepted, and give nothing."""

    CPU = 0
    XPU = 1
    CUDA = 2
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class DeviceType(Enum):
    CPU = 0
    CUDA = 1


class ProfilerAction(Enum):
    """What a profile does during a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    return True


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are recorded: skip `skip_first`, then again and again wait for `wait` steps, warm up for `warmup` and
    record `active`, `repeat` times (0: without end). With `skip_first_wait` != 0 the first cycle does not wait.

    A path is compiled at its eighth visit: with `wait + warmup` of 8 or more (10, where the first steps differ, as those of an
    optimizer that makes its state then) the record has compiled programs alone.
    """
    if wait < 0 or warmup < 0 or active < 1 or repeat < 0 or skip_first < 0:
        raise ValueError(
            f"schedule: wait={wait}, warmup={warmup}, repeat={repeat} and skip_first={skip_first} must be at least 0, "
            f"active={active} at least 1"
        )
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results")
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"schedule: step {step} is below 0")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        at = step % cycle
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


class record_function(ContextDecorator):
    """Names a range of the program, as a context manager or a decorator. In a profile it is a row with what was called in it.

    While a profile is active, the range's start and end are also the start and end of a program: what is called in it is
    computed in it. Without a profile it does nothing.

    Args:
        name: the row's name.
        args: added to the name in parentheses, as text.
    """

    def __init__(self, name: str, args: str | None = None):
        self.name = name
        self.args = args
        self._begin: list[int] = []

    def _recreate_cm(self):
        return type(self)(self.name, self.args)

    def __enter__(self) -> record_function:
        recorder = active()
        if recorder is not None:
            end_range()
        self._begin.append(perf_counter_ns() if recorder is not None else 0)
        return self

    def __exit__(self, kind, value, trace) -> None:
        begin = self._begin.pop()
        recorder = active()
        if recorder is None:
            return
        if kind is None:
            end_range()
        if recorder.recording and begin:
            recorder.add(self.name, "range", begin, perf_counter_ns())


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


class profile:
    """Records where the time of a program goes, in this thread, as a context manager or between `start()` and `stop()`.

    While it is active, programs run one step after the other so that each kernel can be timed; that costs some time
    itself. A path's first visits are interpreted, so the record of a loop's first steps differs from that of later ones:
    give a `schedule` with `wait + warmup` of 5, say.

    Args:
        activities: `ProfilerActivity` members; there is the CPU alone. Default: all that there are.
        schedule: function of the step's number that says what to do (see `schedule`); call `step()` after each step.
        on_trace_ready: called with the profile after each recorded cycle.
        record_shapes: keep the shapes of operands. Default False.
        profile_memory: count the bytes of results. Default False.
        with_stack: keep the user's line that called each operation. Default False.
        with_flops: count floating-point operations of products and convolutions. Default False.
        with_modules, experimental_config, execution_trace_observer, custom_trace_id_callback, use_cuda,
        post_processing_timeout_s: accepted, without a meaning here.
        acc_events: keep the events of earlier cycles. Default False.
    """

    def __init__(
        self, *, activities: Iterable | None = None, schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None, record_shapes: bool = False, profile_memory: bool = False,
        with_stack: bool = False, with_flops: bool = False, with_modules: bool = False, experimental_config=None,
        execution_trace_observer=None, acc_events: bool = False, use_cuda: bool | None = None,
        custom_trace_id_callback=None, post_processing_timeout_s: float | None = None,
    ):  # fmt: skip
        self.activities = set(activities) if activities is not None else supported_activities()
        if not self.activities:
            raise ValueError("No valid profiler activities found")
        if use_cuda or self.activities - supported_activities():
            warnings.warn("CUDA is not available, disabling CUDA profiling")
        self.schedule = schedule if schedule is not None else _always
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.what = {"shapes": record_shapes, "stack": with_stack, "flops": with_flops, "memory": profile_memory}
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.metadata: dict[str, Any] = {}
        self._recorder = Recorder()
        self._events: EventList | None = None
        self._range: record_function | None = None
        self._running = False

    # --- on and off --------------------------------------------------------------------------------------------------

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, kind, value, trace) -> None:
        if kind is not None:  # the walk may hold what failed
            self._recorder.recording = False
        self.stop()

    def start(self) -> None:
        """Begins with step 0."""
        if self._running:
            raise RuntimeError("profile: start() was called twice; call stop() first")
        self._running = True
        self._recorder.attach()
        self._change(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """Ends; what was recorded can be read."""
        if not self._running:
            return
        try:
            self._end_step()
            end_range()
        finally:
            self._running = False
            recorded = self.current_action in _RECORDING
            self._recorder.recording = False
            self._recorder.detach()
            if recorded:
                self._save()

    def step(self) -> None:
        """Says that the next step of the loop begins."""
        self._end_step()
        end_range()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._change(before, self.current_action)
        self._begin_step()

    def _begin_step(self) -> None:
        if self.record_steps:
            self._range = record_function(f"ProfilerStep#{self.step_num}")
            self._range.__enter__()

    def _end_step(self) -> None:
        if self._range is not None:
            self._range.__exit__(None, None, None)
            self._range = None

    def _change(self, before: ProfilerAction, now: ProfilerAction) -> None:
        recorder = self._recorder
        if before is ProfilerAction.RECORD_AND_SAVE or before is ProfilerAction.RECORD and now not in _RECORDING:
            recorder.recording = False
            self._save()
        if now in _RECORDING and not recorder.recording:
            if not self.acc_events:
                recorder.spans = []
                self._events = None
            recorder.recording = True

    def _save(self) -> None:
        self._events = None
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    # --- what was recorded ---------------------------------------------------------------------------------------------

    def events(self) -> EventList:
        """The events of the last recorded cycle, in order of their beginning."""
        if self._events is None:
            self._events = events_of(self._recorder.spans, **self.what)
            self._events.metadata = self.metadata
        return self._events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """Sums by name; with `group_by_input_shape` by the operands' shapes too (give `record_shapes=True`), with
        `group_by_stack_n` by the calling line (`with_stack=True`). Print its `.table(sort_by=...)`."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def export_chrome_trace(self, path) -> None:
        """Writes the events as JSON for chrome://tracing or ui.perfetto.dev (compressed where the name ends in .gz)."""
        self.events().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes calling lines and times for a flame graph (give `with_stack=True`)."""
        self.events().export_stacks(path, metric)

    def export_memory_timeline(self, path: str, device: str | None = None) -> None:
        raise NotImplementedError(
            "export_memory_timeline: tenfold keeps no timeline of memory; print(torch.explain(f)) shows a program's memory plan"
        )

    def add_metadata(self, key: str, value: str) -> None:
        """Adds a text to the trace that is written."""
        self.metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Adds JSON, given as text, to the trace that is written."""
        self.metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def toggle_collection_dynamic(self, enable: bool, activities: Iterable) -> None:
        """Pauses the recording, or goes on with it."""
        self._recorder.recording = enable and self.current_action in _RECORDING


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable:
    """An `on_trace_ready` that writes each trace into a folder, under the names that TensorBoard's plugin looks for."""
    return partial(_write_trace, dir_name, worker_name, use_gzip)


def _write_trace(folder: str, worker: str | None, use_gzip: bool, prof: profile) -> None:
    os.makedirs(folder, exist_ok=True)
    worker = worker or f"{socket.gethostname()}_{os.getpid()}"
    name = f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}"
    prof.export_chrome_trace(os.path.join(folder, name))
