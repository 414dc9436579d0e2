"""`Cell`: the figures of one artifact in its runtime."""

from dataclasses import dataclass

OK = "ok"


@dataclass(frozen=True)
class Cell:
    """One artifact in its runtime with a number of threads.

    Attributes:
        name: A row of `ROWS`, such as "tflite_int8".
        format: What it is, such as "tflite".
        precision: What its weights are stored in: "float32", "float16", "dynamic" (int8 weights),
            "int8" or "int16".
        threads: CPU threads.
        status: "ok", or a sentence that says what failed; the figures are then None.
        size: Bytes of the file or folder.
        top1: Part of the images (of a segmenter, of the pixels) whose most probable class is the
            true one; None without labels.
        top5: Part with the true one among the five most probable; None up to five classes.
        error: Largest difference of an output from the float32 Keras model: absolute for
            probabilities, as a part of the largest output otherwise.
        agreement: Part with the same most probable class as the float32 Keras model.
        load_ms: Milliseconds to load it, the runtime's library not counted.
        p50_ms: Median milliseconds for one image, in batches of one.
        p90_ms: Nine tenths of the images took no longer than these milliseconds.
        images_per_s: Images in a second, one after the other.
        peak_bytes: Most memory that was resident in a process that runs it and nothing else:
            with Python and the runtime, without the images.
    """

    name: str
    format: str
    precision: str
    threads: int
    status: str = OK
    size: int | None = None
    top1: float | None = None
    top5: float | None = None
    error: float | None = None
    agreement: float | None = None
    load_ms: float | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    images_per_s: float | None = None
    peak_bytes: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it ran."""
        return self.status == OK
