"""The paper's TPS-ResNet-BiLSTM-Attn (table 2), tuned for 20,000 iterations on MJ and ST.

Start from a trained one: ``load_from`` a checkpoint of ``assda/tps_source-only_mj-st.py``.
"""
_base_ = ['../assda/tps_source-only_mj-st.py', './_base_lsed.py']

model = _base_.lsed
train_cfg = dict(max_iters=20000)
