"""Recurrences: whole RNN, LSTM and GRU stacks, padded and packed, and their cells.

What comes in: a sequence (T, N, C), or packed rows (R, C) with the batch size of each step; the initial state; the flat
list of weights, for each layer and direction `w_ih, w_hh[, b_ih, b_hh][, w_hr]`. What goes out: the last layer's
outputs and the final states.

The input's share of all gates is one product for all steps; a step then does one `addmm` and the element-wise part.
Packed rows are laid out as (T, N) and each step keeps the old state of the sequences that are not there: only sizes
decide the graph, so that other lengths of the same total walk the same path.
Letters: T steps, N sequences, R packed rows, C input features, H hidden features, G gates times H.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .declare import composite, function, operation
from .dropout import functional_dropout
from .joining import cat, stack
from .masking import where
from .matmul import addmm, linear
from .sequences import arange


class Weights(NamedTuple):
    """The weights of one layer in one direction; biases and projection may be None."""

    w_ih: Any
    w_hh: Any
    b_ih: Any
    b_hh: Any
    w_hr: Any


class Packing(NamedTuple):
    """Where packed rows stand in the (T, N) grid; all of it data, nothing but sizes is known while recording."""

    rows: Any  # (T * N,) the packed row of each place of the grid, some valid row where the sequence has ended
    places: Any  # (R,) the place of each packed row in the grid
    present: Any  # (T, N, 1): is the sequence still there?
    steps: int


Cell = Callable[[Any, tuple, Weights], tuple]


# --- packed rows ------------------------------------------------------------------------------------------


def _packing(data, batch_sizes, sequences: int) -> Packing:
    """The grid of packed rows: row r is sequence `n` of step `t`, steps one after the other."""
    total = data.shape[0]
    steps = batch_sizes.shape[0]
    sizes = batch_sizes.to(data.device)
    ends = sizes.cumsum(0)
    starts = ends - sizes
    n = arange(sequences, device=data.device)
    present = n < sizes.unsqueeze(1)  # (T, N)
    # A step that is not there reads the row of its sequence's first step, which is n itself.
    rows = where(present, starts.unsqueeze(1) + n, n)
    # The step of row r is the number of steps that end at or before r.
    marks = ends.new_zeros(total + 1).index_add(0, ends, ends.new_ones(steps))
    step_of_row = marks.cumsum(0)[:total]
    sequence_of_row = arange(total, device=data.device) - starts.index_select(0, step_of_row)
    places = step_of_row * sequences + sequence_of_row
    return Packing(rows.flatten(), places, present.unsqueeze(2), steps)


# --- one step ---------------------------------------------------------------------------------------------


def _add_recurrent(gates, h, weights: Weights):
    """The input's share of the gates plus the state's."""
    return addmm(gates, h, weights.w_hh.t())


def _tanh_step(gates, state, weights):
    return (_add_recurrent(gates, state[0], weights).tanh(),)


def _relu_step(gates, state, weights):
    return (_add_recurrent(gates, state[0], weights).relu(),)


def _lstm_step(gates, state, weights):
    h, c = state
    i, f, g, o = _add_recurrent(gates, h, weights).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if weights.w_hr is None else linear(h, weights.w_hr)), c


def _gru_step(gates, state, weights):
    (h,) = state
    x_r, x_z, x_n = gates.chunk(3, 1)
    h_r, h_z, h_n = linear(h, weights.w_hh, weights.b_hh).chunk(3, 1)
    r = (x_r + h_r).sigmoid()
    z = (x_z + h_z).sigmoid()
    n = (x_n + r * h_n).tanh()
    return ((h - n) * z + n,)


# --- one layer in one direction ---------------------------------------------------------------------------


def _input_gates(x, weights: Weights, step: Cell):
    """The input's share of the gates of all steps, one product; a GRU adds its other bias inside the step."""
    bias = weights.b_ih
    if bias is not None and step is not _gru_step:
        bias = bias + weights.b_hh
    return linear(x, weights.w_ih, bias)


def _scan(gates, state, weights: Weights, step: Cell, reverse: bool, present: list | None):
    """(outputs in order of time, final state) of the recurrence over a list of T gates (N, G)."""
    outputs: list = [None] * len(gates)
    times = range(len(gates))
    for t in reversed(times) if reverse else times:
        new = step(gates[t], state, weights)
        if present is not None:
            new = tuple(where(present[t], a, b) for a, b in zip(new, state, strict=True))
        state = new
        outputs[t] = state[0]
    return outputs, state


@composite(name="_recurrence")
def _recurrence(gates, state, weights, present, step, reverse):
    """(outputs (T, N, H), final states) of a recurrence over (T, N, G). One edge: layers and directions with the same
    sizes share its body, and so do packed batches that differ in the number of rows."""
    present = None if present is None else present.unbind(0)
    outputs, state = _scan(gates.unbind(0), state, Weights(*weights), step, reverse, present)
    return (stack(outputs), *state)


def _layer(x, state, weights: Weights, step: Cell, reverse: bool, packing: Packing | None):
    """One layer in one direction over (T, N, C), or over packed rows (R, C)."""
    gates = _input_gates(x, weights, step)
    own = Weights(None, weights.w_hh, None, weights.b_hh if step is _gru_step else None, weights.w_hr)
    if packing is None:
        outputs, *state = _recurrence(gates, state, own, None, step, reverse)
        return outputs, tuple(state)
    grid = gates.index_select(0, packing.rows).unflatten(0, (packing.steps, -1))
    outputs, *state = _recurrence(grid, state, own, packing.present, step, reverse)
    return outputs.flatten(0, 1).index_select(0, packing.places), tuple(state)


# --- the stack of layers ----------------------------------------------------------------------------------


def _split_weights(name: str, params: Sequence, has_biases: bool, cells: int, projected: bool) -> list[Weights]:
    """The flat list of weights, cut up into one Weights for each layer and direction."""
    each = 2 + 2 * has_biases + projected
    if len(params) != each * cells:
        raise RuntimeError(
            f"{name}: got {len(params)} weights, but {cells} layers times directions with {each} weights each take "
            f"{each * cells}. Give them in the order of the module's parameters."
        )
    groups = [tuple(params[k : k + each]) for k in range(0, len(params), each)]
    biases = (lambda g: g[2:4]) if has_biases else (lambda g: (None, None))
    return [Weights(g[0], g[1], *biases(g), g[-1] if projected else None) for g in groups]


def _stack_of_layers(x, states, weights, step, num_layers, p, directions, packing):
    """(last layer's output, final states in order of layer and direction); dropout with p between layers."""
    finals = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            out, final = _layer(x, states[k], weights[k], step, direction == 1, packing)
            outputs.append(out)
            finals.append(final)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if p and layer < num_layers - 1:
            x = functional_dropout(x, p)
    return x, finals


def _initial_states(name: str, hx: Sequence, cells: int) -> list[tuple]:
    """For each layer and direction the tuple of its initial states (N, H)."""
    for part in hx:
        if part.shape[0] != cells:
            raise RuntimeError(
                f"{name}: the initial state has {part.shape[0]} layers (shape {list(part.shape)}), "
                f"but layers times directions is {cells}."
            )
    return list(zip(*[part.unbind(0) for part in hx], strict=True))


def _run(name, step, x, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    """What all recurrences share: (output, one stacked final for each part of the state)."""
    directions = 2 if bidirectional else 1
    cells = directions * num_layers
    projected = len(hx) == 2 and hx[0].shape[2] != hx[1].shape[2]
    weights = _split_weights(name, params, has_biases, cells, projected)
    if batch_first:
        x = x.transpose(0, 1)
    if x.shape[0] == 0:
        raise RuntimeError(f"Expected sequence length to be larger than 0 in RNN; {name} got {list(x.shape)}.")
    packing = None
    if batch_sizes is not None:
        packing = _packing(x, batch_sizes, hx[0].shape[1])
    states = _initial_states(name, hx, cells)
    p = dropout if train else 0.0
    x, finals = _stack_of_layers(x, states, weights, step, num_layers, p, directions, packing)
    if batch_first:
        x = x.transpose(0, 1)
    return (x, *[stack(part) for part in zip(*finals, strict=True)])


def _lstm_states(hx) -> tuple:
    if len(hx) != 2:
        raise RuntimeError(f"lstm expects two hidden states, the hidden and the cell state, got {len(hx)}.")
    return tuple(hx)


@composite(name="lstm")
def lstm_padded(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    """Layers of long short-term memory over a padded batch; see `lstm`."""
    hx = _lstm_states(hx)
    shared = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return _run("lstm", _lstm_step, input, None, hx, params, *shared)


@composite(name="lstm")
def lstm_packed(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional):
    """Layers of long short-term memory over packed rows; see `lstm`."""
    hx = _lstm_states(hx)
    shared = (has_biases, num_layers, dropout, train, bidirectional, False)
    return _run("lstm", _lstm_step, data, batch_sizes, hx, params, *shared)


@composite(name="gru")
def gru_padded(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    """Layers of gated recurrent units over a padded batch; see `gru`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return _run("gru", _gru_step, input, None, (hx,), params, *shared)


@composite(name="gru")
def gru_packed(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional):
    """Layers of gated recurrent units over packed rows; see `gru`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, False)
    return _run("gru", _gru_step, data, batch_sizes, (hx,), params, *shared)


@composite(name="rnn_tanh")
def rnn_tanh_padded(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    """Layers of Elman's recurrence with tanh over a padded batch; see `rnn_tanh`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return _run("rnn_tanh", _tanh_step, input, None, (hx,), params, *shared)


@composite(name="rnn_tanh")
def rnn_tanh_packed(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional):
    """Layers of Elman's recurrence with tanh over packed rows; see `rnn_tanh`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, False)
    return _run("rnn_tanh", _tanh_step, data, batch_sizes, (hx,), params, *shared)


@composite(name="rnn_relu")
def rnn_relu_padded(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    """Layers of Elman's recurrence with ReLU over a padded batch; see `rnn_relu`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return _run("rnn_relu", _relu_step, input, None, (hx,), params, *shared)


@composite(name="rnn_relu")
def rnn_relu_packed(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional):
    """Layers of Elman's recurrence with ReLU over packed rows; see `rnn_relu`."""
    shared = (has_biases, num_layers, dropout, train, bidirectional, False)
    return _run("rnn_relu", _relu_step, data, batch_sizes, (hx,), params, *shared)


# --- the public names: each takes a padded batch or packed rows ---------------------------------------------


def _packed_call(args: tuple, kwargs: dict, hx_is_list: bool) -> bool:
    """Is this the call with `batch_sizes`? Then the second argument is a tensor where the first form has a list."""
    if "batch_sizes" in kwargs or "data" in kwargs:
        return True
    if hx_is_list:
        return len(args) > 1 and not isinstance(args[1], (list, tuple))
    return len(args) > 2 and not isinstance(args[2], (list, tuple))


@function(where="torch")
def lstm(*args, **kwargs):
    """Layers of long short-term memory: (output, h_n, c_n).

    Takes `(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, or packed rows:
    `(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)`.

    Args:
        input: shape (T, N, C), or (N, T, C) with `batch_first`.
        hx: the initial hidden (L, N, H) and cell state (L, N, H'); L layers times directions.
        params: the weights of each layer and direction, one after the other.
    Returns: (T, N, directions * H), and the final states, each as its initial state.
    Source: Hochreiter and Schmidhuber 1997, Long short-term memory; Gers et al. 2000 for the forget gate.
    """
    return (lstm_packed if _packed_call(args, kwargs, True) else lstm_padded)(*args, **kwargs)


@function(where="torch")
def gru(*args, **kwargs):
    """Layers of gated recurrent units: (output, h_n). Arguments as `lstm`'s, `hx` one tensor (L, N, H).

    Source: Cho et al. 2014, Learning phrase representations using RNN encoder-decoder, reset gate after the product.
    """
    return (gru_packed if _packed_call(args, kwargs, False) else gru_padded)(*args, **kwargs)


@function(where="torch")
def rnn_tanh(*args, **kwargs):
    """Layers of `h = tanh(W_ih x + b_ih + W_hh h + b_hh)`: (output, h_n). Arguments as `gru`'s.

    Source: Elman 1990, Finding structure in time.
    """
    return (rnn_tanh_packed if _packed_call(args, kwargs, False) else rnn_tanh_padded)(*args, **kwargs)


@function(where="torch")
def rnn_relu(*args, **kwargs):
    """Layers of `h = relu(W_ih x + b_ih + W_hh h + b_hh)`: (output, h_n). Arguments as `gru`'s."""
    return (rnn_relu_packed if _packed_call(args, kwargs, False) else rnn_relu_padded)(*args, **kwargs)


# --- cells ------------------------------------------------------------------------------------------------


def _check_cell(input, h, weights: Weights) -> None:
    """RuntimeError unless the input, the state and the weights of a cell fit each other."""
    if input.shape[1] != weights.w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[1]} expected {weights.w_ih.shape[1]} "
            f"(input is {list(input.shape)}, w_ih {list(weights.w_ih.shape)})."
        )
    if h.dim() != 2:
        raise RuntimeError(
            f"Input batch size {input.shape[0]} doesn't match hidden0 batch size: hx has {h.dim()} dims "
            f"(shape {list(h.shape)}), a batch takes 2."
        )
    if h.shape[1] != weights.w_hh.shape[1]:
        raise RuntimeError(
            f"hidden0 has inconsistent hidden_size: got {h.shape[1]}, expected {weights.w_hh.shape[1]} "
            f"(hx is {list(h.shape)}, w_hh {list(weights.w_hh.shape)})."
        )
    if input.shape[0] != h.shape[0]:
        raise RuntimeError(
            f"Input batch size {input.shape[0]} doesn't match hidden0 batch size {h.shape[0]}. "
            f"Give hx one row for each row of input."
        )


def _cell(step: Cell, input, state: tuple, w_ih, w_hh, b_ih, b_hh) -> tuple:
    weights = Weights(w_ih, w_hh, b_ih, b_hh, None)
    _check_cell(input, state[0], weights)
    return step(_input_gates(input, weights, step), state, weights)


@operation(where="torch")
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of long short-term memory: (N, C), ((N, H), (N, H)) -> the next hidden and cell state."""
    return _cell(_lstm_step, input, _lstm_states(hx), w_ih, w_hh, b_ih, b_hh)


@operation(where="torch")
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a gated recurrent unit: (N, C), (N, H) -> (N, H)."""
    return _cell(_gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@operation(where="torch")
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of Elman's recurrence with tanh: (N, C), (N, H) -> (N, H)."""
    return _cell(_tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


@operation(where="torch")
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of Elman's recurrence with ReLU: (N, C), (N, H) -> (N, H)."""
    return _cell(_relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
