// Every word that the script says. Short, true, second person; the number if there is one.

import type { LineView } from "./state.js";

export const words = {
  strip: {
    none: "No machine yet",
    waiting: "In line for a machine",
    starting: "Starting your machine",
    connecting: "Connecting",
    connected: "Connected",
    lost: "Not connected",
    ended: "No machine",
  },
  wait: {
    starting: { title: "Starting your machine", text: "It takes about a second.", soFar: (seconds: number) => ` ${seconds} s so far.` },
    failed: { title: "Your machine did not start", again: "Try again" },
    ended: { title: "This machine has ended", text: "Its files went with it. Your progress stays.", again: "Start a fresh one", begin: "Start the machine" },
    lost: { title: "Your machine ended by itself", again: "Start a fresh one" },
    never: { title: "No machine for this lesson", text: "The text can be read all the same." },
    refused: { title: "No machine", again: "Try again", tooMany: "You have enough machines", instead: (title: string) => `End “${title}”, start this one` },
    /** Which steps stay passed. */
    kept: (steps: number[]) => (steps.length === 0 ? "" : `Kept: ${steps.length === 1 ? "step" : "steps"} ${list(steps)} passed.`),
  },
  line: {
    saying: (line: LineView | null): { title: string; text: string; kept?: string } => {
      if (!line) return { title: "Every machine is taken", text: "You are in line." };
      if (line.offered) return { title: "A berth is free", text: "Yours is being opened." };
      const taken = line.capacity > 1 ? `All ${line.capacity} berths are taken.` : "No berth is free.";
      const how = `It starts by itself; read on meanwhile.`;
      return {
        title: `The quay is full.\nYou are ${line.place === 1 ? "next" : ordinal(line.place)} in line.`,
        text: `${taken} ${opens(line)} ${how}`,
        kept: `You may close this page: your place is kept for ${length(line.kept_ms)}. When your turn comes, your machine waits ${length(line.held_ms)} for you.`,
      };
    },
    berth: (place: number) => (place === 1 ? "next" : ordinal(place)),
    you: "you",
    leave: "Leave the line",
  },
  time: {
    adds: (ms: number) => `Adds ${length(ms)}`,
    noMore: "no more to add",
    all: (ms: number) => `${length(ms)} is the most that a machine can have`,
    closing: "This machine closes in",
    closingText: "Files and terminals go with it. Your progress stays.",
    closingMost: (ms: number) => `Files and terminals go with it. Your progress stays. It had ${length(ms)}, the most there is; a fresh one can be started then.`,
    extendBy: (ms: number) => `Extend by ${short(ms)}`,
    notAdded: "No time was added",
    unreachable: "The server did not answer. Try again in a moment.",
    added: (left: string) => `Extended: ${left} left.`,
    aloud: { two: "This machine closes in two minutes.", one: "This machine closes in one minute.", ten: "This machine closes in ten seconds." },
  },
  note: {
    lostTitle: "Connection lost",
    lostText: "Your machine goes on running and keeps every line.",
    /** Beside the title, and unheard: it changes every second. */
    lostCount: (seconds: number) => (seconds > 0 ? `, next try in ${seconds} s` : ", trying"),
    tryNow: "Try now",
    close: "Close",
    reload: "Reload",
    preparing: "Preparing your machine",
    preparingPage: "Preparing this page",
    preparingText: "You can type already, but not everything is there yet.",
    scriptFailed: (script: string) => `The ${script} script failed`,
    scriptFailedText: "Some of what this page needs may be missing. Its last output:",
    dropped: (bytes: number) => ({
      title: "Not everything you typed arrived",
      text: `${count(bytes)} typed before the connection was lost were dropped, as they were too old to send again.`,
    }),
    tooMuch: (bytes: number, limit: number) => ({
      title: "Too much to paste at once",
      text: `${count(bytes)} do not fit: the terminal takes ${count(limit)} at a time. Nothing of it was sent.`,
    }),
    imagePreparing: (doing: string, done: number, total: number) => ({
      title: "A fuller machine is being prepared",
      text: total > 0 ? `${doing}, ${done} of ${total}. You can work in this one meanwhile.` : `${doing}. You can work in this one meanwhile.`,
    }),
    imageReady: {
      title: "The fuller machine is ready",
      text: "This one goes on as it is, with everything in it.",
    },
    changeTo: "Change to it",
    imageFailed: { title: "The fuller machine could not be prepared" },
    pageUnreachable: {
      title: "The next page did not come",
      text: "The server did not answer. Your machine goes on; try the link again in a moment.",
    },
    notRestarted: "No fresh machine",
    sheetUnreachable: {
      title: "This did not come",
      text: "The server did not answer. Your machine goes on; try again in a moment.",
    },
    refused: "The server does not speak to this page any more. Reload it; your machine keeps everything.",
  },
  terminal: {
    name: (n: number) => `Terminal ${n}`,
    short: (n: number) => `T${n}`,
    newOutput: ", new output",
    ended: ", its shell has ended",
    shellEnded: (status: number) => `The shell ended${status === 0 ? "" : ` (exit ${status})`}. Enter starts another.`,
    lost: (bytes: number) => `${count(bytes)} of output before this are gone`,
    bell: ", the bell rang",
    looking: "In the size of another window. Type here to use this one.",
    openLink: (target: string) => `This link leads to\n\n${target}\n\nOpen it in a new tab?`,
    noLink: (target: string) => `Not opened: ${target}`,
    pasteLines: (lines: number) => `Paste ${lines} lines? This program runs each line as soon as it is pasted. You are asked only once.`,
  },
  clipboard: {
    copied: (letters: number) => ({ title: "Copied by the terminal", text: `A program put ${letters.toLocaleString("en")} ${letters === 1 ? "letter" : "letters"} into your clipboard.` }),
    refused: { title: "Nothing was copied", text: "A program wanted to put text into your clipboard. Press a key in the terminal first, then let it try again." },
    tooMuch: { title: "Nothing was copied", text: "A program wanted to put more than 100 kB into your clipboard." },
  },
  split: {
    row: "Two terminals side by side",
    column: "Two terminals above each other",
    one: "One terminal again",
    edge: "Border between the terminals; arrow keys move it",
  },
  find: {
    none: "nothing found",
    count: (at: number, of: number) => (at > 0 ? `${at} of ${of}` : `${of} found`),
    many: (most: number) => `more than ${most}`,
  },
  transcript: {
    title: (n: number) => `Terminal ${n} as text`,
    lines: (lines: number) => `${lines.toLocaleString("en")} ${lines === 1 ? "line" : "lines"}`,
    empty: "Nothing has been printed yet.",
    copy: "Copy all",
    copied: "Copied",
    notCopied: "Could not copy; select the text instead",
  },
  action: {
    run: "Run",
    again: "Again",
    copy: "Copy",
    copied: "copied",
    notCopied: "could not copy",
    queued: "waits for the prompt",
    running: "running",
    sent: "sent",
    done: (time: string) => time,
    failed: (code: number) => `exit ${code}`,
    refused: "not typed",
    off: {
      machine: "comes with your machine",
      connection: "waits for the connection",
      screen: "a program fills the screen",
    },
  },
  check: {
    check: "Check",
    again: "Check again",
    stop: "Stop",
    all: "All of it",
    less: "Less of it",
    says: {
      idle: ["Your turn.", "Do it in the terminal, then check. The check only looks; it changes nothing."],
      none: ["Nothing to check here.", "Go on when you are ready."],
      question: ["A question is open.", "Answer it in the text, or go on and come back to it."],
      questions: ["Questions are open.", "Answer them in the text, or go on and come back to them."],
      answered: ["All answered.", "Go on when you are ready."],
      waiting: ["Reading is open.", "Run and Check come with your machine."],
      never: ["Reading is open.", "Run and Check need a machine, which this lesson cannot have here."],
      off: ["Run and Check wait for the connection.", "Reading goes on."],
      running: ["Checking", "You can go on typing."],
      failed: ["Not yet.", ""],
      failedWith: ["Not yet. The check says:", ""],
      broken: ["The check could not run.", ""],
      stopped: ["Stopped.", "The check was ended before it had an answer."],
      before: ["Passed.", "You can go on, or check again."],
    } satisfies Record<string, [string, string]>,
    passed: (seconds: number) => `Passed in ${seconds < 10 ? Math.max(seconds, 0.1).toFixed(1) : Math.round(seconds)} s.`,
    unreachable: "The server did not answer. Your machine goes on; check again in a moment.",
  },
  quiz: {
    nothing: "Choose or write an answer first.",
    unreachable: "The server did not answer. Try again in a moment.",
  },
  file: {
    reload: "Reload",
    close: "Close",
    content: "The file’s text",
    whole: (size: number) => count(size),
    part: (size: number) => `the beginning of ${count(size)}`,
    empty: "empty",
    binary: (size: number) => `${count(size)}, and not a text`,
    unreachable: "The server did not answer. Your machine goes on; try again in a moment.",
    writing: "writing",
    written: "written",
    notWritten: "not written",
    notWrittenTitle: (file: string) => `${file} was not written`,
  },
  change: "Change to the fuller machine? This one ends, and its files and terminals go with it. Your progress stays.",
  afresh: "Start afresh with a new machine? This one ends, and its files, terminals and programs go with it. Your progress and your time stay, and the lesson prepares the new one up to this page.",
  leave: "End this machine? Its files and terminals go with it. Your progress stays.",
  sheet: { unreachable: "The server did not answer. Nothing was changed; try again in a moment." },
  passedStep: (step: string) => `Step ${step}, passed`,
  seconds: (n: number) => `, ${n} s`,
};

/** How long until a place is free, as far as that is known. */
function opens({ from_minutes, to_minutes }: LineView): string {
  if (to_minutes === null) return "When one is freed cannot be known yet.";
  if (from_minutes === null) return `One opens for you within ${minutes(to_minutes)} if nobody asks for more time, and sooner if somebody leaves.`;
  if (from_minutes === 0) return `Yours should open within ${minutes(to_minutes)}.`;
  return `Yours should open in ${from_minutes} to ${minutes(to_minutes)}.`;
}

function minutes(n: number): string {
  return n === 1 ? "1 minute" : `${n} minutes`;
}

/** A length of time in words. */
function length(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120 && seconds !== 60) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  if (seconds >= 7200 && seconds % 3600 === 0) return `${seconds / 3600} hours`;
  return minutes(Math.round(seconds / 60));
}

function short(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** 1, 2 and 4 */
function list(numbers: number[]): string {
  return numbers.length < 2 ? numbers.join("") : `${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}`;
}

function ordinal(n: number): string {
  const small = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];
  const last = n % 100 > 10 && n % 100 < 20 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return small[n] ?? `${n}${last}`;
}

function count(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes.toLocaleString("en")} bytes`;
}
