"""Find the places in sentences: a word-window tagger trained on WordNet's sentences and GeoNames' names.

Run it with `python -m examples.place_names`. Read in this order: `sentences.py` (text to padded batches),
`model.py` (the network and its loss), `training.py` (the loop and the scores), `report.py` (figure and page),
`__main__.py` (the demo). `make_data.py` made `places.tsv`; `DATA.md` says where every word of it is from.
"""
