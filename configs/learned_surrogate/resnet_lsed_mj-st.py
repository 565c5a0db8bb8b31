"""The paper's ResNet-BiLSTM-Attn (table 1): without rectification.

Its training before is ``assda/tps_source-only_mj-st.py`` with ``model.preprocessor=None``.
"""

_base_ = './tps_lsed_mj-st.py'

load_from = 'work_dirs/resnet_source-only_mj-st/iter_300000.pth'
model = dict(preprocessor=None)
