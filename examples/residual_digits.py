"""`Residual` around two convolutions, 5x5 and 3x3: the residual block of MNIST tutorials.

Trains on scikit-learn's digits, quantizes to int8, runs the files and prints what they get right.

    python examples/residual_digits.py --epochs 4 --out exported
"""

import argparse

import keras

import keras_bottleneck as kb
from keras_bottleneck import data
from keras_bottleneck.layers import BatchNormalization, Residual


def build(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    x = keras.layers.MaxPooling2D()(x)
    x = Residual(
        [
            keras.layers.Conv2D(32, 5, padding="same", use_bias=False),
            BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Conv2D(16, 3, padding="same", use_bias=False),
            BatchNormalization(momentum=0.9),
        ],
        activation="relu",
        name="residual",
    )(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    return keras.Model(image, keras.layers.Dense(classes, "softmax")(x), name="residual_digits")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", default="exported")
    options = parser.parse_args(arguments)

    images = data.digits(image_size=16, batch_size=32)
    model = build(images.preprocessing.input_shape, len(images.class_names))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images.train, epochs=options.epochs, verbose=2)
    accuracy = model.evaluate(images.validation, verbose=0, return_dict=True)["accuracy"]
    print(f"{accuracy:.1%} of {images.validation_size} digits right in float")

    quantized = kb.quantize(model, images.train)
    report = kb.export_model(
        quantized,
        options.out,
        labels=images.class_names,
        preprocessing=images.preprocessing,
        verify=images.validation,
    )
    print(report)


if __name__ == "__main__":
    main()
