"""Devices: `cpu`, and `meta`, which has shapes only. There is no GPU backend yet, and asking for one says so."""

from __future__ import annotations

from .declare import publish

KNOWN = "cpu cuda ipu xpu mkldnn opengl opencl ideep hip ve fpga maia xla lazy vulkan mps meta hpu mtia privateuseone".split()


class device:
    """Where a tensor lives: `torch.device("cpu")`, `torch.device("cuda:0")`, `torch.device("cuda", 0)`."""

    __slots__ = ("type", "index")

    def __new__(cls, type, index=None):
        if isinstance(type, device):
            return type
        self = super().__new__(cls)
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        name, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(number)
        if name not in KNOWN:
            raise RuntimeError(f"Expected one of {', '.join(KNOWN)} device type at start of device string: {name}")
        self.type = name
        self.index = index
        return self

    def __setattr__(self, name, value):
        if hasattr(self, "index"):
            raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self):
        return (_device, (self.type, self.index) if self.index is not None else (self.type,))

    def __enter__(self):
        defaults.append(self)
        return self

    def __exit__(self, *error):
        defaults.pop()


def _device(*args) -> device:
    """For pickles, which cannot name the class, as it goes by PyTorch's name."""
    return device(*args)


device.__module__ = "torch"
publish(device, "device", "torch")

CPU = device("cpu")
META = device("meta")
defaults: list[device] = [CPU]


def device_name(d) -> str:
    """`cpu` or `meta`; RuntimeError for devices that tenfold has no backend for."""
    if d is None:
        d = defaults[-1]
        if d is CPU:
            return "cpu"
    if isinstance(d, int) and not isinstance(d, bool):
        raise RuntimeError(
            f"Cannot access accelerator device when none is available: device={d} is the number of a GPU"
        )
    if not isinstance(d, device):
        d = device(d)
    if d.type == "cpu" or d.type == "meta":
        return d.type
    raise no_device(d)


def no_device(d: device) -> Exception:
    if d.type == "cuda":
        return AssertionError(
            "Torch not compiled with CUDA enabled: tenfold has no GPU backend yet, use device='cpu' (torch.cuda.is_available() is False)"
        )
    return RuntimeError(f"tenfold has no backend for device '{d}': use 'cpu' (or 'meta', for shapes only)")


def device_of(name: str) -> device:
    return CPU if name == "cpu" else META


def as_device(d) -> device:
    """A device from one, a name or a number."""
    return device(d)


def set_default_device(device) -> None:
    """Sets where new tensors are made where no device is given; None: the CPU."""
    d = CPU if device is None else as_device(device)
    device_name(d)
    defaults[0] = d


def get_default_device() -> device:
    """Where new tensors are made where no device is given."""
    return defaults[-1]


publish(set_default_device, "set_default_device", "torch")
publish(get_default_device, "get_default_device", "torch")
