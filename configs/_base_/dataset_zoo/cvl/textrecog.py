"""CVL words: the English passages; three of the 27 training writers make the validation split."""

custom_imports = dict(imports=['mmocr_da.datasets.preparers'])

data_root = 'data/cvl'
cache_path = 'data/cache'
dictionary = 'english_95.txt'  # to compare the texts with

obtainer = dict(
    type='mmocr_da.ArchiveObtainer',
    homepage='https://zenodo.org/record/1492267',
    cache_path=cache_path,
)
archive = dict(
    names=['cvl-database-1-1.zip', 'cvl-database-1-1'],
    mistaken={r'-cropped\.tif$': 'cvl-database-cropped-1-1.zip'},
)
trainset = dict(
    members=r'(?:^|/)trainset/words/(\d+/\d[^/]*\.tif)$',
    to='textrecog_imgs/trainset',
    example='trainset/words/0001/0001-1-0-0-Imagine.tif',
    **archive,
)
testset = dict(
    members=r'(?:^|/)testset/words/(\d+/\d[^/]*\.tif)$',
    to='textrecog_imgs/testset',
    example='testset/words/0052/0052-1-0-0-Imagine.tif',
    **archive,
)
# The texts are in the names of the images.
gatherer = dict(type='MonoGatherer', ann_name='')
parser = dict(type='mmocr_da.CVLTextRecogAnnParser')
packer = dict(type='TextRecogPacker')
dumper = dict(type='JsonDumper')

train_preparer = dict(
    obtainer=dict(files=[trainset], **obtainer),
    gatherer=dict(img_dir='textrecog_imgs/trainset', **gatherer),
    parser=parser,
    packer=packer,
    dumper=dumper,
)
val_preparer = train_preparer
test_preparer = dict(
    obtainer=dict(files=[testset], **obtainer),
    gatherer=dict(img_dir='textrecog_imgs/testset', **gatherer),
    parser=parser,
    packer=packer,
    dumper=dumper,
)

# The whole archive, with the German passage.
official = dict(
    train={'writers in trainset': 27, 'images in trainset': 12147},
    test={'writers in testset': 283, 'images in testset': 87757},
)
