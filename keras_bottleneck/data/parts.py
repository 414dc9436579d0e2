"""What images are for: training, validation or test; and what people call these parts."""

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# The names of folders, and the cells of tables, in lower case.
PARTS = {
    TRAIN: (TRAIN, "training"),
    VALIDATION: (VALIDATION, "val", "valid"),
    TEST: (TEST, "testing"),
}


def part_of(name: str) -> str | None:
    """The part that people call `name`; None where that is no part.

    Example:
        >>> part_of("Valid"), part_of("cats")
        ('validation', None)
    """
    return next((part for part, names in PARTS.items() if name.lower() in names), None)
