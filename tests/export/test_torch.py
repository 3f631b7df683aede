"""PyTorch modules, as far as they can be judged without it: `benchmarks/exported.py` runs them."""

import ast
import re
from typing import Any

import jax
import numpy as np
from safetensors.numpy import load_file

from elbax.export import torch_module
from tests.export.models import of_table


def test_a_module_is_code_whose_arrays_are_in_the_file_beside_it(tmp_path):
    model, shape, units = of_table()
    found = torch_module.export(model, shape, tmp_path, units=units, facts={"data": "it's"})
    code = (tmp_path / "model.py").read_text()
    (module,) = (node for node in ast.parse(code).body if isinstance(node, ast.ClassDef))
    methods = [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
    assert methods == ["__init__", *(one.name for one in found.written)]
    assert {"encode", "decode", "reconstruct", "score"} <= {*methods}
    arrays = load_file(tmp_path / "model.safetensors")
    declared = re.findall(r"self\.(\w+) = nn\.Parameter|register_buffer\(\"(\w+)\"", code)
    names = {one or other for one, other in declared}
    assert names == {*arrays}
    assert names >= {*re.findall(r"self\.(\w+)", code)} - {"register_buffer"}
    # The weights are there by their place in the model.
    encoder: Any = model.encoder
    weight = np.asarray(encoder.network.network.layers[0].weight)
    stored = arrays["encoder_network_network_layers_0_weight"]
    np.testing.assert_array_equal(stored, weight.T)
    leaves = sum(leaf.size for leaf in jax.tree.leaves(model) if isinstance(leaf, jax.Array))
    assert sum(array.size for array in arrays.values()) < 2 * leaves + 1000
