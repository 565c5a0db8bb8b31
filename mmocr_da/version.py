"""Version of this package, and of the hosts it runs on; ``setup.py`` reads both."""

__version__ = '0.2.0'

# torch: the tests run on 2.13 and were run on 2.9.1, on nothing older; mmcv, mmdet: MMOCR 1.0.1 and
# MMDet 3.1 assert these ranges; numpy: imgaug and MMCV 2.0 use names that numpy 2 removed.
HOSTS = {
    'torch': '>=2.9,<2.14',
    'mmengine': '>=0.10.7,<0.11',
    'mmcv': '>=2.0.1,<2.1',
    'mmdet': '>=3.1,<3.2',
    'mmocr': '==1.0.1',
    'numpy': '>=1.24,<2',
}
