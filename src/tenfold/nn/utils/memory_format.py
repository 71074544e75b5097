"""Weights of convolutions in another memory format."""

from tenfold.nn.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module, kinds, memory_format):
    for m in module.modules():
        if isinstance(m, kinds):
            m.weight.data = m.weight.detach().clone(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module, memory_format):
    """Lays the weights of all 2-d convolutions of a module out anew, in place; returns the module.

    Args: memory_format: `torch.channels_last`, say.
    """
    return _convert(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module, memory_format):
    """Lays the weights of all 3-d convolutions of a module out anew, in place; returns the module.

    Args: memory_format: `torch.channels_last_3d`, say.
    """
    return _convert(module, (Conv3d, ConvTranspose3d), memory_format)
