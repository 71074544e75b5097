"""What recurrent layers, attention and the Transformer are asked; `python tests/nn/sequence_cases.py` records
PyTorch's answers in `sequence_cases.json`."""

from __future__ import annotations

import itertools
from pathlib import Path

from recorded_cases import case, error_of, filled, leaf, record, wave, with_gradients

ANSWERS = Path(__file__).with_suffix(".json")

# --- recurrent ----------------------------------------------------------------------------------------------

LAYERS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True},
    "batch_first": {"batch_first": True, "bias": False},
    "deep_batch_first": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}


def recurrent_case(kind, options):
    def run(torch):
        layer = filled(torch, getattr(torch.nn, kind)(3, 4, **options))
        x = leaf(torch, 3, 2, 3)
        states = layer.num_layers * (2 if layer.bidirectional else 1)
        n = 3 if layer.batch_first else 2
        h = leaf(torch, states, n, layer.proj_size or 4, phase=2.0)
        c = leaf(torch, states, n, 4, phase=3.0)
        hx = (h, c) if kind == "LSTM" else h
        leaves = [x, h, *layer.parameters()] + ([c] if kind == "LSTM" else [])
        return with_gradients(torch, [layer(x), layer(x[0]), layer(x, hx)], leaves), repr(layer)

    return run


def packed_case(kind, options):
    def run(torch):
        layer = filled(torch, getattr(torch.nn, kind)(3, 4, **options))
        x = leaf(torch, 3, 4, 3)
        h = leaf(torch, layer.num_layers * (2 if layer.bidirectional else 1), 3, 4, phase=2.0)
        hx = (h, h * 0.5) if kind == "LSTM" else h
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, [2, 4, 1], batch_first=True, enforce_sorted=False)
        out, final = layer(packed, hx)
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        return with_gradients(torch, [padded, final], [x, h, *layer.parameters()]), lengths

    return run


for kind, (label, options) in itertools.product(("RNN", "LSTM", "GRU"), LAYERS.items()):
    case(f"recurrent/{kind}/{label}")(recurrent_case(kind, options))
    if not options.get("batch_first"):
        case(f"recurrent/{kind}/packed_{label}")(packed_case(kind, options))
case("recurrent/LSTM/projected")(recurrent_case("LSTM", {"proj_size": 2, "bidirectional": True}))
case("recurrent/RNN/relu")(recurrent_case("RNN", {"nonlinearity": "relu"}))


def cell_case(kind, options):
    def run(torch):
        cell = filled(torch, getattr(torch.nn, kind)(3, 4, **options))
        x, h = leaf(torch, 2, 3), leaf(torch, 2, 4, phase=2.0)
        hx = (h, h * 0.5) if kind == "LSTMCell" else h
        return with_gradients(torch, [cell(x, hx), cell(x), cell(x[0])], [x, h, *cell.parameters()]), repr(cell)

    return run


for kind in ("RNNCell", "LSTMCell", "GRUCell"):
    case(f"recurrent/{kind}/plain")(cell_case(kind, {}))
    case(f"recurrent/{kind}/no_bias")(cell_case(kind, {"bias": False}))
case("recurrent/RNNCell/relu")(cell_case("RNNCell", {"nonlinearity": "relu"}))


@case("recurrent/state_dict")
def recurrent_state(torch):
    layer = torch.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    return [[name, list(p.shape)] for name, p in layer.state_dict().items()]


@case("recurrent/errors")
def recurrent_errors(torch):
    nn = torch.nn
    x = torch.zeros(5, 2, 3)
    lstm, gru, cell = nn.LSTM(3, 4), nn.GRU(3, 4), nn.GRUCell(3, 4)
    calls = {
        "mode": lambda: nn.RNNBase("X", 3, 4),
        "hidden": lambda: nn.LSTM(3, 0),
        "input": lambda: nn.LSTM(0, 4),
        "float": lambda: nn.LSTM(3, 4.0),
        "flag": lambda: nn.LSTM(3, 4, bias=1),
        "layers": lambda: nn.LSTM(3, 4, 0),
        "dropout": lambda: nn.LSTM(3, 4, 2, dropout=2),
        "projection": lambda: nn.GRU(3, 4, proj_size=2),
        "wide projection": lambda: nn.LSTM(3, 4, proj_size=4),
        "nonlinearity": lambda: nn.RNN(3, 4, nonlinearity="x"),
        "dims": lambda: lstm(x[0, 0]),
        "features": lambda: lstm(torch.zeros(5, 2, 4)),
        "dtype": lambda: lstm(x.double()),
        "state": lambda: lstm(x, (torch.zeros(1, 2, 5), torch.zeros(1, 2, 4))),
        "state dims": lambda: gru(x, torch.zeros(2, 4)),
        "no steps": lambda: gru(x[:0]),
        "cell dims": lambda: cell(x),
        "cell features": lambda: cell(torch.zeros(2, 5)),
        "cell batch": lambda: cell(x[0], torch.zeros(3, 4)),
        "cell state": lambda: cell(x[0], torch.zeros(2, 5)),
    }
    return {name: error_of(f) for name, f in calls.items()}


# --- attention ----------------------------------------------------------------------------------------------

ATTENTION = {
    "plain": {},
    "no_bias": {"bias": False},
    "extra_positions": {"add_bias_kv": True, "add_zero_attn": True},
    "batch_first": {"batch_first": True},
    "widths": {"kdim": 3, "vdim": 5},
}


def attention_case(options, same, masks, need_weights):
    def run(torch):
        layer = filled(torch, torch.nn.MultiheadAttention(8, 2, **options), scale=0.4)
        first = layer.batch_first
        query = leaf(torch, *((2, 3, 8) if first else (3, 2, 8)))
        source = 3 if same else 4
        key = value = query
        if not same:
            key = leaf(torch, *((2, source) if first else (source, 2)), layer.kdim, phase=1.0)
            value = leaf(torch, *((2, source) if first else (source, 2)), layer.vdim, phase=2.0)
        given = {}
        if masks == "bool":
            given["attn_mask"] = wave(torch, 3, source, phase=0.5) > 0.6
            given["key_padding_mask"] = torch.tensor([[False] * source, [False] * (source - 1) + [True]])
        if masks == "float":
            given["attn_mask"] = wave(torch, 4, 3, source)
        if masks == "causal":
            given["attn_mask"] = torch.triu(torch.ones(3, source), 1).bool()
            given["is_causal"] = True
        results = [layer(query, key, value, need_weights=need_weights, **given)]
        if need_weights:
            results.append(layer(query, key, value, average_attn_weights=False, **given)[1])
        return with_gradients(torch, results, [query, key, value, *layer.parameters()])

    return run


for (label, options), need_weights in itertools.product(ATTENTION.items(), (True, False)):
    weights = "weights" if need_weights else "output"
    for masks in ("", "bool", "float"):
        case(f"attention/{label}/{weights}/{masks}")(attention_case(options, False, masks, need_weights))
    if label != "widths":
        case(f"attention/{label}/{weights}/self")(attention_case(options, True, "", need_weights))
case("attention/causal")(attention_case({}, True, "causal", False))


@case("attention/unbatched")
def attention_unbatched(torch):
    layer = filled(torch, torch.nn.MultiheadAttention(8, 2), scale=0.4)
    query, key = leaf(torch, 3, 8), leaf(torch, 4, 8, phase=1.0)
    return with_gradients(torch, [layer(query, key, key), layer(query, query, query)], [query, key])


@case("attention/state_dict")
def attention_state(torch):
    layers = [torch.nn.MultiheadAttention(8, 2, **options) for options in ATTENTION.values()]
    return [[[name, list(p.shape)] for name, p in layer.state_dict().items()] for layer in layers]


@case("attention/errors")
def attention_errors(torch):
    attention = torch.nn.MultiheadAttention
    layer, q, k = attention(8, 2), torch.zeros(5, 3, 8), torch.zeros(4, 3, 8)
    calls = {
        "heads": lambda: attention(8, 3),
        "no width": lambda: attention(0, 1),
        "dims": lambda: layer(q[0, 0], q[0, 0], q[0, 0]),
        "key dims": lambda: layer(q, k[:, 0], k),
        "width": lambda: layer(torch.zeros(5, 3, 6), k, k),
        "key width": lambda: layer(q, torch.zeros(4, 3, 6), torch.zeros(4, 3, 6)),
        "lengths": lambda: layer(q, k, q),
        "batch": lambda: layer(q, k[:, :2], k[:, :2]),
        "padding shape": lambda: layer(q, k, k, key_padding_mask=torch.zeros(4, 3).bool()),
        "padding dtype": lambda: layer(q, k, k, key_padding_mask=torch.zeros(3, 4).int()),
        "mask shape": lambda: layer(q, k, k, attn_mask=torch.zeros(4, 5).bool()),
        "mask heads": lambda: layer(q, k, k, attn_mask=torch.zeros(3, 5, 4)),
        "mask dims": lambda: layer(q, k, k, attn_mask=torch.zeros(4)),
        "causal": lambda: layer(q, q, q, is_causal=True),
    }
    return {name: error_of(f) for name, f in calls.items()}


# --- transformer --------------------------------------------------------------------------------------------

TRANSFORMERS = {
    "plain": {},
    "gelu_norm_first": {"activation": "gelu", "norm_first": True, "batch_first": True},
    "no_bias": {"bias": False},
}


def transformer_case(options):
    def run(torch):
        model = torch.nn.Transformer(4, 2, 2, 2, 6, **options)
        model = filled(torch, model).eval()
        src, tgt = leaf(torch, 3, 3, 4), leaf(torch, 3, 3, 4, phase=1.0)
        causal = model.generate_square_subsequent_mask(3, dtype=torch.float64)
        padding = torch.tensor([[False, False, False], [False, False, True], [False, True, True]])
        results = [
            model(src, tgt),
            model(src, tgt, tgt_mask=causal, tgt_is_causal=True),
            model(src, tgt, src_key_padding_mask=padding, memory_key_padding_mask=padding),
        ]
        first = with_gradients(torch, results, [src, tgt, model.encoder.layers[0].linear1.weight])
        with torch.no_grad():
            return first, model.encoder(src.detach(), src_key_padding_mask=padding)

    return run


for label, options in TRANSFORMERS.items():
    case(f"transformer/{label}")(transformer_case(options))


@case("transformer/text")
def transformer_text(torch):
    model = torch.nn.Transformer(4, 2, 1, 1, 6, batch_first=True, activation=torch.nn.GELU())
    return repr(model), list(model.state_dict()), str(model.generate_square_subsequent_mask(3))


@case("transformer/errors")
def transformer_errors(torch):
    nn = torch.nn
    model, x = nn.Transformer(4, 2, 1, 1, 6), torch.zeros(3, 2, 4)
    calls = {
        "activation": lambda: nn.TransformerEncoderLayer(4, 2, activation="x"),
        "batch": lambda: model(x, x[:, :1]),
        "width": lambda: model(x[..., :2], x),
        "causal": lambda: model.encoder(x, is_causal=True),
    }
    return {name: error_of(f) for name, f in calls.items()}


if __name__ == "__main__":
    record(ANSWERS)
