"""Labels of a dataset in one Unicode form."""

from mmocr_da.unicode import UnicodeForm, check_unicode_form, to_unicode_form


class NormalizeText:
    """First step of a pipeline: brings the texts of the labels into one Unicode form.

    Args:
        form: 'NFC', 'NFD', 'NFKC' or 'NFKD'.
    """

    def __init__(self, form: UnicodeForm) -> None:
        check_unicode_form(form)
        self.form = form

    def __call__(self, results: dict) -> dict:
        for instance in results.get('instances', ()):
            if isinstance(instance.get('text'), str):
                instance['text'] = to_unicode_form(instance['text'], self.form)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(form={self.form!r})'
