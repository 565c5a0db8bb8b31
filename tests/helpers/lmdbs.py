"""Small LMDBs of words in MMOCR's format."""

import cv2
import lmdb
import numpy as np


def write_lmdb(path, texts, images=None):
    """Write an LMDB with a labelled image for each text; return its path.

    Each image of the default ones has its own shade, and none is blank.
    """
    with lmdb.open(str(path), map_size=2**22) as env, env.begin(write=True) as transaction:
        transaction.put(b'num-samples', str(len(texts)).encode())
        for i, text in enumerate(texts):
            image = shade(i) if images is None else images[i]
            content = cv2.imencode('.png', image)[1].tobytes()
            transaction.put(b'image-%09d' % (i + 1), content)
            transaction.put(b'label-%09d' % (i + 1), text.encode())
    return str(path)


def shade(i):
    """An image of 4 x 6."""
    image = np.full((4, 6, 3), 10 * i, np.uint8)
    image[0, 0] = 255 - i
    return image
