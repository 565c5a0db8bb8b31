"""Each module ``mmocr_da/a/b.py`` has its test file ``tests/a/test_b.py``, and the reverse."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / 'mmocr_da'
#: Tests of modules, or of all modules of a folder, that have no test file of their own name.
TESTED_IN = {
    'adaptation/run.py': 'tools/test_adapt.py',
    'datasets/data_samples.py': 'datasets/test_notes.py',
    'datasets/normalize_text.py': 'datasets/test_seeded_dataset.py',
    'datasets/preparers': 'datasets/test_preparers.py',
    'domains.py': 'datasets/test_two_domain_dataset.py',
    'engine/hooks/label_check_hook.py': 'engine/test_label_check.py',
    'engine/hooks/part_export_hook.py': 'engine/hooks/test_encoder_export_hook.py',
    'engine/hooks/surrogate_export_hook.py': 'engine/hooks/test_surrogate_watch_hook.py',
    'engine/model_parts.py': 'engine/hooks/test_freeze_hook.py',
    'engine/rehearsal.py': 'tools/test_adapt.py',
    'evaluation/prediction_files.py': 'tools/test_compare_predictions.py',
    'models/decoders/adapters': 'models/decoders/adapters/test_characters.py',
    'models/decoders/character_features.py': 'models/decoders/adapters/test_characters.py',
    'models/decoders/fast_decoding.py': 'engine/hooks/test_fast_decoding_hook.py',
    'models/objectives/symnet_losses.py': 'models/objectives/test_symnet_head.py',
    'models/objectives/teacher_objective.py': 'models/objectives/test_self_training.py',
    'models/valid_ratio.py': 'models/decoders/adapters/test_characters.py',
    'onnx_export/graph.py': 'onnx_export/test_export.py',
    'reporting/data.py': 'reporting/test_page.py',
    'reporting/models.py': 'reporting/test_page.py',
    'reporting/summary.py': 'reporting/test_page.py',
    'unicode.py': 'evaluation/test_functional.py',
    'visualization/colors.py': 'visualization/test_embeddings.py',
    'version.py': 'test_compat.py',
}
#: What all parts promise together.
OF_THE_WHOLE = {
    'models/decoders/adapters/test_attention.py',
    'models/decoders/adapters/test_greedy.py',
    'models/decoders/adapters/test_own_classes.py',
    'test_constructors.py',
    'test_docs.py',
    'test_guarantees.py',
    'test_host_waits.py',
    'test_imports.py',
    'test_matrix.py',
    'test_mirror.py',
    'test_packaging.py',
    'test_random_trainings.py',
    'test_split_batches.py',
}
OTHER_FOLDERS = {'configs', 'helpers', 'tools'}
MODULES = {
    path.relative_to(PACKAGE)
    for path in PACKAGE.rglob('*.py')
    if '.mim' not in path.parts and path.name != '__init__.py'
}


def own_test(module):
    return module.with_name(f'test_{module.name}')


def test_every_module_has_its_tests():
    missing = [
        module.as_posix()
        for module in sorted(MODULES)
        if not (TESTS / own_test(module)).exists()
        and not {module.as_posix(), module.parent.as_posix()} & TESTED_IN.keys()
    ]
    assert not missing, f'add a test file for each, or say in TESTED_IN where: {missing}'


def test_every_test_file_has_its_module():
    files = {path.relative_to(TESTS) for path in TESTS.rglob('test_*.py')}
    files = {path for path in files if path.parts[0] not in OTHER_FOLDERS}
    known = {own_test(module) for module in MODULES}
    known |= set(map(Path, [*TESTED_IN.values(), *OF_THE_WHOLE]))
    lost = sorted(path.as_posix() for path in files - known)
    assert not lost, f'of modules that are not there: {lost}'


def test_the_exceptions_are_needed():
    for name, test in TESTED_IN.items():
        assert (PACKAGE / name).exists() and (TESTS / test).exists(), (name, test)
        assert not (TESTS / own_test(Path(name))).exists(), name
    assert all((TESTS / test).exists() for test in OF_THE_WHOLE)
