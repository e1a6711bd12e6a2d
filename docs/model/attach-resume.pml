/*
 * Attach and resume: two nodes, two streams, links that are lost. README.md says what is modelled and what is not.
 *
 *   spin -a attach-resume.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *
 * Sizes, by -D on spin's command line:
 *   LOSSES   links that the path loses, each at any point (3)
 *   EXTRA    links that are dialed although another one is up (1)
 *   TROUBLE  times that a node takes a link for bad and moves its streams away (0)
 *   SAME     both streams are opened by the deciding node; else each node opens one
 *   SIZE0, SIZE1   bytes of the streams, 1 or 2 (2)
 *   DEPTH    records under way on a link, in one direction (2)
 * Mutants, each of which spin has to find: RESUME_FROM_OWN, NO_REWIND, FORGET_OPEN, FORGET_SOON, TAKE_TWICE,
 * COMMIT_EARLY, CONFIRM_ONCE, NO_PAST, DATA_FIRST.
 */
#ifndef LOSSES
#define LOSSES 3
#endif
#ifndef EXTRA
#define EXTRA 1
#endif
#ifndef TROUBLE
#define TROUBLE 0
#endif
#ifndef DEPTH
#define DEPTH 2
#endif

#ifndef SIZE0
#define SIZE0 2
#endif
#ifndef SIZE1
#define SIZE1 2
#endif

#define DECIDER 0
#define OTHER 1
#define SLOTS 2
#define NO_LANE SLOTS

/* ── the streams ─────────────────────────────────────────────────────────────────────────────────────────────────── */

#ifdef SAME
#define IS_OPENER(i, s) ((i) == DECIDER)
#else
#define IS_OPENER(i, s) ((i) == (s))
#endif

/* Stream 0 carries bytes, and FIN behind them, from its opener; stream 1 carries them to its opener. */
#define IS_SENDER(i, s) ((s) == 0 -> IS_OPENER(i, s) : !IS_OPENER(i, s))
#define SIZE(s) ((s) == 0 -> SIZE0 : SIZE1)
/* Credit beyond what was received, claims included: stream 0 may have both its bytes under way, stream 1 waits for WINDOW. */
#define CREDIT(s) (2 - (s))

/* ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

mtype = { ATTACH, ATTACHED, CONFIRM, FRAMES, FRAMES_RESUMED };

/* What a record of frames says of one stream. */
#define OPENING 1  /* OPEN, from the opener; OPENED, from the other node */
#define DATA 2     /* one byte */
#define OFFSET 4   /* ... at offset 1, else 0 */
#define FIN 8
#define WINDOW 16
#define RECEIVED(frames) ((frames) >> 5)

/* ── links ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* What a node thinks of the link in a slot. A slot is free when both have let go. */
#define GONE 0
#define WAITS 1    /* admitted, not attached */
#define ASKED 2    /* the deciding node has sent ATTACH */
#define ANSWERED 3 /* the other one has sent ATTACHED */
#define CARRIES 4  /* attached */

chan q[4] = [DEPTH] of { mtype, byte, byte };
#define IN(l) q[2 * me + (l)]
#define OUT(l) q[2 * (1 - me) + (l)]

byte link[4];        /* of node i in slot l: link[2 * i + l] */
#define LINK(l) link[2 * me + (l)]
bool up[SLOTS];      /* bytes get into it; those that are in may still come out when it is down */
byte conn[SLOTS];    /* which link it is: what it puts into the secret */
byte conns;          /* links that there have been */
byte losses = LOSSES;
byte extra = EXTRA;
byte trouble = TROUBLE;
byte forgotten;      /* streams that a node is done with, of both nodes together */

/* ── a node's streams ────────────────────────────────────────────────────────────────────────────────────────────── */

#define ABSENT 0
#define LIVE 1
#define FORGOTTEN 2

typedef Stream {
  byte life;
  bool isOpen;        /* opener: OPENED has come; the other node: accepted */
  bool isKnown;       /* this node's OPEN or OPENED has arrived */
  bool needOpening;
  bool needWindow;
  byte acked;         /* bytes that have arrived, FIN counted as one more */
  byte next;          /* bytes that were sent */
  bool isFinSent;
  byte received;      /* bytes handed over */
  bool isAhead;       /* the second byte waits for the first */
  bool hasFin;
  bool isLastKnown;   /* the last WINDOW has arrived */
}

#define IS_SENT(s) (x[s].acked > SIZE(s))
#define IS_RECEIVED(s) (x[s].hasFin && x[s].received == SIZE(s))
/* Nothing is left to be told: OPENED has arrived, and FIN, and the WINDOW that says so. */
#define IS_OVER(s) (x[s].life == LIVE && x[s].isOpen && x[s].isKnown && (IS_SENDER(me, s) -> IS_SENT(s) : IS_RECEIVED(s)))

inline release(s) {
  if
  :: x[s].isOpen && x[s].next < x[s].acked && x[s].next < SIZE(s) -> x[s].next = x[s].next + 1; release2(s)
  :: else
  fi
}
inline release2(s) {
  if
  :: x[s].next < x[s].acked && x[s].next < SIZE(s) -> x[s].next = x[s].next + 1
  :: else
  fi
}

/* Sends again from what the peer is known to have; all of it until OPENED has come. */
inline rewind(s) {
#ifndef RESUME_FROM_OWN
  if
  :: x[s].life == LIVE ->
    x[s].next = 0;
    x[s].isFinSent = IS_SENT(s);
    release(s)
  :: else
  fi
#else
  skip
#endif
}

inline forgetIfDone(s) {
  if
#ifdef FORGET_SOON
  :: IS_OVER(s) && !x[s].needWindow ->
#else
  :: IS_OVER(s) && (IS_SENDER(me, s) || x[s].isLastKnown) ->
#endif
    x[s].life = FORGOTTEN;
    x[s].isOpen = false; x[s].isKnown = false; x[s].needOpening = false; x[s].needWindow = false;
    x[s].acked = 0; x[s].next = 0; x[s].isFinSent = false;
    x[s].received = 0; x[s].isAhead = false; x[s].hasFin = false; x[s].isLastKnown = false;
    forgotten = forgotten + 1
  :: else
  fi
}

/* Another link leads: what the peer may not know is told again. */
inline resync(s) {
  if
  :: x[s].life == LIVE ->
#ifdef FORGET_OPEN
    x[s].needOpening = x[s].needOpening || (!x[s].isKnown && !IS_OPENER(me, s) && x[s].isOpen);
#else
    x[s].needOpening = !x[s].isKnown && (IS_OPENER(me, s) || x[s].isOpen);
#endif
    x[s].needWindow = !IS_SENDER(me, s) && !(IS_OPENER(me, s) && x[s].needOpening)
  :: else
  fi
}

inline leadBy(l) {
  lead = l;
  toResume = true;
  resync(0);
  resync(1)
}

/* ── frames coming in ────────────────────────────────────────────────────────────────────────────────────────────── */

inline takeControl(s, frames) {
  if
  :: (frames & OPENING) && IS_OPENER(me, s) && x[s].life == LIVE ->
    x[s].isKnown = true;
    x[s].isOpen = true;
    release(s);
    forgetIfDone(s)
#ifdef SAME
  :: (frames & OPENING) && !IS_OPENER(me, s) && x[s].life == ABSENT && !((s) == 0 && x[1].life != ABSENT) ->
#else
  :: (frames & OPENING) && !IS_OPENER(me, s) && x[s].life == ABSENT ->
#endif
    x[s].life = LIVE
  :: else
  fi;
  if
  :: frames & WINDOW ->
    assert(x[s].life != ABSENT);
    if
    :: x[s].life == LIVE ->
      if
      :: RECEIVED(frames) > x[s].acked -> x[s].acked = RECEIVED(frames)
      :: else
      fi;
      if
      :: IS_OPENER(me, s) -> x[s].isKnown = true
      :: else
      fi;
      release(s);
      forgetIfDone(s)
    :: else
    fi
  :: else
  fi
}

#define AT(frames) ((frames & OFFSET) -> 1 : 0)

inline takeData(s, frames) {
  if
  :: frames & (DATA | FIN) -> assert(x[s].life != ABSENT)     /* of a stream that was never opened */
  :: else
  fi;
  if
  :: (frames & DATA) && x[s].life == LIVE ->
    assert(AT(frames) < x[s].received + CREDIT(s));           /* within the credit */
    if
    :: AT(frames) == x[s].received ->
      x[s].received = x[s].received + 1;
      if
      :: x[s].isAhead && x[s].received == 1 -> x[s].received = 2
      :: else
      fi;
      x[s].isAhead = false
    :: AT(frames) > x[s].received -> x[s].isAhead = true
    :: else ->                                                /* it has come before */
#ifdef TAKE_TWICE
      assert(false)
#endif
    fi;
    x[s].needWindow = x[s].needWindow || CREDIT(s) < SIZE(s) || IS_RECEIVED(s)
  :: else
  fi;
  if
  :: (frames & FIN) && x[s].life == LIVE ->
    x[s].needWindow = x[s].needWindow || (!x[s].hasFin && x[s].received == SIZE(s));
    x[s].hasFin = true
  :: else
  fi
}

/* ── attach ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

inline attach(l) {
  LINK(l) = CARRIES;
  out[l] = 0;
  if
  :: lead == NO_LANE -> isStale = true
  :: else
  fi;
  leadBy(l)
}

inline letGo(l) {
  do
  :: len(IN(l)) > 0 -> IN(l) ? _, _, _
  :: else -> break
  od;
  LINK(l) = GONE;
  out[l] = 0
}

/* The other node: `c` went into its secret. */
inline commit(c) {
  past = past | (1 << secret);
  secret = c;
  candidates = 0
}

inline takeAttach(l, c) {
  if
  :: (candidates >> c) & 1 -> commit(c)   /* the CONFIRM of that link is lost, or late */
  :: else
  fi;
  if
  :: c == secret ->
    candidates = candidates | (1 << conn[l]);
    LINK(l) = ANSWERED;
#ifdef COMMIT_EARLY
    commit(conn[l]);
#endif
    if
    :: up[l] -> OUT(l) ! ATTACHED, c, 0
    :: else
    fi
  :: else ->
    /* The deciding node has given this link up long ago. Anything else would be a lie. */
#ifdef NO_PAST
    assert(false);
#else
    assert((past >> c) & 1);
#endif
    letGo(l);
    up[l] = false
  fi
}

inline takeConfirm(l) {
  if
  :: (candidates >> conn[l]) & 1 -> commit(conn[l])
  :: else ->
    /* An ATTACH on another link has overtaken this CONFIRM and said the same. */
#ifdef CONFIRM_ONCE
    assert(!up[l]);
#endif
    assert(conn[l] == secret || ((past >> conn[l]) & 1))
  fi;
  attach(l)
}

inline takeAttached(l, c) {
  assert(c == secret);
  secret = conn[l];
  if
  :: up[l] -> OUT(l) ! CONFIRM, 0, 0
  :: else
  fi;
  attach(l)
}

inline take(l) {
  IN(l) ? kind, a, b;
  if
  :: kind == ATTACH -> takeAttach(l, a)
  :: kind == ATTACHED -> takeAttached(l, a)
  :: kind == CONFIRM -> takeConfirm(l)
  :: else ->
    assert(LINK(l) == CARRIES);
    takeControl(0, a);
    takeControl(1, b);
    if
    :: kind == FRAMES_RESUMED && isStale ->
      isStale = false;
      rewind(0);
      rewind(1)
    :: else
    fi;
    takeData(0, a);
    takeData(1, b)
  fi;
  kind = 0; a = 0; b = 0
}

/* This end hears that the link is lost; whatever is still in it is gone. */
inline lose(l) {
  a = LINK(l);
  letGo(l);
  if
  :: a == CARRIES && LINK(1 - l) == CARRIES ->
    if
    :: lead == l -> leadBy(1 - l)
    :: else
    fi;
    sendAgain()
  :: a == CARRIES && LINK(1 - l) != CARRIES ->
    lead = NO_LANE;
    toResume = false
  :: else
  fi;
  a = 0
}

/* What went on a link that is lost, or taken for bad, goes again on another one. */
inline sendAgain() {
#ifndef NO_REWIND
  if
  :: !isStale -> rewind(0); rewind(1)
  :: else
  fi
#else
  skip
#endif
}

/* ── frames going out ────────────────────────────────────────────────────────────────────────────────────────────── */

#define HAS_ROOM(l) (LINK(l) == CARRIES && up[l] && len(OUT(l)) < DEPTH)
#define NEEDS(s) (x[s].needOpening || x[s].needWindow)
#define HAS_CONTROL(l) (lead == (l) && (NEEDS(0) || NEEDS(1) || toResume))

#define HAS_BYTE(s) (x[s].next < SIZE(s) && x[s].next < x[s].acked + CREDIT(s))
#define HAS_FIN(s) (x[s].next == SIZE(s) && !x[s].isFinSent)
/* OPEN and OPENED go before data: it stays on the link that leads until they are known to have arrived. */
#ifdef DATA_FIRST
#define MAY_SEND(l, s) (IS_SENDER(me, s) && x[s].life == LIVE && !isStale && (IS_OPENER(me, s) || x[s].isOpen))
#else
#define MAY_SEND(l, s) (IS_SENDER(me, s) && x[s].life == LIVE && !isStale && \
  (IS_OPENER(me, s) || x[s].isOpen) && (lead == (l) || x[s].isKnown))
#endif
#define HAS_DATA(l, s) (MAY_SEND(l, s) && (HAS_BYTE(s) || HAS_FIN(s)))

#define OUT_OPENING(s) (1 << (s))
#define OUT_LAST(s) (4 << (s))

inline putControl(l, s, frames) {
  if
  :: x[s].needOpening ->
    frames = frames | OPENING;
    out[l] = out[l] | OUT_OPENING(s);
    x[s].needOpening = false
  :: else
  fi;
  if
  :: x[s].needWindow ->
    frames = frames | WINDOW | (x[s].received << 5);
    if
    :: !IS_SENDER(me, s) && IS_RECEIVED(s) -> frames = frames + 32; out[l] = out[l] | OUT_LAST(s)
    :: else
    fi;
    x[s].needWindow = false;
#ifdef FORGET_SOON
    forgetIfDone(s)
#endif
  :: else
  fi
}

/* At most one byte, and FIN with the last one. */
inline putData(l, s, frames) {
  if
  :: MAY_SEND(l, s) && HAS_BYTE(s) ->
    frames = frames | DATA | (x[s].next << 2);
    x[s].next = x[s].next + 1
  :: else
  fi;
  if
  :: MAY_SEND(l, s) && HAS_FIN(s) ->
    frames = frames | FIN;
    x[s].isFinSent = true
  :: else
  fi
}

inline flush(l, withData) {
  kind = FRAMES;
  if
  :: lead == l ->
    putControl(l, 0, a);
    putControl(l, 1, b);
    if
    :: toResume -> kind = FRAMES_RESUMED; toResume = false
    :: else
    fi
  :: else
  fi;
  if
  :: withData ->
    putData(l, 0, a);
    putData(l, 1, b)
  :: else
  fi;
  OUT(l) ! kind, a, b;
  kind = 0; a = 0; b = 0
}

/* Control frames go at once, if they can. */
inline tell() {
  if
  :: lead == 0 && HAS_ROOM(0) && HAS_CONTROL(0) -> flush(0, false)
  :: lead == 1 && HAS_ROOM(1) && HAS_CONTROL(1) -> flush(1, false)
  :: else
  fi
}

/* All that was sent on the link has arrived, and LINKACK has come back. */
#define HAS_ARRIVED(l) (LINK(l) == CARRIES && up[l] && out[l] != 0 && empty(OUT(l)))

inline learn(l) {
  learnOf(l, 0);
  learnOf(l, 1);
  out[l] = 0
}

inline learnOf(l, s) {
  if
  :: x[s].life == LIVE ->
    x[s].isKnown = x[s].isKnown || (out[l] & OUT_OPENING(s));
    x[s].isLastKnown = x[s].isLastKnown || (out[l] & OUT_LAST(s));
    forgetIfDone(s)
  :: else
  fi
}

proctype Node(bit me) {
  Stream x[2];
  byte lead;          /* the slot that carries all but data; NO_LANE: the session is held */
  bool toResume;      /* RESUMED is to be sent, behind what the streams have to tell */
  bool isStale;       /* what was sent may be gone, and the peer has not said what it has */
  byte out[SLOTS];    /* openings and last WINDOWs that are not known to have arrived */
  /* The secret is named by the link that went into it last; those before it follow from that. */
  byte secret;
  byte candidates;    /* a bit for each link: the other node, what CONFIRM may commit to */
  byte past;          /* ... and what it has moved on from */
  mtype kind;
  byte a;
  byte b;

  d_step {
    if
    :: IS_OPENER(me, 0) -> x[0].life = LIVE; x[0].needOpening = true
    :: else
    fi;
    if
    :: IS_OPENER(me, 1) -> x[1].life = LIVE; x[1].needOpening = true
    :: else
    fi
  }
end:
  do
  /* a record */
  :: d_step { LINK(0) != GONE && nempty(IN(0)) -> take(0); tell() }
  :: d_step { LINK(1) != GONE && nempty(IN(1)) -> take(1); tell() }
  /* the loss of a link: this end is the first to see it, or the second one */
  :: d_step { LINK(0) != GONE && up[0] && losses > 0 -> losses = losses - 1; up[0] = false; lose(0); tell() }
  :: d_step { LINK(1) != GONE && up[1] && losses > 0 -> losses = losses - 1; up[1] = false; lose(1); tell() }
  :: d_step { LINK(0) != GONE && !up[0] -> lose(0); tell() }
  :: d_step { LINK(1) != GONE && !up[1] -> lose(1); tell() }
  /* the deciding node asks, one link at a time */
  :: d_step { me == DECIDER && LINK(0) == WAITS && LINK(1) != ASKED && up[0] -> LINK(0) = ASKED; OUT(0) ! ATTACH, secret, 0 }
  :: d_step { me == DECIDER && LINK(1) == WAITS && LINK(0) != ASKED && up[1] -> LINK(1) = ASKED; OUT(1) ! ATTACH, secret, 0 }
  /* the target of a stream has answered */
  :: d_step { !IS_OPENER(me, 0) && x[0].life == LIVE && !x[0].isOpen -> x[0].isOpen = true; x[0].needOpening = true; tell() }
  :: d_step { !IS_OPENER(me, 1) && x[1].life == LIVE && !x[1].isOpen -> x[1].isOpen = true; x[1].needOpening = true; tell() }
  /* control frames that found no room, and data */
  :: d_step { HAS_ROOM(0) && HAS_CONTROL(0) -> flush(0, false) }
  :: d_step { HAS_ROOM(1) && HAS_CONTROL(1) -> flush(1, false) }
  :: d_step { HAS_ROOM(0) && (HAS_DATA(0, 0) || HAS_DATA(0, 1)) -> flush(0, true) }
  :: d_step { HAS_ROOM(1) && (HAS_DATA(1, 0) || HAS_DATA(1, 1)) -> flush(1, true) }
  :: d_step { HAS_ARRIVED(0) -> learn(0) }
  :: d_step { HAS_ARRIVED(1) -> learn(1) }
  /* a link is taken for bad: another one leads, what it may have lost goes again; it may be good all the same */
  :: d_step { trouble > 0 && LINK(0) == CARRIES && LINK(1) == CARRIES ->
      trouble = trouble - 1; a = 1 - lead; leadBy(a); sendAgain(); a = 0; tell() }
  od
}

/* ── the path, and whoever dials ─────────────────────────────────────────────────────────────────────────────────── */

#define IS_FREE(l) (link[l] == GONE && link[2 + l] == GONE)

inline dial(l) {
  assert(conns < 1 + LOSSES + EXTRA);   /* nobody but the path ends a link that carries the session */
  up[l] = true;
  conn[l] = conns;
  conns = conns + 1;
  link[l] = WAITS;
  link[2 + l] = WAITS
}

active proctype Path() {
  /* The session has begun on a first link. */
  atomic {
    dial(0);
    link[0] = CARRIES;
    link[2] = CARRIES;
    run Node(DECIDER);
    run Node(OTHER)
  }
  do
  :: d_step { !up[0] && !up[1] && IS_FREE(0) -> dial(0) }
  :: d_step { !up[0] && !up[1] && !IS_FREE(0) && IS_FREE(1) -> dial(1) }
  :: d_step { up[0] && extra > 0 && IS_FREE(1) -> extra = extra - 1; dial(1) }
  :: d_step { up[1] && extra > 0 && IS_FREE(0) -> extra = extra - 1; dial(0) }
  /* From here on nothing happens to the links any more: what is stuck now stays so. */
  :: d_step { losses + extra + trouble > 0 -> losses = 0; extra = 0; trouble = 0 }
  :: timeout -> break
  od;
  /* Nobody has anything left to do. */
  assert(forgotten == 4)
}
