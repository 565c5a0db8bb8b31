"""IAM words, split by writer as in the task "large writer independent text line recognition"."""

custom_imports = dict(imports=['mmocr_da.datasets.preparers'])

data_root = 'data/iam'
cache_path = 'data/cache'
dictionary = 'english_95.txt'  # to compare the texts with

task_zip = 'largeWriterIndependentTextLineRecognitionTask'
obtainer = dict(
    type='mmocr_da.ArchiveObtainer',
    homepage='https://fki.tic.heia-fr.ch/databases/iam-handwriting-database (register, then '
    '"Download")',
    cache_path=cache_path,
)
word_images = dict(
    names=['words.tgz', 'words'],
    members=r'(?:^|/)([a-z]\d\d/[a-z]\d\d-\d{3}[a-z]?/[a-z]\d\d-\d{3}[a-z]?-\d\d-\d\d\.png)$',
    to='textrecog_imgs/words',
    example='a01/a01-000u/a01-000u-00-00.png',
    mistaken={
        r'[a-z]\d\d-\d{3}[a-z]?-\d\d\.png$': 'lines.tgz',
        r'-s\d\d-\d\d\.png$': 'sentences.tgz',
        r'[a-z]\d\d-\d{3}[a-z]?\.png$': 'the forms',
        r'\.xml$': 'xml.tgz',
        r'(?:^|/)words\.txt$': 'ascii.tgz',
    },
)
word_texts = dict(
    names=['ascii.tgz', 'words.txt', 'ascii'],
    members=r'(?:^|/)words\.txt$',
    to='annotations/words.txt',
    example='words.txt',
    mistaken={r'\.png$': 'an archive of images', r'\.xml$': 'xml.tgz'},
)
gatherer = dict(type='MonoGatherer', ann_name='words.txt', img_dir='textrecog_imgs/words')
packer = dict(type='TextRecogPacker')
dumper = dict(type='JsonDumper')

train_preparer = dict(
    obtainer=dict(
        files=[
            word_images,
            word_texts,
            dict(
                names=[f'{task_zip}.zip', task_zip],
                members=r'(?:^|/)trainset\.txt$',
                to='annotations/trainset.txt',
                example='trainset.txt',
            ),
        ],
        **obtainer,
    ),
    gatherer=gatherer,
    parser=dict(type='mmocr_da.IAMTextRecogAnnParser', line_sets=['trainset.txt']),
    packer=packer,
    dumper=dumper,
)
val_preparer = dict(
    obtainer=dict(
        files=[
            word_images,
            word_texts,
            dict(
                names=[f'{task_zip}.zip', task_zip],
                members=r'(?:^|/)validationset1\.txt$',
                to='annotations/validationset1.txt',
                example='validationset1.txt',
            ),
            dict(
                names=[f'{task_zip}.zip', task_zip],
                members=r'(?:^|/)validationset2\.txt$',
                to='annotations/validationset2.txt',
                example='validationset2.txt',
            ),
        ],
        **obtainer,
    ),
    gatherer=gatherer,
    parser=dict(
        type='mmocr_da.IAMTextRecogAnnParser',
        line_sets=['validationset1.txt', 'validationset2.txt'],
    ),
    packer=packer,
    dumper=dumper,
)
test_preparer = dict(
    obtainer=dict(
        files=[
            word_images,
            word_texts,
            dict(
                names=[f'{task_zip}.zip', task_zip],
                members=r'(?:^|/)testset\.txt$',
                to='annotations/testset.txt',
                example='testset.txt',
            ),
        ],
        **obtainer,
    ),
    gatherer=gatherer,
    parser=dict(type='mmocr_da.IAMTextRecogAnnParser', line_sets=['testset.txt']),
    packer=packer,
    dumper=dumper,
)

# As published with the task and the database; for words by split nothing is.
official = dict(
    train={'lines in trainset.txt': 6161, 'words in words.txt': 115320},
    val={'lines in validationset1.txt, validationset2.txt': 900 + 940},
    test={'lines in testset.txt': 1861},
)
