#!/usr/bin/env bash
# Model-checks the cache protocol with Spin (apt: spin, gcc). Each line of the table is a model,
# whether Spin must find no error ("holds") or a violated assertion ("breaks": a mutant the checker
# has to catch), and the defines it is built with.
# Usage: check.sh [quick]   quick leaves out the largest state spaces.
# MODELS_JOBS sets how many run at once (default: all cores).
set -eu
cd "$(dirname "$0")"
models=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=${MODELS_JOBS:-$(nproc)}
count=0

run() { # folder model expectation defines...
  local folder=$1 model=$2 want=$3 got=unknown states
  shift 3
  mkdir "$folder"
  cd "$folder"
  cp "$models/$model.pml" .
  spin "$@" -a "$model.pml" >spin.log 2>&1 || true
  gcc -O1 -DSAFETY -DCOLLAPSE -DMEMLIM=16000 -o pan pan.c >gcc.log 2>&1 || true
  ./pan -m500000 >out 2>&1 || true
  if grep -q 'out of memory\|max search depth too small' out; then
    got=unknown
  elif grep -q 'errors: 0' out; then
    got=holds
  elif grep -q 'assertion violated' out; then
    got=breaks
  fi
  states=$(grep -o '[0-9.e+]* states, stored' out | head -1 || true)
  printf '%-11s %-42s %-7s (want %s)  %s\n' \
    "$model" "$*" "$got" "$want" "$states" >result
  [ "$got" = "$want" ] || cat spin.log gcc.log out >wrong
  rm -f pan pan.*
}
verify() {
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  count=$((count + 1))
  (run "$work/$count" "$@") &
}

verify in_process holds  -DMUTEX             # allocate + write + publish under one lock
verify in_process breaks                     # mutant: epoch allocated outside the lock
verify in_process breaks -DMUTEX -DBORN_AFTER # mutant: snapshot taken after the loader ran
verify in_process breaks -DMUTEX -DVAT_AFTER # mutant: clock re-read after the walk
verify in_process holds  -DMUTEX -DFOLLOW -DFOLLOW_CHECK
verify in_process breaks -DMUTEX -DFOLLOW    # mutant: follower takes the leader's value unchecked
verify ring       holds  -DATOMIC            # tag nodes freed with their last entry
verify ring       breaks                     # mutant: ring checked, then node created
verify ring       breaks -DATOMIC -DNORING   # mutant: a new node starts clean
verify ring       breaks -DATOMIC -DNOREACH  # mutant: ring too short counts as clean
verify ring       breaks -DATOMIC -DZERO     # mutant: a new node starts at version 0
verify nested     holds
verify nested     breaks -DMIX               # mutant: parent born from the server clock
verify bloom      holds                      # an entry revalidated from the ring
verify bloom      holds  -DRING=3 -DSCAN=2   # a scan shorter than the ring
verify bloom      holds  -DRING=8 -DNOEPOCH  # in a ring that never wraps positions are enough
verify bloom      holds  -DSWAP -DONCE -DNOORDER # what the way back from the head makes harmless
verify bloom      breaks -DNOEPOCH           # mutant: slots taken by position, their epochs unread
verify bloom      breaks -DZEROOK            # mutant: a slot being written counts as an old one
verify bloom      breaks -DEARLY             # mutant: clock published before the records
verify bloom      breaks -DLATE              # mutant: node versions written after the clock
verify bloom      breaks -DNOREACH           # mutant: a scan that reached its bound counts as clean
verify bloom      breaks -DNOWRAP            # mutant: a ring that wrapped meanwhile passes
verify journal    holds  -DJOURNAL
verify journal    holds  -DWAIT1
verify journal    breaks                     # mutant: no replay after a generation change
verify wait       holds                      # invalidate(wait=True) and processes that fell silent
verify wait       breaks -DNOWAIT            # mutant: a silent process is not waited for
verify wait       breaks -DFORGET            # mutant: its record is dropped with its lease
verify wait       breaks -DUNREG             # mutant: an unregistered process serves from L1
verify wait       breaks -DNOFO              # mutant: after a failover nobody is waited for
verify wait       breaks -DFRESHBIRTH        # mutant: a cached inner value counts as newly born
verify page       holds                      # catch-up in pages
verify page       breaks -DEARLY             # mutant: applied becomes the first clock
verify level      holds                      # stored values, checked by the log when they are read
verify level      breaks -DASKFIRST          # mutant: the home is asked before the entry is read
verify level      breaks -DLATEBORN          # mutant: an entry's birth is read after its loader
verify level      breaks -DLATELOCAL         # mutant: the local birth is read after that
verify level      breaks -DNOASK             # mutant: what was found is valid for ever in memory
verify intent     holds                      # a writer that dies around its COMMIT
verify intent     holds  -DNOFIRST           # noticed by its age alone: later, and in the end
verify intent     breaks -DNOINTENT          # mutant: nothing is declared
verify intent     breaks -DLATE              # mutant: declared after COMMIT was sent
verify intent     breaks -DTWOSTEP           # mutant: the intent is dropped before the invalidation
verify intent     breaks -DONCE              # mutant: a death fires it once, and it goes
verify intent     breaks -DNOFIRE            # mutant: it is only taken away
verify redis      breaks                     # mutant: no generation
verify redis      breaks -DGEN               # mutant: heartbeat without the clock
verify redis      breaks -DGEN -DHBCLK       # mutant: catch-up replies without the generation
verify redis      breaks -DGEN -DHBCLK -DCUGEN # mutant: messages without the generation
if [ "${1:-}" != quick ]; then
  verify ring     holds  -DATOMIC -DLOADS=2
  verify redis    holds  -DGEN -DHBCLK -DCUGEN -DMSGGEN
fi
wait

bad=0
for number in $(seq "$count"); do
  cat "$work/$number/result"
  if [ -e "$work/$number/wrong" ]; then
    bad=$((bad + 1))
    cat "$work/$number/wrong"
  fi
done
echo "models: $((count - bad)) as expected, $bad not"
[ "$bad" = 0 ]
