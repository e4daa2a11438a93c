"""One folder for each feature, which `feature.py` in it declares and `installed.py` lists."""
