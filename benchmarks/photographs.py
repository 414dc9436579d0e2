"""Batches of JPEG files by PyTorch's loader, whose processes do not hold up the training's."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image


class Photographs(torch.utils.data.Dataset):
    """`count` images, the files of `folder` over and over, as uint8 (size, size, 3)."""

    def __init__(self, folder: Path, size: int, count: int) -> None:
        self.files = sorted(folder.rglob("*.JPEG")) + sorted(folder.rglob("*.jpg"))
        self.size, self.count = size, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        with Image.open(self.files[index % len(self.files)]) as image:
            # Decoded at half the size where that is still large enough.
            image.draft("RGB", (self.size, self.size))
            pixels = image.convert("RGB").resize((self.size, self.size))
        return np.array(pixels), index % len(self.files)


def loader(folder: Path, size: int, batch: int, count: int) -> Any:
    """A DataLoader of (images, labels), with a process for each processor but one."""
    return torch.utils.data.DataLoader(
        Photographs(folder, size, count),
        batch,
        num_workers=max(1, (os.cpu_count() or 1) - 1),
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        drop_last=True,
        multiprocessing_context="spawn",
    )
