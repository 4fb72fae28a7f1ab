# make demo, make test: nothing needed but Python 3.11+ and make. The first run makes .venv, later ones install nothing.

PYTHON ?= python3
BIN := .venv/bin
OUT ?= out
FRAME := pyproject.toml constraints.txt tools/install.py
# Need nothing but the checkout: where motion capture is absent they use synthetic motion, or print what they leave out.
BENCHMARKS := canonicalize embed fit scan retrieval readers reference_body index query gallery_size completion synthetic_vs_real

.PHONY: demo test check docs notebooks bench clean
.DEFAULT_GOAL := demo

demo: .venv/.demo  ## search a motion archive with the keypoints of a photo, and look at what comes back
	$(BIN)/vipe demo --out $(OUT)/demo

# Where arrays change hands; whole commands and trainings run the same functions again.
SHAPES := geometry networks detections index embed/generation embed/test_affine.py embed/test_contract.py \
	embed/towers/test_network.py embed/vvipe/test_losses.py embed/vvipe/test_network.py evaluate/baselines \
	evaluate/test_scoring.py evaluate/test_study.py retrieve/camera \
	plots/embedding_map retrieve/candidates retrieve/ranking retrieve/sequences/test_fusion.py retrieve/sequences/test_training.py \
	retrieve/segments retrieve/test_golden.py retrieve/test_hits.py retrieve/labels \
	simulate/test_detector.py simulate/test_rigs.py training/test_augment.py training/test_views.py

test: .venv/.dev  ## every test and doctest with coverage; then, for a chosen part, array shapes checked at run time
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu" --cov --cov-report=term
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu and not refusal" -q \
		--jaxtyping-packages=vipe,beartype.beartype $(SHAPES:%=tests/%)

check: .venv/.dev  ## format, lint, undefined names, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.dev  ## the documentation as a site: out/site/index.html; a warning is an error
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -E -b html docs $(OUT)/site

notebooks: .venv/.dev  ## run every notebook from top to bottom on synthetic motion; nothing is written
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/execute.py --check

bench: .venv/.bench  ## time and measure what needs no training, each beside what a user would pick instead
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

clean:
	rm -rf .venv $(OUT) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.demo: $(FRAME)
	$(PYTHON) tools/install.py report maps
	@touch $@

.venv/.dev: $(FRAME)
	$(PYTHON) tools/install.py dev
	@touch $@

.venv/.bench: $(FRAME)
	$(PYTHON) tools/install.py dev bench
	@touch $@
