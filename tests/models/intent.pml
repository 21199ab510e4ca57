/* A writer that may die at any moment, its intent in the home, a database that carries a COMMIT out
   some time after it was sent, two noticers, two readers that cache what they load. The longest time
   of a COMMIT is over once the database has carried out what was sent, or nothing was.
   Safety, when nothing more happens: what is cached and valid is what the database says.
   Mutants: -DNOINTENT (none is declared), -DLATE (declared after COMMIT was sent), -DTWOSTEP (the end
   drops the intent, then invalidates), -DONCE (a dead one's intent fires once and goes), -DNOFIRE
   (it is only taken away). -DNOFIRST (it does not fire at the death, only when it is old) holds in
   the end, later. */
byte clk=0, ver=0;                          /* the home: its clock, the tag's epoch */
bool intent=0, fired=0;
bool dead=0, sent=0, db=0;
byte eV[2], eB[2]; bool eP[2];              /* what the readers' caches hold */
inline invalidate(){ clk++; ver=clk }
inline may_die(){ if :: dead=1; goto gone :: skip fi }
proctype Writer(){
#ifndef LATE
#ifndef NOINTENT
  intent=1;
#endif
#endif
  may_die();
  sent=1;
  may_die();
#ifdef LATE
  intent=1;
#endif
  db==1;                                    /* COMMIT has returned */
  may_die();
#ifdef TWOSTEP
  intent=0;
  may_die();
  atomic{ invalidate() };
#else
  atomic{ invalidate(); intent=0 };
#endif
gone: skip }
proctype Database(){
end: sent; db=1 }
proctype Noticer(){
end: do
#ifdef NOFIRE
  :: atomic{ (intent && dead) -> intent=0 }
#else
#ifndef NOFIRST
  :: atomic{ (intent && dead && !fired) -> invalidate(); fired=1;
#ifdef ONCE
       intent=0
#endif
     }
#endif
  :: atomic{ (intent && dead && (fired
#ifdef NOFIRST
       || true
#endif
       ) && (db || !sent)) -> invalidate(); intent=0 }
#endif
  od }
proctype Reader(byte p){ byte n=0, b; bool v;
  do :: n<2 ->
     if :: eP[p] && ver<=eB[p] -> skip      /* a hit */
        :: else -> b=clk; v=db; atomic{ if :: ver<=b -> eP[p]=1; eV[p]=v; eB[p]=b :: else -> skip fi }
     fi; n++
     :: else -> break od }
init{ byte p=0;
  atomic{ run Writer(); run Database(); run Noticer(); run Noticer(); run Reader(0); run Reader(1) };
  timeout;
  do :: p<2 -> assert(!(eP[p] && ver<=eB[p] && eV[p]!=db)); p++ :: else -> break od }
