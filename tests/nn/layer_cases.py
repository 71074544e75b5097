"""The layers and losses that are tested against recorded answers of PyTorch, and how an answer is made.

A case is (class, arguments, keyword arguments, inputs). An input is a shape, filled with values between -1 and 1 by a
formula; or ("int", shape, bound), ("positive", shape), ("unit", shape) or ("sign", shape).
"""

import inspect
import math

IMAGE = (2, 4, 6, 6)
VOLUME = (1, 2, 4, 4, 4)
ROW = (2, 4, 9)

ACTIVATIONS = (
    "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 SELU SiLU "
    "Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Identity"
).split()

CASES = [(name, (), {}, [(3, 4)]) for name in ACTIVATIONS]
CASES += [
    ("ELU", (0.5, True), {}, [(3, 4)]),
    ("GELU", ("tanh",), {}, [(3, 4)]),
    ("Hardtanh", (-0.5, 0.25), {}, [(3, 4)]),
    ("LeakyReLU", (0.2,), {"inplace": True}, [(3, 4)]),
    ("LogSoftmax", (1,), {}, [(3, 4)]),
    ("PReLU", (4,), {"init": 0.5}, [(3, 4)]),
    ("RReLU", (), {}, [(3, 4)]),
    ("Softmax", (0,), {}, [(3, 4)]),
    ("Softmax2d", (), {}, [IMAGE]),
    ("Softmin", (), {"dim": -1}, [(3, 4)]),
    ("Softplus", (2.0, 1.0), {}, [(3, 4)]),
    ("Threshold", (0.1, 20.0), {}, [(3, 4)]),
    ("Linear", (4, 3), {}, [(2, 5, 4)]),
    ("Linear", (4, 3, False), {}, [(4,)]),
    ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(4, 6)]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, [ROW]),
    ("Conv1d", (4, 2, 2), {"padding": "same", "padding_mode": "circular"}, [ROW]),
    ("Conv2d", (4, 6, (3, 2)), {"groups": 2, "dilation": 2, "bias": False}, [IMAGE]),
    ("Conv2d", (4, 2, 3), {"padding": (1, 2), "padding_mode": "reflect"}, [IMAGE]),
    ("Conv3d", (2, 3, 2), {}, [VOLUME]),
    ("ConvTranspose1d", (4, 2, 3, 2), {"output_padding": 1}, [ROW]),
    ("ConvTranspose2d", (4, 2, 3, 2, 1), {"groups": 2}, [IMAGE]),
    ("ConvTranspose3d", (2, 3, 2), {"dilation": 2}, [VOLUME]),
    ("MaxPool1d", (2,), {}, [ROW]),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True, "return_indices": True}, [IMAGE]),
    ("MaxPool3d", (2,), {}, [VOLUME]),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, [ROW]),
    ("AvgPool2d", ((3, 2),), {"divisor_override": 5}, [IMAGE]),
    ("AvgPool3d", (2,), {}, [VOLUME]),
    ("LPPool1d", (2, 3), {}, [("positive", ROW)]),
    ("LPPool2d", (1.5, 2), {"stride": 1}, [("positive", IMAGE)]),
    ("AdaptiveAvgPool1d", (4,), {}, [ROW]),
    ("AdaptiveAvgPool2d", ((None, 4),), {}, [IMAGE]),
    ("AdaptiveAvgPool3d", (3,), {}, [VOLUME]),
    ("AdaptiveMaxPool1d", (4,), {"return_indices": True}, [ROW]),
    ("AdaptiveMaxPool2d", (4,), {}, [IMAGE]),
    ("FractionalMaxPool2d", (2,), {"output_ratio": 0.5}, [IMAGE]),
    ("FractionalMaxPool3d", (2, 2), {}, [VOLUME]),
    ("ConstantPad1d", (2, 0.5), {}, [ROW]),
    ("ConstantPad2d", ((1, 0, -1, 2), 3.0), {}, [IMAGE]),
    ("ZeroPad3d", (1,), {}, [(1, 2, 2, 2)]),
    ("ReflectionPad1d", ((1, 2),), {}, [ROW]),
    ("ReflectionPad2d", (2,), {}, [IMAGE]),
    ("ReplicationPad2d", ((0, 1, 2, 3),), {}, [IMAGE]),
    ("ReplicationPad3d", (1,), {}, [(1, 2, 2, 2)]),
    ("CircularPad1d", (2,), {}, [ROW]),
    ("CircularPad2d", (1,), {}, [IMAGE]),
    ("BatchNorm1d", (4,), {}, [(5, 4)]),
    ("BatchNorm2d", (4,), {"momentum": None, "affine": False}, [IMAGE]),
    ("BatchNorm3d", (2,), {"track_running_stats": False, "bias": False}, [VOLUME]),
    ("SyncBatchNorm", (4,), {}, [ROW]),
    ("InstanceNorm1d", (4,), {}, [ROW]),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, [IMAGE]),
    ("InstanceNorm2d", (4,), {}, [(4, 6, 6)]),
    ("LayerNorm", ((3, 4),), {}, [(2, 3, 4)]),
    ("LayerNorm", (4,), {"bias": False}, [(2, 3, 4)]),
    ("GroupNorm", (2, 4), {}, [IMAGE]),
    ("RMSNorm", (4,), {}, [(2, 3, 4)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, [IMAGE]),
    ("CrossMapLRN2d", (3,), {"alpha": 0.5}, [("positive", IMAGE)]),
    ("Dropout", (0.3,), {}, [(4, 5)]),
    ("Dropout2d", (), {}, [IMAGE]),
    ("AlphaDropout", (0.2,), {}, [(4, 5)]),
    ("FeatureAlphaDropout", (), {}, [(4, 5, 3)]),
    ("Embedding", (7, 3), {"padding_idx": 2}, [("int", (2, 4), 7)]),
    ("EmbeddingBag", (7, 3), {"mode": "sum"}, [("int", (2, 4), 7)]),
    ("EmbeddingBag", (7, 3), {"mode": "max", "padding_idx": -1}, [("int", (2, 4), 7)]),
    ("Upsample", (), {"scale_factor": 2}, [(1, 2, 3, 3)]),
    ("Upsample", ((5, 4),), {"mode": "bilinear"}, [(1, 2, 3, 3)]),
    ("UpsamplingNearest2d", (4,), {}, [(1, 2, 3, 3)]),
    ("UpsamplingBilinear2d", (), {"scale_factor": (2, 3)}, [(1, 2, 3, 3)]),
    ("PixelShuffle", (2,), {}, [(1, 8, 2, 3)]),
    ("PixelUnshuffle", (2,), {}, [(1, 2, 4, 6)]),
    ("ChannelShuffle", (2,), {}, [(1, 4, 2, 2)]),
    ("Fold", ((4, 5), (2, 2)), {}, [(1, 8, 12)]),
    ("Unfold", ((2, 3),), {"padding": 1, "stride": 2}, [(1, 2, 4, 5)]),
    ("CosineSimilarity", (), {}, [(3, 4), (3, 4)]),
    ("PairwiseDistance", (1.5,), {"keepdim": True}, [(3, 4), (3, 4)]),
    ("L1Loss", (), {}, [(3, 4), (3, 4)]),
    ("MSELoss", (), {"reduction": "sum"}, [(3, 4), (3, 4)]),
    ("SmoothL1Loss", (), {"beta": 0.3}, [(3, 4), (3, 4)]),
    ("HuberLoss", (), {"delta": 0.4}, [(3, 4), (3, 4)]),
    ("NLLLoss", (), {"ignore_index": 1}, [(5, 3), ("int", (5,), 3)]),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1}, [(5, 3), ("int", (5,), 3)]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, [(5, 3), ("unit", (5, 3))]),
    ("LinearCrossEntropyLoss", (4, 3), {"bias": True}, [(5, 4), ("int", (5,), 3)]),
    ("BCELoss", (), {}, [("unit", (3, 4)), ("unit", (3, 4))]),
    ("BCEWithLogitsLoss", (), {}, [(3, 4), ("unit", (3, 4))]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [(3, 4), ("unit", (3, 4))]),
    ("PoissonNLLLoss", (), {"full": True}, [(3, 4), ("positive", (3, 4))]),
    ("GaussianNLLLoss", (), {"full": True}, [(3, 4), (3, 4), ("positive", (3, 4))]),
    ("SoftMarginLoss", (), {}, [(3, 4), ("sign", (3, 4))]),
    ("HingeEmbeddingLoss", (), {"margin": 0.5}, [(3, 4), ("sign", (3, 4))]),
    ("MultiLabelMarginLoss", (), {}, [(3, 4), ("int", (3, 4), 4)]),
    ("MultiLabelSoftMarginLoss", (), {}, [(3, 4), ("unit", (3, 4))]),
    ("MultiMarginLoss", (2, 0.5), {}, [(5, 3), ("int", (5,), 3)]),
    ("MarginRankingLoss", (0.1,), {}, [(5,), (5,), ("sign", (5,))]),
    ("CosineEmbeddingLoss", (), {"margin": 0.2}, [(5, 3), (5, 3), ("sign", (5,))]),
    ("TripletMarginLoss", (), {"swap": True}, [(5, 3), (5, 3), (5, 3)]),
    ("TripletMarginWithDistanceLoss", (), {"reduction": "none"}, [(5, 3), (5, 3), (5, 3)]),
    ("LazyLinear", (3,), {}, [(2, 4)]),
    ("LazyConv2d", (6, 3), {"groups": 2}, [IMAGE]),
    ("LazyConvTranspose1d", (2, 3), {}, [ROW]),
    ("LazyBatchNorm2d", (), {}, [IMAGE]),
    ("LazyInstanceNorm1d", (), {}, [ROW]),
    ("AdaptiveLogSoftmaxWithLoss", (8, 10, [3, 6]), {"div_value": 2.0}, [(5, 8), ("int", (5,), 10)]),
]


def name_of(case) -> str:
    cls, args, kwargs, inputs = case
    given = [*map(str, args), *(f"{name}={value}" for name, value in kwargs.items())]
    return f"{cls}({', '.join(given)}) of {inputs[0]}"


def signature(cls) -> list[str]:
    """The constructor's parameters, with their defaults, without types."""
    return [str(p.replace(annotation=p.empty)) for p in inspect.signature(cls.__init__).parameters.values()][1:]


def tensor_of(torch, spec, position):
    """The input that `spec` describes: the same values in every library."""
    kind, shape, *bound = spec if isinstance(spec[0], str) else ("float", spec)
    wave = [math.sin(1.7 * i + 0.9 * position + 0.3) for i in range(math.prod(shape))]
    if kind == "int":
        return torch.tensor([int((w + 1) / 2 * bound[0]) % bound[0] for w in wave]).reshape(shape)
    if kind == "positive":
        wave = [abs(w) + 0.1 for w in wave]
    elif kind == "unit":
        wave = [(w + 1.01) / 2.02 for w in wave]
    elif kind == "sign":
        wave = [math.copysign(1.0, w) for w in wave]
    tensor = torch.tensor(wave).reshape(shape)
    return tensor.requires_grad_() if kind == "float" else tensor


def numbers(tensor) -> list:
    return [tensor.tolist()] if tensor.dim() == 0 else tensor.detach().reshape(-1).tolist()


def answer(torch, case) -> dict:
    """What a library makes of a case: texts, initial state, outputs, gradients, and the state after the call."""
    name, args, kwargs, specs = case
    cls = getattr(torch.nn, name)
    torch.manual_seed(0)
    layer = cls(*args, **kwargs)
    found = {"repr": repr(layer), "signature": signature(cls), "keys": list(layer.state_dict())}
    lazy = name.startswith("Lazy")
    found["initial"] = {} if lazy else {key: numbers(value) for key, value in layer.state_dict().items()}
    inputs = [tensor_of(torch, spec, i) for i, spec in enumerate(specs)]
    in_place = kwargs.get("inplace") or (name == "ELU" and len(args) == 2)
    result = layer(*[x * 1 if x.requires_grad else x for x in inputs] if in_place else inputs)
    results = result if isinstance(result, tuple) else (result,)
    found["shapes"] = [list(r.shape) for r in results]
    found["results"] = [numbers(r) for r in results]
    if results[0].requires_grad:
        weight = tensor_of(torch, ("positive", tuple(results[0].shape)), 7)
        (results[0] * weight).sum().backward()
    found["gradients"] = [None if x.grad is None else numbers(x.grad) for x in inputs]
    found["parameter gradients"] = {n: p.grad is not None and numbers(p.grad) for n, p in layer.named_parameters()}
    found["buffers"] = {n: numbers(b) for n, b in layer.named_buffers()}
    found["repr after"] = repr(layer)
    return found
