import importlib.util

assert importlib.util.find_spec('vizdoom'), (
    'vizdoom is missing, which these tests play: pip install -r requirements.txt')
