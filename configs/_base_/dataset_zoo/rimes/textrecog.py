"""RIMES words with the splits of the competition of ICDAR 2011 (task "isolated words")."""

custom_imports = dict(imports=['mmocr_da.datasets.preparers'])

data_root = 'data/rimes'
cache_path = 'data/cache'
dictionary = 'french.txt'  # to compare the texts with

obtainer = dict(
    type='mmocr_da.ArchiveObtainer',
    homepage='http://www.a2ialab.com/doku.php?id=rimes_database:start (user agreement, then '
    '"Word level recognition" of ICDAR 2011)',
    cache_path=cache_path,
)
# In all of them the names of the ground truth start below one of these folders.
images = dict(
    members=r'(?:^|/)(?:training_WR|testdataset_ICDAR|valdataset_ICDAR|data_test)/(.+\.tiff?)$',
    example='training_WR/lot_1/00001_L/00001_L_0_0.tiff',
    mistaken={r'\d{4}-\d+\.(?:jpg|png|tiff?)$': 'the pages of the task on text lines'},
)
texts = dict(members=r'\.txt$', example='lot_1/00001_L/00001_L_0_0.tiff Madame')
packer = dict(type='TextRecogPacker')
dumper = dict(type='JsonDumper')

train_preparer = dict(
    obtainer=dict(
        files=[
            dict(
                names=[
                    'trainingsnippets_icdar.rar',
                    'trainingsnippets_icdar.tar.gz',
                    'trainingsnippets_icdar.zip',
                    'trainingsnippets_icdar',
                    'training_WR',
                ],
                to='textrecog_imgs/train',
                **images,
            ),
            dict(
                names=[
                    'groundtruth_training_icdar2011.txt',
                    'ground_truth_training_icdar2011.txt',
                    'ground_truth_train_icdar2011.txt',
                ],
                to='annotations/train.txt',
                **texts,
            ),
        ],
        **obtainer,
    ),
    gatherer=dict(type='MonoGatherer', ann_name='train.txt'),
    parser=dict(type='mmocr_da.RIMESTextRecogAnnParser'),
    packer=packer,
    dumper=dumper,
)
val_preparer = dict(
    obtainer=dict(
        files=[
            dict(
                names=[
                    'validationsnippets_icdar.tar.gz',
                    'validationsnippets_icdar.zip',
                    'validationsnippets_icdar.rar',
                    'validationsnippets_icdar',
                    'testdataset_ICDAR',
                    'valdataset_ICDAR',
                ],
                to='textrecog_imgs/val',
                **images,
            ),
            dict(
                names=['ground_truth_validation_icdar2011.txt'], to='annotations/val.txt', **texts
            ),
        ],
        **obtainer,
    ),
    gatherer=dict(type='MonoGatherer', ann_name='val.txt'),
    parser=dict(type='mmocr_da.RIMESTextRecogAnnParser'),
    packer=packer,
    dumper=dumper,
)
test_preparer = dict(
    obtainer=dict(
        files=[
            dict(
                names=['data_test.tar.gz', 'data_test.zip', 'data_test.rar', 'data_test'],
                to='textrecog_imgs/test',
                **images,
            ),
            # "grount" is how the file is called.
            dict(
                names=['grount_truth_test_icdar2011.txt', 'ground_truth_test_icdar2011.txt'],
                to='annotations/test.txt',
                **texts,
            ),
        ],
        **obtainer,
    ),
    gatherer=dict(type='MonoGatherer', ann_name='test.txt'),
    parser=dict(type='mmocr_da.RIMESTextRecogAnnParser'),
    packer=packer,
    dumper=dumper,
)
