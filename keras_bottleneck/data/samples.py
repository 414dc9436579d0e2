"""Model inputs, and labels where there are any, read from whatever holds them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_bottleneck.data.batches import batches_of
from keras_bottleneck.tasks import CLASSIFICATION, MULTI_LABEL, TASKS, unlike_shares

Array = np.ndarray[Any, Any]

# Arrays are read in parts of so many samples.
BATCH = 256


def read(
    name: str,
    data: Any,
    input_shape: tuple[int | None, ...],
    limit: int,
    labelled: bool = True,
    label_shape: tuple[int | None, ...] = (),
    task: str = CLASSIFICATION,
) -> tuple[Array, Array | None]:
    """Up to `limit` inputs (N, height, width, channels), and labels or None.

    Labels are class indices (N, ...), or, of other tasks, float32 (N, columns).

    Args:
        name: The argument that `data` was given as, for errors.
        data: A dataset or iterable of batches (images, labels) or images, or such arrays.
        input_shape: (batch, height, width, channels) of the model; a side may be None.
        limit: The data is read no further than this.
        labelled: Whether to read labels, which must then be those of a classifier.
        label_shape: Of the labels of one image: () where it has one class, (height, width) where
            each pixel has; a side may be None.
        task: What the labels are: "classification", "multi-label" or "regression".

    Raises:
        ValueError: If `data` is neither, is empty, or does not hold finite images of that shape.
    """
    inputs: list[Array] = []
    labels: list[Array | None] = []
    count = 0
    for images, truth in stream(name, data, input_shape, labelled, label_shape, task):
        inputs.append(images)
        labels.append(truth)
        count += len(images)
        if count >= limit:
            break
    if not count:
        raise ValueError(f"`{name}` must hold at least one sample. Received: an empty dataset")
    sizes = sorted({images.shape[1:3] for images in inputs})
    if len(sizes) > 1:
        raise ValueError(f"`{name}` must hold images of one size. Received: sizes {sizes}")
    known = [part for part in labels if part is not None]
    joined = np.concatenate(known)[:limit] if len(known) == len(labels) else None
    return np.concatenate(inputs)[:limit], joined


def stream(
    name: str,
    data: Any,
    input_shape: tuple[int | None, ...],
    labelled: bool = True,
    label_shape: tuple[int | None, ...] = (),
    task: str = CLASSIFICATION,
) -> Iterator[tuple[Array, Array | None]]:
    """The batches of `data`, each as `read` would return it alone; see there."""
    for batch in batches_of(name, data, BATCH):
        # As `fit` takes them: images, (images, labels) or (images, labels, sample weights).
        x, y, *_ = (*batch, None) if isinstance(batch, (tuple, list)) else (batch, None)
        images = _checked_images(name, x, input_shape)
        if y is None or not labelled:
            yield images, None
        elif task == CLASSIFICATION:
            yield images, _class_indices(name, y, len(images), label_shape)
        else:
            yield images, _rows(name, y, len(images), task)


def _checked_images(name: str, x: Any, input_shape: tuple[int | None, ...]) -> Array:
    wanted = input_shape[1:]
    try:
        images = np.asarray(x).astype(np.float32, copy=False)
    except (ValueError, TypeError):
        raise ValueError(
            f"`{name}` must hold batches of images {wanted}. Received: a {type(x).__name__} "
            "without numbers"
        ) from None
    fits = images.ndim == 4 and all(
        side in (None, own) for side, own in zip(wanted, images.shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must hold batches of images {wanted}. Received: an array of shape "
            f"{images.shape}"
        )
    if not np.isfinite(images).all():
        raise ValueError(f"`{name}` must hold finite values. Received: images with NaN or infinity")
    return images


def _class_indices(name: str, y: Any, count: int, label_shape: tuple[int | None, ...]) -> Array:
    """Class indices (N, *label_shape), which may be given with one more axis, or as one-hot."""
    labels = np.asarray(y)
    if label_shape:
        return _masks(name, labels, count, label_shape)
    if received := unlike_labels(labels):
        raise ValueError(
            f"`{name}` must hold labels, or images alone where the model is no classifier. "
            f"Received: {received}"
        )
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    indices = labels.argmax(-1) if one_hot else labels.reshape(-1).astype(np.int64)
    if len(indices) != count:
        raise ValueError(
            f"`{name}` must hold one label for each image. Received: {len(indices)} labels for "
            f"{count} images"
        )
    return indices


def _rows(name: str, y: Any, count: int, task: str) -> Array:
    """Labels of 0 and 1, or numbers, float32 (N, columns)."""
    rows = np.asarray(y)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or len(rows) != count or rows.dtype.kind not in "biuf":
        raise ValueError(
            f"`{name}` must hold {TASKS[task]} for each image. Received: labels of shape "
            f"{rows.shape} and dtype {rows.dtype} for {count} images"
        )
    odd = rows[~np.isin(rows, (0, 1))] if task == MULTI_LABEL else rows[~np.isfinite(rows)]
    if odd.size:
        raise ValueError(
            f"`{name}` must hold {TASKS[task]} for each image. Received: {odd[0]:g} among them"
        )
    return rows.astype(np.float32)


def unlike_labels(values: Array) -> str | None:
    """Why numbers are neither class indices nor rows of probabilities; None where they can be."""
    if not values.size:
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        odd = unlike_shares(values)
        shown = values[odd][:1].astype(np.float64)
        return f"rows that do not sum to 1, such as {shown[0][:4]}" if odd.any() else None
    with np.errstate(invalid="ignore"):
        fractions = values[values != values.astype(np.int64)]
    return f"labels that are no whole numbers, such as {fractions[0]:g}" if fractions.size else None


def _masks(name: str, labels: Array, count: int, label_shape: tuple[int | None, ...]) -> Array:
    rank = 1 + len(label_shape)
    if labels.ndim == rank + 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[..., 0]
    wanted = (count, *label_shape)
    fits = labels.ndim == rank and all(
        side in (None, own) for side, own in zip(wanted, labels.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{name}` must hold labels of shape {wanted}, one for each place that the model "
            f"classifies. Received: labels of shape {labels.shape}"
        )
    return labels.astype(np.int64)
