"""The paper's ResNet-BiLSTM-Attn (table 1): without rectification."""
_base_ = './tps_lsed_mj-st.py'

model = dict(preprocessor=None)
