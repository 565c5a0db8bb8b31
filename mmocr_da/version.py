"""Version of this package, and of the hosts it runs on; ``setup.py`` reads both."""

__version__ = '0.1.0'

# torch: all tests are run on 2.13 and were run on 2.9.1, nothing older; mmcv, mmdet: the asserts of
# MMOCR 1.0.1 and MMDet 3.1; numpy: imgaug and MMCV 2.0 use names that numpy 2 removed.
HOSTS = {
    'torch': '>=2.9,<2.14',
    'mmengine': '>=0.10.7,<0.11',
    'mmcv': '>=2.0.1,<2.1',
    'mmdet': '>=3.1,<3.2',
    'mmocr': '==1.0.1',
    'numpy': '>=1.24,<2',
}
