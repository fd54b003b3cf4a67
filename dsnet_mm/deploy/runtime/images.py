"""Reading images and videos with OpenCV."""
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsnet_mm.files import check_distinct, find_files, find_inputs, no_files

import cv2
import numpy as np

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm')


def read_image(file: Path) -> np.ndarray:
    """Reads an image (H, W, 3), uint8, BGR, as mmcv does.

    Raises:
        OSError: If it cannot be read.
    """
    data = np.fromfile(file, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise OSError(f'{file} is no image that OpenCV reads')
    if file.suffix.lower() in ('.tif', '.tiff'):  # only TIFF may hold floating-point numbers
        dtype = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED)).dtype
        if dtype.kind != 'u':
            raise OSError(f'{file} holds {dtype} values: save it as uint8 or uint16')
    return image


class Video:
    """The frames (H, W, 3) of a video, uint8, BGR.

    Args:
        file (Path): The video.

    Raises:
        OSError: If it cannot be read.
    """

    def __init__(self, file: Path) -> None:
        self.capture = cv2.VideoCapture(str(file))
        if not self.capture.isOpened():
            raise OSError(f'{file} is no video that OpenCV reads')
        self.rate = self.capture.get(cv2.CAP_PROP_FPS) or 25.
        self.number = max(0, int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            success, frame = self.capture.read()
            if not success:
                break
            yield frame
        self.capture.release()


def is_video(file: Path) -> bool:
    """Whether a file is a video, by its suffix."""
    return file.suffix.lower() in VIDEOS


def find_media(paths: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Finds images and videos: :func:`dsnet_mm.files.find_inputs` with their suffixes.

    Raises:
        ValueError: If the results of two inputs would have the same name.
    """
    names = find_inputs(paths, out, IMAGES + VIDEOS)
    results = {source: name.with_suffix('') for source, name in names.items()}
    check_distinct(results)
    # The label maps of a video's frames are in a folder with its name.
    folders = {results[source]: source for source in names if is_video(source)}
    for source, name in names.items():
        for folder in folders.keys() & set(name.parents):
            check_distinct({folders[folder]: folder, source: folder})
    return names


def pick_images(folder: Path, number: int) -> list[Path]:
    """Picks images of a folder and its sub-folders at equal intervals; all if it has fewer.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        NotADirectoryError: If it is a file.
    """
    if not folder.exists():
        raise FileNotFoundError(f'there is no folder {folder}')
    if not folder.is_dir():
        raise NotADirectoryError(f'{folder} is a file: give the folder of the images')
    files = find_files(folder, IMAGES)
    if not files:
        raise no_files(folder, suffixes=IMAGES)
    number = min(number, len(files))
    return [files[index * len(files) // number] for index in range(number)]


def fit(image: np.ndarray, size: tuple[int, int] | list[int]) -> np.ndarray:
    """Resizes an image (H, W, 3) to height and width in pixels."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
