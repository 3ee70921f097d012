// What the page knows, in one place. Modules read it, are told when it changes, and draw themselves from it.

export interface Environment {
  image: string;
  hostname: string;
  address: string;
  note: string | null;
}

export interface Phase {
  is: "waiting" | "starting" | "preparing" | "ready" | "lost" | "failed" | "ended";
  /** Which machine of the session it is about, from 1; 0: the server does not know yet. */
  generation: number;
  since_ms: number;
  message: string | null;
  output: string | null;
}

/** How long there is a machine, in lengths of time. */
export interface TimeView {
  left_ms: number;
  /** What the next Extend adds; 0: nothing more can be had. */
  more_ms: number;
  /** What a machine can have in all. */
  most_ms: number;
}

/** Where the learner stands in line. */
export interface LineView {
  /** 1 is next. */
  place: number;
  of: number;
  /** Machines that there may be at once; 0: not known yet. */
  capacity: number;
  /** Both, one or neither is known. */
  from_minutes: number | null;
  to_minutes: number | null;
  /** A place is free. */
  offered: boolean;
  /** How long the place is kept for who closes the page, and a free machine for who is not here. */
  kept_ms: number;
  held_ms: number;
}

/** A session that may be ended for the one that was asked for. */
export interface Offer {
  session: string;
  title: string;
}

/** A session as the server tells it. */
export interface SessionView {
  id: string;
  course: string;
  scenario: string;
  phase: Phase;
  page: string;
  passed: number[];
  terminals: number[];
  environment: Environment;
  time: TimeView | null;
  line: LineView | null;
}

/** A check as the server tells it. */
export interface CheckView {
  step: number;
  is: "running" | "passed" | "failed" | "broken" | "stopped";
  words: string;
  seconds: number;
}

/** What the server wrote into the page for this script. */
export interface Boot {
  base: string;
  course: string;
  scenario: string;
  page: string;
  /** The page has a check, and it has passed before. */
  check: boolean;
  passed: boolean;
  /** The scenario can be played here. */
  playable: boolean;
  session: SessionView | null;
}

export interface State {
  boot: Boot;
  session: SessionView | null;
  phase: Phase | null;
  /** Why there is no session, in the server's words. */
  refusal: string | null;
  /** What the learner can end to get on. */
  offer: Offer | null;
  /** By this browser's clock. */
  time: { endsAt: number; moreMs: number; mostMs: number } | null;
  line: LineView | null;
  /** What is lost and when it is tried again; null: every connection stands. */
  lost: { nextAt: number; tries: number } | null;
  /** The terminal in front is attached to its shell. */
  attached: boolean;
  /** A program in front fills the screen (vim, less): a command typed into it would not be one. */
  fullScreen: boolean;
  /** The answer of the last check on this page. */
  check: CheckView | null;
}

export class Store {
  private readonly watchers: ((state: State) => void)[] = [];
  private telling = false;
  private stale = false;

  constructor(private current: State) {}

  get state(): State {
    return this.current;
  }

  /** A watcher may update as well: then all are told again, once the round is over. */
  update(change: Partial<State>): void {
    this.current = { ...this.current, ...change };
    this.stale = true;
    if (this.telling) return;
    this.telling = true;
    try {
      while (this.stale) {
        this.stale = false;
        for (const watcher of this.watchers) watcher(this.current);
      }
    } finally {
      this.telling = false;
    }
  }

  /** Calls `watcher` now and after every change. */
  watch(watcher: (state: State) => void): void {
    this.watchers.push(watcher);
    watcher(this.current);
  }
}

export function initial(boot: Boot): State {
  return {
    boot,
    session: null,
    phase: null,
    refusal: null,
    offer: null,
    time: null,
    line: null,
    lost: null,
    attached: false,
    fullScreen: false,
    check: null,
  };
}

/** Something runs that can be typed into. */
export function hasMachine({ phase }: State): boolean {
  return phase?.is === "ready" || phase?.is === "preparing";
}

/** The session is over for good. */
export function isOver({ phase }: State): boolean {
  return phase?.is === "ended" || phase?.is === "failed";
}

/** Why Run and Check are off, or null. */
export function obstacle(state: State): "machine" | "connection" | null {
  if (!hasMachine(state)) return "machine";
  return state.lost ? "connection" : null;
}
