/* The second level, checked by the log of a home: one tag, two processes with a memory of their own,
   a writer that changes the source and invalidates twice. Values are versions of the source.
   A call: arrive (apply what is new), look into memory; else read the stored entry, then ask the
   home whether it holds; else load and store it, whatever is stored by then.
   Safety: a call returns no version older than the newest whose invalidation had returned when the
   call began.
   Mutants: -DASKFIRST (the home is asked before the entry is read), -DLATEBORN (an entry's birth is
   read after its loader), -DLATELOCAL (the local birth of a found entry is read after the home was
   asked), -DNOASK (memory keeps what was found without an own birth: born for ever). */
byte db=0, done=0;                       /* the source; invalidations that have returned */
byte hclk=0, hver=0;                     /* the home: its clock, the tag's epoch */
byte sVal=0, sBorn=0; bool stored=0;     /* the second level */
byte ap[2], lclk[2], lver[2];            /* what a process has applied; its own log */
byte mVal[2], mBorn[2]; bool mHas[2];    /* its memory */
inline arrive(p){ atomic{
  if :: ap[p]<hclk -> if :: hver>ap[p] -> lclk[p]++; lver[p]=lclk[p] :: else -> skip fi; ap[p]=hclk
     :: else -> skip fi } }
proctype Writer(){ byte n=0;
  do :: n<2 -> db++; atomic{ hclk++; hver=hclk }; done=db; n++ :: else -> break od }
/* another thread of the process, whose calls apply what is new */
proctype Other(byte p){ arrive(p) }
proctype Caller(byte p){ byte n=0, need, v, b, here; bool ok, hit;
  do :: n<2 ->
     need=done; hit=0; ok=0;
     arrive(p);
     atomic{ if :: mHas[p] && lver[p]<=mBorn[p] -> hit=1; v=mVal[p] :: else -> skip fi };
     if :: hit -> skip
        :: else ->
          here=lclk[p];
#ifdef ASKFIRST
          atomic{ ok=(stored && hver<=sBorn) };
          atomic{ v=sVal; b=sBorn };
#else
          atomic{ ok=stored; v=sVal; b=sBorn };
          atomic{ ok=(ok && hver<=b) };
#endif
#ifdef LATELOCAL
          here=lclk[p];
#endif
#ifdef NOASK
          here=255;
#endif
          if :: ok -> skip
             :: else ->
               arrive(p);
               here=lclk[p];
#ifdef LATEBORN
               v=db; b=ap[p];
#else
               b=ap[p]; v=db;
#endif
               atomic{ stored=1; sVal=v; sBorn=b }
          fi;
          atomic{ if :: lver[p]<=here -> mHas[p]=1; mVal[p]=v; mBorn[p]=here :: else -> skip fi }
     fi;
     assert(v>=need);
     n++
     :: else -> break od }
init{ atomic{ run Writer(); run Caller(0); run Caller(1); run Other(0) } }
