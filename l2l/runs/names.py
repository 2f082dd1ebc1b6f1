"""What the files of a run folder are called, and what stands in them."""

# Metrics that are shares, told in percent.
SHARES = ("agree", "top1", "top5", "mAP", "mAP_micro", "inside", "inside_chance")

SOURCES = ("step_logits", "head_logits")  # the classifier on the looks so far; the one on the LSTM's state

EARLY_EXIT = "sure.json"

SOUND_TRIALS = "sound_trials.json"

CURVES = "curves.json"


CURVE_METRICS = ("top1", "mAP")
