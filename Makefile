# make train: sets up .venv and runs the main job.   make test: sets up .venv and runs the tests.
# Another Python or torch:  make train PYTHON=python3.12 TORCH="torch --index-url <CPU or CUDA index>"
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: docs train test test-slurm test-viewer lint wheel reproduce reproduce-full install clean

train: install
	$(BIN)/python train.py $(ARGS)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

APT := apt-get install -y -q --no-install-recommends slurm-wlm munge

# On a SLURM of its own, one node on loopback, started and stopped by the test.
test-slurm: install
	@test -x /usr/sbin/slurmd -a -x /usr/sbin/munged || $(APT) || { apt-get update -q && $(APT); } || true
	OMP_NUM_THREADS=1 STM_TEST_SLURM=1 $(BIN)/python -m pytest -rs tests/test_slurm.py $(ARGS)

# napari's window on an X server of the test's own, in software.
VIEWER_APT := apt-get install -y -q --no-install-recommends xvfb libegl1 libgl1 libgl1-mesa-dri \
	libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
	libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1 libfontconfig1

test-viewer: install
	@command -v Xvfb > /dev/null && ldconfig -p | grep -q libxcb-cursor || $(VIEWER_APT) \
		|| { apt-get update -q && $(VIEWER_APT); } || true
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,viewer]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/viewer $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# The paper's 21 jobs in miniature (about 10 minutes on 2 cores), or whole; started again, a sweep
# resumes where it was. On the published images: ARGS="data=published data.root=<folder>"
PAPER := train.py -m 'experiment=glob(paper_*)' lattice=sc,bcc,fcc

reproduce: install
	$(BIN)/python $(PAPER) scale=0.12 hydra.sweep.dir=outputs/reproduce $(ARGS)
	$(BIN)/python -m stm_experiments.report runs=outputs/reproduce

reproduce-full: install
	$(BIN)/python $(PAPER) hydra.sweep.dir=outputs/reproduce_full $(ARGS)
	$(BIN)/python -m stm_experiments.report runs=outputs/reproduce_full

# The documentation site, in build/site: draws the gallery, runs the tutorials; needs no network then.
docs: install
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python -m stm_experiments.benchmarks.gallery build/gallery
	$(BIN)/python docs/_site/tutorials.py build/tutorials
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open build/site/index.html. Its search needs a server: $(BIN)/python -m http.server --directory build/site"

# The source distribution (6 MB), and the wheel from it (5 MB), in dist.
wheel: install
	$(BIN)/python -m build

install: $(VENV)/installed

# torch comes first and by itself: named in a range, pip may take a build with gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist
