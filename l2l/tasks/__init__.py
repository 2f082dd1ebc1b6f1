"""The tasks by name."""

from l2l.tasks.classify import Classify
from l2l.tasks.distill import Distill
from l2l.tasks.distill_preview import DistilPreview
from l2l.tasks.skim import Skim

TASKS = {"classify": Classify, "distill": Distill, "preview": DistilPreview, "skim": Skim}
