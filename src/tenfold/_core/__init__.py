"""tenfold's private core. From top to bottom, an import points only to a line below (or its own):

tensor > ops > autograd > interop, serialization > trace > compiler > backends > random > ir > errors, config
"""
