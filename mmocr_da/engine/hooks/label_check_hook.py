"""Names the labels that a recognizer cannot learn, before training starts."""

from mmengine.hooks import Hook

from mmocr_da.registry import HOOKS

from ..label_check import check_labels, reload_data
from ..model_parts import label_loss, unwrapped


@HOOKS.register_module()
class LabelCheckHook(Hook):
    """Check the labels once, when training starts.

    Characters outside the dictionary are an error, with their code points and what helps, or a
    warning if the dictionary has ``with_unknown``. Labels that the decoder's ``max_seq_len`` cuts
    are a warning. With ``skip_unusable`` of a :class:`SeededDataset` the images of both are left
    out instead.

    Of an LMDB with more than 100,000 labels this number is checked, spread evenly, and the log says
    so; with ``skip_unusable`` the others are checked when their images are drawn.
    """

    # Before hooks that look at the remaining labels.
    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Check the labels; if some are left out, the loop loads its data again.

        Raises:
            ValueError: If a label cannot be learned and is not to be left out.
        """
        module_loss = label_loss(unwrapped(runner.model))
        if module_loss is None:
            return
        dataset = runner.train_dataloader.dataset
        left_out = check_labels(dataset, module_loss, runner.logger)
        if left_out or getattr(dataset, 'checks_labels', False):
            reload_data(runner.train_loop)
