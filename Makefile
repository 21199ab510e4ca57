# Each target is one line and works on a fresh clone. ARGS are passed on: make demo ARGS="--days 7"
.PHONY: help setup demo demo-cpp test consumer lint bench fuzz soak faults differential docs models mutants clean
help:      ; @grep -E '^[a-z-]+ *: *;.*\#\#' Makefile | sed -E 's/ *:.*\#\# */: /'
setup:     ; @scripts/setup              ## install what is missing, build, install into .venv
demo:      ; @scripts/demo $(ARGS)       ## the departures board on real flights
demo-cpp:  ; @scripts/demo-cpp $(ARGS)   ## the same in C++
test:      ; @scripts/test $(ARGS)       ## everything that must hold
consumer:  ; @scripts/consumer $(ARGS)   ## the C++ library as a stranger installs it; ARGS=all for every way
lint:      ; @scripts/lint $(ARGS)       ## formatting, static analysis, house rules
bench:     ; @scripts/bench $(ARGS)      ## benchmarks
fuzz:      ; @scripts/fuzz $(ARGS)       ## libFuzzer targets
soak:      ; @scripts/soak $(MINUTES)    ## a long run of everything at once: make soak MINUTES=60
faults:    ; @scripts/faults $(ARGS)     ## inject every fault, and write docs/RELIABILITY.md
differential: ; @scripts/differential $(ARGS) ## compare cached answers with the databases', and write docs/DIFFERENTIAL.md
docs:      ; @scripts/docs site          ## check the documents, build their site into build/site
models:    ; @scripts/models $(ARGS)     ## model-check the protocol, mutants included
mutants:   ; @scripts/mutants $(ARGS)    ## break the engine on purpose in every way; a test has to notice
clean:     ; rm -rf build .venv          ## remove everything that was built
