# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Programs that were compiled once are read back by later runs of the same commands.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/runs/compile_cache
RUNS := $(addprefix runs/sample/,teacher distill finetune extract skim)

.PHONY: demo study paper ablations listen lint style layers types types-baseline test docs reference wheel bench soak
.DELETE_ON_ERROR:

$(BIN)/.ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

demo: $(BIN)/.ready  ## the whole path on the built-in sample; ends with the path of a report page
	$(BIN)/python -m l2l.main --config=configs/skim.py
	$(BIN)/python -m l2l.report $(RUNS) --out=runs/sample/report.html

study: $(BIN)/.ready  ## every arm on the built-in sample with three seeds; runs/study/sweep.md
	$(BIN)/python -m l2l.sweep --sweep=configs/sweep_study.py --out=runs/study

paper: $(BIN)/.ready  ## the paper's tables and figures on the built-in sample; ends with the path of a page
	$(BIN)/python -m l2l.sweep --sweep=configs/sweep_paper.py --out=runs/paper
	$(BIN)/python -m l2l.report --table=all runs/paper --out=runs/paper/report.html

ablations: paper  ## what each part of the method is worth, and several labels a video; untimed
	$(BIN)/python -m l2l.sweep --sweep=configs/sweep_ablations.py --out=runs/ablations
	$(BIN)/python -m l2l.report --table=ablations runs/ablations $(addprefix runs/paper/,distill_both finetune_both skim) \
		--out=runs/ablations/report.html
	$(BIN)/python -m l2l.sweep --sweep=configs/sweep_multi_label.py --out=runs/multi_label
	$(BIN)/python -m l2l.report --table=multi_label runs/multi_label --out=runs/multi_label/report.html

listen: $(BIN)/.ready  ## choosing all moments by sound, beside everything else: runs/listen/compare/results.md
	$(BIN)/python -m l2l.sweep --sweep=configs/sweep_listen.py --out=runs/listen --jobs=2
	$(BIN)/python -m l2l.compare choose runs/listen
	$(BIN)/python -m l2l.compare measure runs/listen

lint: style layers types  ## all that is checked without running anything

style: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

layers: $(BIN)/.ready  ## the order of the packages; pyproject.toml says it
	$(BIN)/lint-imports --no-cache

types: $(BIN)/.ready  ## no error of types beside those of mypy-baseline.txt
	@echo "$(BIN)/mypy, beside mypy-baseline.txt"
	@$(BIN)/mypy | $(BIN)/mypy-baseline filter --hide-stats || \
		{ echo "error: new errors of types are listed above; if none is, some were fixed: make types-baseline"; exit 1; }

types-baseline: $(BIN)/.ready  ## after errors of types were fixed: takes them out of mypy-baseline.txt
	$(BIN)/mypy | $(BIN)/mypy-baseline sync

test: lint  ## lint and the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

docs: $(BIN)/.ready  ## the documentation as pages: runs/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: $(BIN)/.ready  ## the pages of docs/reference that are made from the code
	$(BIN)/python -m scripts.reference

wheel: $(BIN)/.ready  ## the package as it is installed: built, and used from an empty folder; minutes
	$(BIN)/python -m tests.wheel

bench: $(BIN)/.ready  ## speed of the parts on this machine, one JSON line each
	for name in teacher student skimmer loader prepare distill_cache infer; do \
		$(BIN)/python -m benchmarks.$$name --json; done

soak: $(BIN)/.ready  ## fuzz and kill tests in full
	L2L_SOAK=1 $(BIN)/python -m pytest -m soak
