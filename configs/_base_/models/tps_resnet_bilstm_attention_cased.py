"""SeqCLR's recognizer (Appendix D): TPS, 29-layer ResNet, BiLSTM, attention; case-sensitive."""

_base_ = './tps_resnet_bilstm_attention_published.py'

dictionary = dict(dict_file='{{ fileDirname }}/../dicts/english_95.txt')
model = dict(decoder=dict(dictionary=dictionary, module_loss=dict(letter_case='unchanged')))
