import math

import pytest


@pytest.fixture(scope="session")
def peak_of_file():
    """A function: the most bytes of activations that a .tflite file needs at once.

    Its operators run in the order of the file; a tensor lives from the one that makes it to the
    last that reads it.
    """
    schema = pytest.importorskip(
        "ai_edge_litert.schema_py_generated", reason="files are read with LiteRT's schema"
    )
    sizes = {schema.TensorType.FLOAT32: 4, schema.TensorType.INT8: 1}

    def measure(path):
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        (graph,) = model.subgraphs
        steps = [(graph.inputs, [])]
        steps += [(operator.outputs, operator.inputs) for operator in graph.operators]
        steps += [([], graph.outputs)]
        constant = {
            index
            for index, tensor in enumerate(graph.tensors)
            if model.buffers[tensor.buffer].data is not None
        }
        first, last = {}, {}
        for step, (made, read) in enumerate(steps):
            for index in made:
                first[index] = last[index] = step
            for index in set(read) - constant - {-1}:
                last[index] = step

        def size(index):
            return math.prod(graph.tensors[index].shape) * sizes[graph.tensors[index].type]

        return max(
            sum(size(index) for index in first if first[index] <= step <= last[index])
            for step in range(len(steps))
        )

    return measure
