// Every word that the script says. Short, true, second person; the number if there is one.

export const words = {
  strip: {
    none: "No machine yet",
    starting: "Starting your machine",
    connecting: "Connecting",
    connected: "Connected",
    lost: "Not connected",
    ended: "No machine",
  },
  wait: {
    starting: { title: "Starting your machine", text: "It takes about a second.", soFar: (seconds: number) => ` ${seconds} s so far.` },
    failed: { title: "Your machine did not start", again: "Try again" },
    ended: { title: "This machine has ended", text: "Its files went with it. Your progress stays.", again: "Start a new one" },
    refused: { title: "No machine", again: "Try again" },
  },
  note: {
    lost: (tries: number) => (tries < 2 ? "" : `, the ${ordinal(tries)}`),
    lostTitle: "Connection lost",
    lostText: (seconds: number, tries: number) =>
      seconds > 0
        ? `Your machine goes on running and keeps every line. Next try in ${seconds} s${words.note.lost(tries)}.`
        : `Your machine goes on running and keeps every line. Trying${words.note.lost(tries)}.`,
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
  change: "Change to the fuller machine? This one ends, and its files and terminals go with it. Your progress stays.",
  leave: "End this machine? Its files and terminals go with it. Your progress stays.",
  sheet: { unreachable: "The server did not answer. Nothing was changed; try again in a moment." },
  passedStep: (step: string) => `Step ${step}, passed`,
  seconds: (n: number) => `, ${n} s`,
};

function ordinal(n: number): string {
  const small = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];
  return small[n] ?? `${n}th`;
}

function count(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes.toLocaleString("en")} bytes`;
}
