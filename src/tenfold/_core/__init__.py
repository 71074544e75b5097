"""tenfold's private core. From top to bottom, an import points only to a line below (or its own):

tensor > native > ops > autograd > interop, serialization > trace > compiler > backends > random > ir > errors, config
"""
