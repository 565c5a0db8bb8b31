"""Lets schedules follow the run that trains, where a program has built several."""

from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner

from mmocr_da.registry import HOOKS


@HOOKS.register_module()
class CurrentRunHook(Hook):
    """Make the message hub and the logger of a run the current ones when its training begins.

    MMEngine's current instances are the last that were created. If a program builds two runners and
    then trains the first, its schedules would follow the progress of the second.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Move the hub and the logger of the run to the end of MMEngine's lists."""
        for kind, instance in ((MessageHub, runner.message_hub), (MMLogger, runner.logger)):
            kind._instance_dict.move_to_end(instance.instance_name)
