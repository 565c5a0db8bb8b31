"""The recognizer of the paper, trained on MJSynth and SynthText (Algorithm 1, line 1)."""

_base_ = '../_base_/tps_mj-st.py'
