"""Blocks of keras_bottleneck inside a model written by hand, trained with plain Keras.

A small two-branch network for the digits: one branch looks at fine strokes, the other, after a
larger stride, at the whole shape. Shows that the blocks are ordinary layers.

    python examples/own_functional_model.py --epochs 3
"""

import argparse

import keras

from keras_bottleneck import data, graph
from keras_bottleneck.layers import BasicBlock, Bottleneck, ConvNormAct, InvertedResidual, Residual


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    x = ConvNormAct(16, 3)(image)

    fine = BasicBlock(16)(x)
    fine = Bottleneck(8, stride=4)(fine)

    coarse = InvertedResidual(24, stride=2, expansion=4)(x)
    coarse = InvertedResidual(32, stride=2, se_ratio=0.25)(coarse)

    x = keras.layers.Concatenate()([fine, coarse])
    x = Residual(
        [
            keras.layers.SeparableConv2D(64, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
        ],
        activation="relu",
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(classes, "softmax")(x), name="two_branches")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args(arguments)

    images = data.digits(image_size=32, batch_size=32)
    model = build(images.preprocessing.input_shape, len(images.class_names))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images.train, validation_data=images.validation, epochs=options.epochs)

    folded = graph.fold(model)
    print(f"{len(graph.flatten(model).layers)} layers, {len(folded.layers)} without batch norm")


if __name__ == "__main__":
    main()
