"""Each private attribute of Keras that the package reads does here what the package needs."""

import keras
import pytest

from keras_bottleneck import keras_private
from keras_bottleneck.layers import BasicBlock


@pytest.fixture
def model():
    """Two inputs, a layer called twice, a bare operation, dictionaries in and out."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = keras.layers.Dense(4, name="dense")
    total = keras.layers.Add(name="add")([dense(a), dense(b)])
    return keras.Model({"b": b, "a": a}, {"total": total, "half": keras.ops.multiply(total, 0.5)})


def test_sublayers_are_those_of_all_depths():
    block = BasicBlock(4, se_ratio=0.5, name="block")
    inner = keras.Sequential([keras.Input((4, 4, 4)), block], name="inner")
    outer = keras.Sequential([keras.Input((4, 4, 4)), inner])
    names = {layer.name for layer in keras_private.sublayers(outer)}
    assert {"inner", "block", "block_first", "block_first_conv", "block_se_reduce"} <= names
    assert outer.name not in names


def test_set_generator_decides_the_random_numbers(max_difference):
    def flipped(seed):
        layer = keras.layers.RandomTranslation(0.5, 0.5)
        keras_private.set_generator(layer, keras.random.SeedGenerator(seed))
        image = keras.ops.reshape(keras.ops.arange(64.0), (1, 8, 8, 1))
        return layer(image, training=True)

    assert max_difference(flipped(1), flipped(1)) == 0.0
    assert max_difference(flipped(1), flipped(2)) > 0.0


def test_running_averages_start_at_the_weights(max_difference):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for optimizer in (
        keras.optimizers.SGD(use_ema=True),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(use_ema=True)),
    ):
        optimizer.build(model.trainable_variables)
        before = [keras.ops.copy(one) for one in model.trainable_variables]
        keras_private.start_averages(optimizer)
        optimizer.finalize_variable_values(model.trainable_variables)
        assert max_difference(before, model.trainable_variables) == 0.0
    keras_private.start_averages(keras.optimizers.SGD())


def test_set_generator_is_used_inside_tf_data():
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    layer = keras.layers.RandomTranslation(0.5, 0.5)
    with tf.init_scope():
        generator = keras.random.SeedGenerator(1)
    keras_private.set_generator(layer, generator)
    assert layer._get_seed_generator("tensorflow") is generator


def test_global_seed_is_what_random_functions_count_in(max_difference):
    seed = keras_private.global_seed(make=True)
    assert keras_private.global_seed() is seed
    before = keras.ops.convert_to_numpy(seed).copy()
    first = keras.random.normal((3,))
    assert (keras.ops.convert_to_numpy(seed) != before).any()
    seed.assign(before)
    assert max_difference(keras.random.normal((3,)), first) == 0.0


def test_calls_come_in_an_order_in_which_they_can_be_computed(model):
    known = {id(tensor) for tensor in model.inputs}
    names = []
    for call in keras_private.calls(model):
        assert all(id(tensor) in known for tensor in call.inputs)
        known |= {id(tensor) for tensor in call.outputs}
        names.append(call.operation.name)
    assert sorted(names[:2]) == ["dense", "dense"]
    assert names[2] == "add"
    assert len(names) == 4
    assert all(id(tensor) in known for tensor in model.outputs)


def test_replay_computes_the_model(model, noise, max_difference):
    a, b = noise(2, 4), noise(2, 4, seed=1)
    visited = []

    def visit(call, args, kwargs):
        visited.append(call.operation.name)
        return call.operation(*args, **kwargs)

    # The flat order of inputs and outputs is that of sorted keys.
    half, total = keras_private.replay(model, [a, b], visit)
    expected = model({"a": a, "b": b})
    assert max_difference([total, half], [expected["total"], expected["half"]]) == 0.0
    assert len(visited) == 4


def test_replay_needs_all_inputs(model, noise):
    with pytest.raises(ValueError, match="zip"):
        keras_private.replay(model, [noise(2, 4)], lambda call, args, kwargs: args)


def test_structures_are_as_they_were_given(model):
    assert set(keras_private.input_structure(model)) == {"a", "b"}
    assert set(keras_private.output_structure(model)) == {"total", "half"}
    image = keras.Input((4,))
    listed = keras.Model([image], [image, image])
    assert isinstance(keras_private.input_structure(listed), list)
    assert len(keras_private.output_structure(listed)) == 2
    single = keras.Model(image, keras.layers.ReLU()(image))
    assert isinstance(keras_private.output_structure(single), keras.KerasTensor)


@pytest.mark.filterwarnings("error:The structure of `inputs`")
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": x}])
def test_one_tensor_goes_in_as_it_is_taken(wrap, max_difference):
    a = keras.Input((4,), name="a")
    one = keras.Model(wrap(a), keras.layers.ReLU()(a))
    image = keras.ops.ones((2, 4))
    for given in (image, wrap(image)):
        assert max_difference(one(keras_private.as_taken(one, given)), image) == 0.0
    sequential = keras.Sequential([a, keras.layers.ReLU()])
    assert keras_private.as_taken(sequential, image) is image


def test_untraced_forgets_the_calls_made_inside():
    first, second = keras.layers.Dense(3), keras.layers.Dense(3)
    x = keras.Input((3,))
    y = second(first(x))
    with keras_private.untraced([first, second]):
        second(first(x))
        assert len(first._outbound_nodes) == len(second._inbound_nodes) == 2
    assert second.output is y
    assert len(first._outbound_nodes) == len(second._inbound_nodes) == 1


def test_untraced_forgets_after_an_error_too():
    layer, x = keras.layers.Dense(3), keras.Input((3,))
    y = layer(x)
    with pytest.raises(RuntimeError), keras_private.untraced([layer]):
        layer(x)
        raise RuntimeError
    assert layer.output is y


def test_replaced_call_gets_what_the_layer_would_and_is_gone_afterwards():
    layer, seen = keras.layers.Dropout(0.5), []

    def call(inputs, training=None):
        seen.append(training)
        return inputs + 1

    model = keras.Sequential([keras.Input((2,)), layer])
    zeros = keras.ops.zeros((1, 2))
    with keras_private.calls_replaced({layer: call}):
        assert float(keras.ops.sum(model(zeros, training=True))) == 2.0
    assert seen == [True]
    assert float(keras.ops.sum(model(zeros))) == 0.0
    with pytest.raises(RuntimeError), keras_private.calls_replaced({layer: call}):
        raise RuntimeError
    assert "call" not in vars(layer)


def test_replaced_call_of_a_bare_operation():
    x = keras.Input((2,))
    model = keras.Model(x, keras.ops.exp(x))
    operation = keras_private.maker(model.outputs[0])
    with keras_private.calls_replaced({operation: lambda inputs: inputs + 1.0}):
        assert float(keras.ops.sum(model(keras.ops.ones((1, 2))))) == 4.0
    assert float(keras.ops.sum(model(keras.ops.zeros((1, 2))))) == 2.0


def test_the_configuration_of_an_h5_file_is_told_apart(tmp_path):
    told = []

    class Asks(keras.layers.Layer):
        def get_config(self):
            told.append(keras_private.in_hdf5())
            return super().get_config()

    model = keras.Sequential([keras.Input((2,)), Asks()])
    for ending in (".h5", ".keras"):
        told.clear()
        model.save(tmp_path / f"model{ending}")
        assert set(told) == {ending == ".h5"}


@pytest.mark.parametrize("scaled", [False, True])
def test_an_optimizer_is_restored(scaled, tmp_path, max_difference):
    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.Dense(3)(image))
    optimizer = keras.optimizers.Adam()
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, keras.losses.MeanSquaredError())
    data = keras.ops.ones((4, 2)), keras.ops.ones((4, 3))
    model.fit(*data, verbose=0)
    copy = keras.Model.from_config(model.get_config())
    keras_private.restore_optimizer(copy)
    copy.compile(type(optimizer).from_config(optimizer.get_config()))
    # What Keras's loader does.
    copy.optimizer.build(copy._trainable_variables)
    copy.optimizer.set_weights([keras.ops.convert_to_numpy(one) for one in optimizer.variables])
    assert max_difference(copy.optimizer.variables, optimizer.variables) == 0.0
    assert len(copy.optimizer.variables) > 2
    assert "compile" not in vars(copy)
    assert not {"build", "set_weights"} & set(vars(copy.optimizer))


def test_an_object_is_written_as_one_of_the_stock_class():
    class Halves(keras.initializers.Constant):
        pass

    keras_private.write_as(Halves, keras.initializers.Constant)
    written = keras.saving.serialize_keras_object(Halves(0.5))
    assert written == keras.saving.serialize_keras_object(keras.initializers.Constant(0.5))
    loaded = keras.saving.deserialize_keras_object(written)
    assert type(loaded) is keras.initializers.Constant


def test_variable_index_knows_the_variable_of_the_backend():
    variables = [keras.Variable([float(index)], name="one") for index in range(3)]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    assert [keras_private.variable_index(optimizer, one) for one in variables] == [0, 1, 2]
    if keras.backend.backend() == "tensorflow":  # whose own variables come into `update_step`
        assert keras_private.variable_index(optimizer, variables[2].value) == 2
