"""What the index.json and actions.json of a directory of shards may hold, see `data/schema.py`."""

import collections
import re
from typing import Any

from l2l.core.rules import ANY, FINITE, SWITCH, TEXT, WORD, Rule, each, mapping, pair, problem, record, whole
from l2l.media.policy import POLICY

_LONGEST = 255  # bytes that a name of a file may have
_SHORT: Rule = (
    lambda x: WORD[0](x) and len(x.encode()) <= _LONGEST,
    f"a text of 1 to {_LONGEST} bytes that can be written",
)
_FILE: Rule = (
    lambda x: _SHORT[0](x) and not {"/", "\\"} & set(x) and x not in (".", ".."),
    "the name of a file beside it",
)
_COUNT = whole(0, 2**53)
_DIGEST: Rule = lambda x: isinstance(x, str) and re.fullmatch("[0-9a-f]{64}", x), "64 hex digits"
_LINE: Rule = lambda x: isinstance(x, str) and "\0" not in x, "a text"  # also the name of a file that is no UTF-8
SHARD = record({"file": _FILE, "records": _COUNT, "videos": _COUNT, "bytes": _COUNT, "sha256": _DIGEST})
_VIDEO = {"path": _LINE, "split": WORD}
FAILED = each(record(_VIDEO | {"status": WORD, "reason": _LINE}))
NOTES = each(_LINE)
# What index.json holds; LATER: what older ones have not.
INDEX: dict[str, Rule] = {
    "kind": WORD,
    "labels": each(WORD),
    "splits": mapping(_SHORT, each(SHARD)),
    "policy": mapping(TEXT, ANY),
    "made_by": _LINE,
    "failed": FAILED,
    "multi_label": SWITCH,
    "version": whole(0),
    "label_hash": TEXT,
    "hash": TEXT,
}
LATER: dict[str, Rule] = {
    "notes": NOTES,
    "noted": each(record(_VIDEO | {"notes": NOTES})),
    "table": ANY,  # for people: it follows from the rest
}
ACTIONS = mapping(_LINE, each(pair(FINITE, FINITE)))
_WIDTH = whole(0, 2**20)
_WIDTHS = {"widths": record({"image": _WIDTH, "audio": _WIDTH}), "glances": mapping(TEXT, _WIDTH)}
FRAMING = 16  # bytes that a record takes in a file beside its content


def wrong(index: Any, kinds: tuple[str, ...]) -> str:
    """What keeps the content of index.json from being one of these kinds, "" if nothing does."""
    if found := problem(index, INDEX, LATER):
        return found
    if index["kind"] not in kinds:
        return f"kind is {index['kind']!r:.60}, it must be one of {', '.join(kinds)}"
    policy = index["policy"]
    own = {key: policy[key] for key in _WIDTHS if key in policy} if index["kind"] == "features" else {}
    found = problem(policy, {}, POLICY) if index["kind"] == "clips" else problem(own, {}, _WIDTHS)
    return f"policy: {found}" if found else _shards(index["splits"])


def _shards(splits: dict[str, list[dict[str, Any]]]) -> str:
    """Shards that cannot hold what they are said to hold, or that stand there twice."""
    shards = [shard for own in splits.values() for shard in own]
    for shard in shards:
        if shard["videos"] > shard["records"] or shard["records"] * FRAMING > shard["bytes"]:
            what = f"{shard['records']} records of {shard['videos']} videos in {shard['bytes']} bytes"
            return f"{shard['file']} cannot have {what}"
    twice = collections.Counter(shard["file"] for shard in shards).most_common(1)
    return f"{twice[0][0]} is there twice" if twice and twice[0][1] > 1 else ""
