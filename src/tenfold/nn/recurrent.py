"""Recurrent layers (RNN, LSTM, GRU) and their cells.

A layer holds the weights, checks what it is given and calls one operation of the public namespace
(`lstm`, `gru`, `rnn_tanh`, `rnn_relu`) for all steps, layers and directions.
Letters: T steps, N sequences, C input features, H hidden features, P projected features, L layers times directions.
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import tenfold
from tenfold import Tensor
from tenfold.nn import init
from tenfold.nn.module import Module
from tenfold.nn.parameter import Parameter
from tenfold.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def _permute(state: Tensor, order: Tensor | None) -> Tensor:
    """A state (L, N, H) with its sequences in another order."""
    return state if order is None else state.index_select(1, order)


def _check_sizes(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size):
    """The arguments of a recurrent layer; TypeError or ValueError names the first bad one."""
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            f"{mode}: dropout should be a number in range [0, 1] representing the probability of an element being "
            f"zeroed, got {dropout!r}."
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            f"dropout option adds dropout after all but last recurrent layer, so dropout={dropout} "
            f"has no effect with num_layers={num_layers}. Give more layers, or put nn.Dropout behind this one.",
            stacklevel=4,
        )
    integers = {"input_size": input_size, "hidden_size": hidden_size}
    flags = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    for kind, values in ((int, integers), (bool, flags)):
        for name, value in values.items():
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__} ({value!r}).")
    for name, value in {**integers, "num_layers": num_layers}.items():
        if value <= 0:
            raise ValueError(f"{mode}: {name} must be greater than zero, got {value}.")
    if proj_size < 0:
        raise ValueError(f"{mode}: proj_size should be a positive integer or zero (no projection), got {proj_size}.")
    if proj_size >= hidden_size:
        raise ValueError(
            f"{mode}: proj_size has to be smaller than hidden_size, got proj_size={proj_size} "
            f"and hidden_size={hidden_size}."
        )


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share: weights, their names, and the checks of what comes in.

    Parameters, for each layer k and, with suffix "_reverse", the backward direction: `weight_ih_lk` (G * H, C),
    `weight_hh_lk` (G * H, H or P), `bias_ih_lk` and `bias_hh_lk` (G * H), `weight_hr_lk` (P, H); G gates.
    All are initialised uniformly within 1 / sqrt(H).
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        if isinstance(dropout, str):
            dropout = float(dropout)
        _check_sizes(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}. Known are {', '.join(_GATES)}.")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse") if bidirectional else ("",):
                self._add_weights(layer, suffix, {"device": device, "dtype": dtype})
        self._flat_weights_names = [name for names in self._all_weights for name in names]
        self.reset_parameters()

    def _add_weights(self, layer: int, suffix: str, factory: dict) -> None:
        """Registers the parameters of one layer in one direction and notes their names."""
        gates = _GATES[self.mode] * self.hidden_size
        hidden = self.proj_size or self.hidden_size
        width = self.input_size if layer == 0 else hidden * (2 if self.bidirectional else 1)
        shapes = {"weight_ih": (gates, width), "weight_hh": (gates, hidden)}
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        names = []
        for kind, shape in shapes.items():
            name = f"{kind}_l{layer}{suffix}"
            setattr(self, name, Parameter(tenfold.empty(shape, **factory)))
            names.append(name)
        self._all_weights.append(names)

    @property
    def _flat_weights(self) -> list:
        """The weights as they are now (a parametrization may have replaced a parameter), in the operation's order."""
        parameters = self._parameters
        return [parameters[n] if n in parameters else getattr(self, n) for n in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Does nothing: weights need not lie side by side here."""

    def reset_parameters(self) -> None:
        """Draws all weights uniformly from -1 / sqrt(H) to 1 / sqrt(H)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Dtype, dims and features of the input."""
        weight = self._flat_weights[0]
        if input.dtype != weight.dtype and not tenfold.is_autocast_enabled():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert the input with input.to({weight.dtype}), or the {type(self).__name__} with "
                f".to({input.dtype})."
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(f"{type(self).__name__}: input must have {dims} dimensions, got {input.dim()}.")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"{type(self).__name__}: input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)} (input is {list(input.shape)})."
            )

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape (L, N, P or H) of the hidden state."""
        return (self._cells, self._sequences(input, batch_sizes), self.proj_size or self.hidden_size)

    @property
    def _cells(self) -> int:
        """Layers times directions."""
        return self.num_layers * (2 if self.bidirectional else 1)

    def _sequences(self, input: Tensor, batch_sizes: Tensor | None) -> int:
        """N; of packed rows it is the size of the first step, which is read."""
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return input.size(0) if self.batch_first else input.size(1)

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """RuntimeError with that message unless the state has that shape."""
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """All checks of what `forward` was given."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The state with its sequences in another order."""
        return _permute(hx, permutation)

    # --- forward: the same for all, the state being a tuple of one or two tensors -----------------------------

    def _zero_states(self, input: Tensor, sequences: int) -> tuple:
        """A zero for each part of the state."""
        widths = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            widths.append(self.hidden_size)
        factory = {"dtype": input.dtype, "device": input.device}
        return tuple(tenfold.zeros(self._cells, sequences, width, **factory) for width in widths)

    def _check_state_dims(self, states: tuple, batched: bool) -> None:
        """A batched input takes states with 3 dims, an unbatched one with 2."""
        dims = 3 if batched else 2
        if any(part.dim() != dims for part in states):
            what = "batched 3-D" if batched else "unbatched 2-D"
            if len(states) == 1:
                given = f"hx should also be {dims}-D but got {states[0].dim()}-D tensor"
            else:
                found = ", ".join(f"{part.dim()}-D" for part in states)
                given = f"hx and cx should also be {dims}-D but got ({found}) tensors"
            raise RuntimeError(f"For {what} input, {given}. Shapes are {[list(part.shape) for part in states]}.")

    def _call(self, operation, input, states: tuple | None, pack, unpack):
        """(output, states) of the operation; `pack` makes of the tuple of states what the operation takes."""
        name = type(self).__name__
        if isinstance(input, PackedSequence):
            return self._call_packed(operation, input, states, pack, unpack)
        if input.dim() not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead.")
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if states is not None:
            self._check_state_dims(states, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
            states = states and tuple(part.unsqueeze(1) for part in states)
        if states is None:
            states = self._zero_states(input, input.size(batch_dim))
        self.check_forward_args(input, unpack(states), None)
        output, *states = operation(input, pack(states), *self._operation_arguments(), self.batch_first)
        if not batched:
            output = output.squeeze(batch_dim)
            states = [part.squeeze(1) for part in states]
        return output, unpack(tuple(states))

    def _call_packed(self, operation, sequence: PackedSequence, states: tuple | None, pack, unpack):
        """The same for packed rows; states come and go in the order in which the user packed."""
        data, batch_sizes, sorted_indices, unsorted_indices = sequence
        if states is None:
            states = self._zero_states(data, int(batch_sizes[0]))
        else:
            states = tuple(_permute(part, sorted_indices) for part in states)
        self.check_forward_args(data, unpack(states), batch_sizes)
        output, *states = operation(data, batch_sizes, pack(states), *self._operation_arguments())
        states = unpack(tuple(_permute(part, unsorted_indices) for part in states))
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), states

    def _operation_arguments(self) -> tuple:
        return (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)

    def extra_repr(self) -> str:
        """The sizes, and the options that are not at their defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        parts += [
            f"{name}={getattr(self, name)}" for name, default in defaults.items() if getattr(self, name) != default
        ]
        return ", ".join(parts)

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_flat_weights": self._flat_weights}  # PyTorch makes none when it loads

    def __setstate__(self, state: dict) -> None:
        state = dict(state)
        # PyTorch keeps these beside the parameters; here they are looked up.
        state.pop("_flat_weights", None)
        state.pop("_flat_weight_refs", None)
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)


def _single(states: tuple) -> Tensor:
    return states[0]


def _pair(states: tuple) -> tuple:
    return states


class RNN(RNNBase):
    """Elman's recurrent layers: `h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)`, layer on layer.

    Args:
        input_size: C.
        hidden_size: H.
        num_layers: layers, each reading the outputs of the one below. Default 1.
        nonlinearity: "tanh" (default) or "relu".
        bias: with the two biases. Default True.
        batch_first: sequences are (N, T, C) instead of (T, N, C). Default False.
        dropout: probability for the outputs of all layers but the last, in training. Default 0.
        bidirectional: a second set of weights reads from the end; outputs are put side by side. Default False.
    Call: `rnn(input, hx=None)` -> (output, h_n); input (T, N, C), (T, C) or packed; hx, h_n (L, N, H) or (L, H).
    Source: Elman 1990, Finding structure in time.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        args = list(args)
        nonlinearity = args.pop(3) if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        self.nonlinearity = nonlinearity
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if nonlinearity not in modes:
            raise ValueError(f"RNN: Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(modes[nonlinearity], *args, **kwargs)

    def forward(self, input, hx=None):
        """(output, h_n)."""
        if isinstance(input, Tensor) and input.dim() not in (2, 3):
            raise ValueError(f"RNN: Expected input to be 2D or 3D, got {input.dim()}D tensor instead.")
        operation = tenfold.rnn_tanh if self.mode == "RNN_TANH" else tenfold.rnn_relu
        return self._call(operation, input, None if hx is None else (hx,), _single, _single)


class LSTM(RNNBase):
    """Layers of long short-term memory.

    `i, f, o = sigmoid(...)`, `g = tanh(...)`, each of its own `W_ih x_t + b_ih + W_hh h_(t-1) + b_hh`;
    `c_t = f * c_(t-1) + i * g`; `h_t = o * tanh(c_t)`, multiplied by `W_hr` if there is a projection.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as `RNN`'s.
        proj_size: P, features that `h_t` is projected to. Default 0: no projection.
    Call: `lstm(input, hx=None)` -> (output, (h_n, c_n)); hx a pair (h_0, c_0) of (L, N, P or H) and (L, N, H).
    Source: Hochreiter and Schmidhuber 1997; projections: Sak et al. 2014.
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape (L, N, H) of the cell state."""
        return (self._cells, self._sequences(input, batch_sizes), self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: tuple[Tensor, Tensor], batch_sizes: Tensor | None) -> None:
        """All checks of what `forward` was given."""
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes)
        self.check_hidden_size(hidden[0], expected, "Expected hidden[0] size {}, got {}")
        expected = self.get_expected_cell_size(input, batch_sizes)
        self.check_hidden_size(hidden[1], expected, "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: tuple[Tensor, Tensor], permutation: Tensor | None) -> tuple[Tensor, Tensor]:
        """The two states with their sequences in another order."""
        return _permute(hx[0], permutation), _permute(hx[1], permutation)

    def forward(self, input, hx=None):
        """(output, (h_n, c_n))."""
        return self._call(tenfold.lstm, input, None if hx is None else (hx[0], hx[1]), _pair, _pair)


class GRU(RNNBase):
    """Layers of gated recurrent units.

    `r, z = sigmoid(...)` of their own `W_ih x_t + b_ih + W_hh h_(t-1) + b_hh`;
    `n = tanh(W_in x_t + b_in + r * (W_hn h_(t-1) + b_hn))`; `h_t = (1 - z) * n + z * h_(t-1)`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: as `RNN`'s.
    Call: `gru(input, hx=None)` -> (output, h_n), shapes as `RNN`'s.
    Source: Cho et al. 2014, with the reset gate after the product.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input, hx=None):
        """(output, h_n)."""
        return self._call(tenfold.gru, input, None if hx is None else (hx,), _single, _single)


# --- cells ------------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What the cells share: `weight_ih` (G * H, C), `weight_hh` (G * H, H), `bias_ih` and `bias_hh` (G * H)."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Tensor
    weight_hh: Tensor

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device=None, dtype=None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        factory = {"device": device, "dtype": dtype}
        gates = num_chunks * hidden_size
        self.weight_ih = Parameter(tenfold.empty((gates, input_size), **factory))
        self.weight_hh = Parameter(tenfold.empty((gates, hidden_size), **factory))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(tenfold.empty(gates, **factory)) if bias else None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        """The sizes, and the options that are not at their defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def reset_parameters(self) -> None:
        """Draws all weights uniformly from -1 / sqrt(H) to 1 / sqrt(H)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, operation, input: Tensor, states: tuple | None, names: tuple, pack):
        """The cell's operation on a batch, or on one input without batch dim."""
        cell = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{cell}: Expected input to be 1D or 2D, got {input.dim()}D instead.")
        for name, part in zip(names, states or (), strict=False):
            if part.dim() not in (1, 2):
                raise ValueError(f"{cell}: Expected {name} to be 1D or 2D, got {part.dim()}D instead.")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if states is None:
            zero = tenfold.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)
            states = (zero,) * len(names)
        elif not batched:
            states = tuple(part.unsqueeze(0) for part in states)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        result = operation(input, pack(states), *weights)
        if batched:
            return result
        return tuple(part.squeeze(0) for part in result) if isinstance(result, tuple) else result.squeeze(0)


class RNNCell(RNNCellBase):
    """One step of an `RNN`: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`.

    Args:
        input_size: C.
        hidden_size: H.
        bias: with the two biases. Default True.
        nonlinearity: "tanh" (default) or "relu".
    Call: `cell(input, hx=None)` -> h'; input (N, C) or (C), hx and h' (N, H) or (H).
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    nonlinearity: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state."""
        operations = {"tanh": tenfold.rnn_tanh_cell, "relu": tenfold.rnn_relu_cell}
        if self.nonlinearity not in operations:
            raise RuntimeError(f"RNNCell: Unknown nonlinearity: {self.nonlinearity}. Give 'tanh' or 'relu'.")
        states = None if hx is None else (hx,)
        return self._step(operations[self.nonlinearity], input, states, ("hidden",), _single)


class LSTMCell(RNNCellBase):
    """One step of an `LSTM` without projection.

    Args:
        input_size: C.
        hidden_size: H.
        bias: with the two biases. Default True.
    Call: `cell(input, hx=None)` -> (h', c'); input (N, C) or (C), hx a pair (h, c) of (N, H) or (H).
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next hidden and cell state."""
        states = None if hx is None else tuple(hx)
        if states is not None and len(states) != 2:
            raise ValueError(f"LSTMCell: hx is a pair (h, c), got {len(states)} tensors.")
        return self._step(tenfold.lstm_cell, input, states, ("hx[0]", "hx[1]"), _pair)


class GRUCell(RNNCellBase):
    """One step of a `GRU`.

    Args:
        input_size: C.
        hidden_size: H.
        bias: with the two biases. Default True.
    Call: `cell(input, hx=None)` -> h'; input (N, C) or (C), hx and h' (N, H) or (H).
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state."""
        return self._step(tenfold.gru_cell, input, None if hx is None else (hx,), ("hidden",), _single)
