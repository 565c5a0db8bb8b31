"""Packaging; to set up an environment use ``tools/setup_env.py``, which also builds MMCV."""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'model-index.yml')
# torchvision is not here: its PyPI wheel asks for a torch build of its own (tools/setup_env.py
# chooses the one that fits).
REQUIREMENTS = [
    'editdistance',
    # Faces that the default data is printed in; free licences (OFL, Apache).
    'font-amatic-sc',
    'font-caladea',
    'font-fredoka-one',
    'font-hanken-grotesk',
    'font-manrope',
    'font-roboto',
    'font-source-sans-pro',
    'font-source-serif-pro',
    'imgaug>=0.4',  # MMOCR asks for it; imaug, its fork, would leave MMOCR's requirement open
    'jinja2>=3',
    'lmdb',
    'matplotlib',
    'opencv-python>=4.5.4,<4.13',  # 4.13 and later need numpy 2; 5.0 no longer casts int64
    'packaging',
    'pyclipper',
    'pyyaml',
    'rapidfuzz>=2',
    'scikit-image',
    'scikit-learn',
    'scipy',
    'setuptools<81',  # MMEngine 0.10 imports pkg_resources when a config names a package
    'shapely>=2',
    'tensorboard',
]
# What tools/export_onnx.py writes and verifies files with.
ONNX = ['onnx>=1.16', 'onnxruntime>=1.18']
TESTS = ['hypothesis>=6', 'onnx>=1.16', 'onnxruntime>=1.18', 'pytest>=7', 'pytest-timeout']
# What MMOCR's DRRG merges boxes with; MMOCR does not ask for it.
DRRG = ['lanms-neo==1.0.2']
# Of the site in docs/; the theme loads nothing from elsewhere.
DOCS = ['furo>=2024.8', 'myst-parser>=4,<6', 'sphinx>=8,<10']
# The only place that pins them: tools/lint.py, which CI and pre-commit call, reads this line.
LINT = ['mypy==2.4.1', 'ruff==0.17.6']


def version_file():
    names = {}
    exec((ROOT / 'mmocr_da' / 'version.py').read_text(encoding='utf-8'), names)
    return names['__version__'], [name + wanted for name, wanted in names['HOSTS'].items()]


def add_mim():
    """Put configs, tools and model index where MIM and MMEngine look: in ``mmocr_da/.mim``.

    As links, so that an editable install sees the files that are edited; a wheel gets copies.
    """
    folder = ROOT / 'mmocr_da' / '.mim'
    folder.mkdir(exist_ok=True)
    for name in SHIPPED:
        link = folder / name
        if link.is_symlink() or link.is_file():
            link.unlink()
        elif link.is_dir():
            shutil.rmtree(link)
        try:
            link.symlink_to(os.path.join('..', '..', name))
        except OSError:  # Windows, unless in developer mode
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, link)
    # Walked rather than globbed: a glob follows no link and skips names that begin with a dot.
    return [
        os.path.relpath(os.path.join(path, file), ROOT / 'mmocr_da')
        for path, _, files in os.walk(folder, followlinks=True)
        for file in files
        if '__pycache__' not in path and not file.startswith('.')
    ]


class BuildPy(build_py):
    """Puts ``mmocr_da.pth`` beside the package: ``mmocr_da/startup.py`` on one line.

    Python runs it at every start, as the hosts' own tools do not import this package and have to
    know it nevertheless.
    """

    def run(self):
        super().run()
        text = (ROOT / 'mmocr_da' / 'startup.py').read_text(encoding='utf-8') + 'install()\n'
        # An editable install builds nothing; what is in this folder goes into its wheel.
        folder = (
            self.get_finalized_command('install').install_lib
            if self.editable_mode
            else self.build_lib
        )
        Path(folder, 'mmocr_da.pth').write_text(
            f'import sys; exec({ascii(text)}, {{"__name__": "mmocr_da.startup"}})\n'
        )


version, hosts = version_file()
setup(
    name='mmocr_da',
    version=version,
    description='Domain adaptation for text recognition, as a plug-in of MMOCR',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
    if (ROOT / 'README.md').exists()
    else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11,<3.13',
    packages=find_packages(include=['mmocr_da', 'mmocr_da.*']),
    package_data={'mmocr_da': ['py.typed', 'visualization/templates/*.html', *add_mim()]},
    cmdclass={'build_py': BuildPy},
    install_requires=hosts + REQUIREMENTS,
    extras_require={
        'docs': DOCS,
        'drrg': DRRG,
        'onnx': ONNX,
        'tests': TESTS,
        'dev': TESTS + LINT + ['pre-commit'],
    },
    zip_safe=False,
)
