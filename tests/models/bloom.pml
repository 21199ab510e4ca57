/* Revalidating an entry from the ring instead of walking its dependencies. The entry depends on A only and was born at epoch 0;
   its bloom knows A. Invalidations are calls of one or two records that share an epoch. A call, under the log's mutex:
     (1) for each tag: node version, then (2) slot.epoch=0, (3) slot.hash, (4) slot.epoch, (5) head; at the end (6) clock.
   A reader, with no lock: (a) clock, (b) head, then for each slot from the head back, at most SCAN of them: (c) epoch, (d) hash,
   (e) epoch again. An epoch that is 0, newer than the slot before, or changed is not the expected one: walk the versions. An epoch
   that was already validated ends the scan: nothing newer names A. A scan that reached its bound walks, except when it saw every
   record there ever was, which the head, (f) read once more, has to confirm: the ring has not begun to wrap.
   Mutants: -DNOEPOCH (slots are taken by position, whatever epoch they carry), -DZEROOK (a slot being written counts as an old one),
   -DEARLY (clock before the records), -DLATE (node versions after the clock), -DNOREACH (a scan that reached its bound counts as
   clean), -DNOWRAP (without f).
   Not mutants: -DSWAP (epoch before hash), -DONCE (without e), -DNOORDER (an epoch may be newer than the slot before). The ring is
   overwritten from its oldest slot on, so whoever reads a slot after it was overwritten finds every older slot overwritten too, and
   no validated epoch to end at. They hold with sequentially consistent memory; the engine keeps all three, cheap as they are. */
#ifndef RING
#define RING 2
#endif
#ifndef SCAN
#define SCAN RING
#endif
#ifndef CALLS
#define CALLS 3
#endif
#define A 1
#define B 2
byte clock=0, head=0, verA=0;
byte epochs[RING], hashes[RING];
byte firstA=0;                /* the first epoch that names A: the entry is dead from then on */
inline write(e,h) {
  i=(head+1)%RING;
  epochs[i]=0;
#ifdef SWAP
  epochs[i]=e; hashes[i]=h;
#else
  hashes[i]=h; epochs[i]=e;
#endif
  head++ }
inline kill(h) { if :: h==A -> verA=e :: else -> skip fi }
#ifdef LATE
#define KILL(h) skip
#define LATE_KILL(h) kill(h)
#else
#define KILL(h) kill(h)
#define LATE_KILL(h) skip
#endif
proctype Invalidator(){ byte n=0, e, i, x, y;
  do :: n<CALLS -> e=clock+1;
     atomic{ if :: x=A :: x=B fi; if :: y=0 :: y=A :: y=B fi;
             if :: firstA==0 && (x==A || y==A) -> firstA=e :: else -> skip fi };
#ifdef EARLY
     clock=e;
#endif
     KILL(x);
     write(e,x);
     KILL(y);
     if :: y!=0 -> write(e,y) :: else -> skip fi;
     clock=e;
     LATE_KILL(x);
     LATE_KILL(y);
     n++
  :: else -> break od }
proctype Reader(){ byte n=0, now, validated=0, seen=0, h, step, before, x, after, expected; bool clean, walk, alive=1;
  do :: n<2 && alive -> now=clock;
     if :: now==validated -> skip
        :: else -> h=head; step=0; expected=255; clean=0; walk=0;
           do :: step<h && step<SCAN && step<RING && !clean && !walk ->
                 before=epochs[(h-step)%RING];
                 x=hashes[(h-step)%RING];
                 after=epochs[(h-step)%RING];
#ifdef NOEPOCH
                 if :: h-step<=seen -> clean=1 :: else -> if :: x==A -> walk=1 :: else -> skip fi fi;
#else
                 if
#ifndef ZEROOK
                 :: before==0 -> walk=1
#endif
#ifndef NOORDER
                 :: before>expected -> walk=1
#endif
#ifndef ONCE
                 :: before!=after -> walk=1
#endif
                 :: else -> if :: before<=validated -> clean=1 :: else -> if :: x==A -> walk=1 :: else -> skip fi fi
                 fi;
#endif
                 expected=before; step++
              :: else -> break od;
           if :: clean || walk -> skip
              :: else ->
#ifdef NOREACH
                 clean=1
#else
#ifdef NOWRAP
                 if :: step==h -> clean=1 :: else -> skip fi
#else
                 if :: step==h && head<RING -> clean=1 :: else -> skip fi
#endif
#endif
           fi;
           if :: clean -> skip :: else -> if :: verA==0 -> skip :: else -> alive=0 fi fi;
           if :: alive -> assert(!(firstA!=0 && firstA<=now)); validated=now; seen=h :: else -> skip fi
     fi; n++
  :: else -> break od }
init { atomic{ run Invalidator(); run Reader() } }
