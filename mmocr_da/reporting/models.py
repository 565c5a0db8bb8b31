"""Sections that need the models of a run: predictions before and after, features, attention."""

import copy
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from mmocr.models.textrecog.recognizers import EncoderDecoderRecognizer
from mmocr.registry import TASK_UTILS
from numpy.typing import NDArray

from mmocr_da.datasets.image_loading import LoadImageFromFile
from mmocr_da.engine.attention import read_attention
from mmocr_da.engine.features import read_points
from mmocr_da.engine.inference import item_pipeline, predict
from mmocr_da.engine.samples import Item, dataset_of, domain_items, draw_items, text_of
from mmocr_da.evaluation import PredictionChange, Predictions, normalize
from mmocr_da.export import load_plain
from mmocr_da.visualization import attention_figure, embedding_figure
from mmocr_da.visualization.page import Paragraph, Picture, Pictures, Section

#: Images of each domain, and characters of each, in a map of features.
IN_MAP, CHARACTERS = 150, 400
#: Images whose attention is shown.
ATTENDED = 6


@dataclass(frozen=True)
class Recognizers:
    """The plain recognizers of a run, before it and after its last checkpoint.

    Args:
        cfg: The config that was trained.
        models: ``'before'``, if there is one, and ``'after'``.
        items: Test images of the target.
    """

    cfg: Config
    models: dict[str, BaseModel]
    items: list[Item]

    @classmethod
    def load(
        cls, cfg: Config, before: str | None, after: str, num: int, seed: int, device: str
    ) -> 'Recognizers':
        """Load checkpoints, and draw ``num`` test images.

        Raises:
            ValueError: If the model is no recognizer, or if a checkpoint does not fit.
        """
        checkpoints = {'before': before, 'after': after} if before else {'after': after}
        models = {name: load_plain(cfg, file, device) for name, file in checkpoints.items()}
        if not isinstance(models['after'], EncoderDecoderRecognizer):
            raise ValueError(
                'predictions, features and attention are shown of recognizers with encoder and '
                f'decoder, and this is a {type(models["after"]).__name__}'
            )
        if not cfg.get('test_dataloader'):
            raise ValueError('the config must have a test_dataloader, got none')
        return cls(cfg, models, draw_items([dataset_of(cfg.test_dataloader)], num, seed))

    def change(self, seed: int = 0) -> PredictionChange:
        """Predict the texts of the images with both.

        Raises:
            ValueError: If there is no recognizer from before.
        """
        if 'before' not in self.models:
            raise ValueError('there is no checkpoint from before the training to compare with')
        pipeline = item_pipeline(self.cfg, self.items)
        before, after = (
            Predictions.of(predict(self.models[name], pipeline, self.items))
            for name in ('before', 'after')
        )
        labels = [text_of(item) or None for item in self.items]
        return PredictionChange(
            [str(item['img_path']) for item in self.items],
            before,
            after,
            labels if sum(map(bool, labels)) > 1 else None,
            seed=seed,
            **ignored(self.cfg),
        )

    def picture(self, i: int) -> NDArray[Any]:
        """Load an image, RGB."""
        image: NDArray[Any] = LoadImageFromFile()(copy.deepcopy(self.items[i]))['img'][..., ::-1]
        return image

    def embedding_section(self, seed: int = 0) -> Section:
        """Make the section of maps of features.

        Raises:
            ValueError: If the config has no images of both domains.
        """
        items = domain_items(self.cfg, min(IN_MAP, len(self.items)), seed)
        labelled = all(text_of(item) for part in items.values() for item in part)
        points = {
            name: read_points(model, self.cfg, items, labelled, most=CHARACTERS, seed=seed)
            for name, model in self.models.items()
        }
        if len({tuple(found) for found in points.values()}) > 1:
            points = {name: {'images': found['images']} for name, found in points.items()}
        figure = embedding_figure(points, seed)
        titles = '; '.join(ax.get_title() for ax in figure.axes)
        return Section(
            'Features of both domains',
            [
                Paragraph(
                    'Each point is an image or a character, and neighbours look alike to the '
                    'recognizer (t-SNE). Compare how the domains mix within a map; the places of '
                    'two maps have nothing to do with each other. The A-distance is 0 if a linear '
                    'classifier cannot tell the domains apart, and 2 if it always can.'
                ),
                Pictures([Picture.of(figure, f'Maps of features: {titles}', form='png')], True),
            ],
        )

    def attention_section(self, chosen: list[int]) -> Section:
        """Make the section of where characters are seen in the chosen images.

        Raises:
            ValueError: If the decoder cannot tell.
        """
        items = [self.items[i] for i in chosen[:ATTENDED]]
        found = {
            name: read_attention(model, item_pipeline(self.cfg, items), items)
            for name, model in self.models.items()
        }
        texts = [text_of(item) for item in items]
        options = ignored(self.cfg)
        figure = attention_figure(
            found,
            texts if all(texts) else None,
            normalized=lambda text: normalize(text, **options),
        )
        named = '; '.join(
            f'{name}: {", ".join(x.text for x in read)}' for name, read in found.items()
        )
        return Section(
            'Where the recognizer looks',
            [
                Paragraph(
                    'A row per image and recognizer: the image, and once more for each character '
                    'that is predicted, with the places coloured that it is predicted from.'
                ),
                Pictures([Picture.of(figure, f'Attention of the texts {named}', form='png')], True),
            ],
        )


def ignored(cfg: Config) -> dict[str, Any]:
    """What a recognizer cannot tell apart, and labels should not either.

    The Unicode form is that of the config's ``TextErrorMetric``.

    >>> ignored(Config(dict(model=dict())))
    {'ignore_case': False, 'ignore_symbols': False}
    """
    forms = [m['unicode_form'] for m in metrics_of(cfg) if m.get('unicode_form')]
    form = dict(unicode_form=forms[0]) if forms else {}
    dictionary = (cfg.model.get('decoder') or {}).get('dictionary')
    if dictionary is None:
        return dict(ignore_case=False, ignore_symbols=False, **form)
    known = {char for char in TASK_UTILS.build(dictionary).dict if len(char) == 1}
    both_cases = any(char.swapcase() != char and char.swapcase() in known for char in known)
    symbols = any(not normalize(char, ignore_symbols=True) for char in known)
    return dict(ignore_case=not both_cases, ignore_symbols=not symbols, **form)


def metrics_of(cfg: Config) -> list[dict[str, Any]]:
    """Configs of the metrics of testing and validation."""
    found: list[dict[str, Any]] = []
    for key in ('test_evaluator', 'val_evaluator'):
        evaluator = cfg.get(key) or []
        metrics = evaluator.get('metrics', evaluator) if isinstance(evaluator, dict) else evaluator
        found += metrics if isinstance(metrics, (list, tuple)) else [metrics]
    return found
