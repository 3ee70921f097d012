//! Whole Dockerfiles: golden folders in `testdata`, every message, and what no bytes can do.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// Everything that was read, as people can check it.
fn show(bytes: &[u8]) -> String {
    let dockerfile = match parse(bytes) {
        Ok(dockerfile) => dockerfile,
        Err(problem) => return format!("{problem}\n"),
    };
    let mut out = String::new();
    let mut step = |step: &Step| {
        let Span { start, end } = step.at;
        let instruction = serde_json::to_string(&step.instruction).unwrap();
        writeln!(out, "{}:{}-{}:{} {instruction}", start.line, start.column, end.line, end.column).unwrap();
    };
    dockerfile.globals.iter().for_each(&mut step);
    for stage in &dockerfile.stages {
        step(&stage.step);
        stage.steps.iter().for_each(&mut step);
    }
    for warning in &dockerfile.warnings {
        writeln!(out, "{warning}").unwrap();
    }
    out
}

#[test]
fn every_case_is_read_as_expected() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/build/testdata");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 6, "{cases:?}");
    for case in cases {
        let read = show(&fs::read(case.join("Dockerfile")).unwrap());
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("expected", read));
    }
}

#[test]
fn every_mistake_has_a_message_with_its_place() {
    let mistakes = [
        "",
        "# only a comment\n",
        "RUN echo\n",
        "ARG A=1\n",
        "FROM a\nRUNN echo",
        "FROM a\nINCLUDE b",
        "FROM",
        "FROM a b",
        "FROM a AS 1st",
        "FROM --platfrom=linux/amd64 a",
        "FROM --platform a",
        "FROM a\nCOPY b",
        "FROM a\nCOPY --form=b c d",
        "FROM a\nCOPY --link=perhaps c d",
        "FROM a\nCOPY --chown=a --chown=b c d",
        "FROM a\nCOPY --from=$X c d",
        "FROM a\nCOPY <<EOF /x\nhello",
        "FROM a\nCOPY a <<EOF\nEOF",
        "FROM a\nENV PATH",
        "FROM a\nENV a=b c",
        "FROM a\nENV =b",
        "FROM a\nARG",
        "FROM a\nARG =1",
        "FROM a\nLABEL",
        "FROM a\nWORKDIR",
        "FROM a\nWORKDIR --x /a",
        "FROM a\nVOLUME [\"\"]",
        "FROM a\nEXPOSE http",
        "FROM a\nEXPOSE 80/icmp",
        "FROM a\nSHELL bash -c",
        "FROM a\nCMD [\"a\", 1]",
        "FROM a\nHEALTHCHECK",
        "FROM a\nHEALTHCHECK curl localhost",
        "FROM a\nHEALTHCHECK CMD",
        "FROM a\nHEALTHCHECK NONE x",
        "FROM a\nHEALTHCHECK --interval=30 CMD x",
        "FROM a\nHEALTHCHECK --timeout=1us CMD x",
        "FROM a\nHEALTHCHECK --retries=-1 CMD x",
        "FROM a\nONBUILD FROM b",
        "FROM a\nONBUILD",
        "FROM a\nONBUILD ONBUILD RUN x",
        "FROM a\nONBUILD RUN <<EOF\nx",
        "FROM a\nRUN --network=nope x",
        "FROM a\nRUN --security=none x",
        "FROM a\nRUN --mount=type=cahce,target=/x y",
        "FROM a\nRUN --mount=from=$A,target=/x y",
        "FROM a\nRUN \\\n  --mount=type=bind,mode=7 \\\n  x",
        "# escape=x\nFROM a",
        "FROM a\n\\",
    ];
    let shown: String = mistakes
        .iter()
        .map(|mistake| match parse(mistake.as_bytes()) {
            Ok(_) => panic!("{mistake:?} was read"),
            Err(problem) => format!("{problem}\n\n"),
        })
        .collect();
    insta::assert_snapshot!("mistakes", shown);
}

#[test]
fn files_and_instructions_have_a_greatest_number() {
    let large = format!("FROM a\n#{}\n", "x".repeat(60)).repeat(20_000);
    assert!(parse(large.as_bytes()).unwrap_err().message.contains("too large"));
    let many = "FROM a\n".repeat(syntax::INSTRUCTIONS_MAX + 1);
    assert_eq!(parse(many.as_bytes()).unwrap_err().message, "more than 4096 instructions");
    assert!(parse("FROM a\n".repeat(syntax::INSTRUCTIONS_MAX).as_bytes()).is_ok());
}

#[test]
fn a_trigger_is_one_instruction() {
    let step = parse_trigger("RUN <<EOF\necho $A\nEOF").unwrap();
    assert_eq!(step.instruction.to_string(), "RUN <<EOF\necho $A\nEOF");
    assert!(parse_trigger("RUN a\nRUN b").unwrap_err().message.contains("one instruction"));
    assert!(parse_trigger("FROM a").unwrap_err().message.contains("cannot be a trigger"));
    assert!(parse_trigger("").is_err());
}

#[test]
fn odd_instructions_are_written_down_so_that_they_are_read_as_the_same() {
    for line in ["VOLUME [\"\\\\\"]", "COPY [\"a<<b\", \"--c\", \"\"]", "CMD -- --version", "RUN <<EOF\nEOFF\nEOF"] {
        let read = |text: &str| parse(format!("FROM a\n{text}\n").as_bytes()).unwrap().stages[0].steps[0].clone();
        let first = read(line).instruction;
        assert_eq!(read(&first.to_string()).instruction, first, "{line}");
    }
}

/// Words that mean the same with and without quotes around them.
fn plain() -> impl Strategy<Value = String> + Clone {
    "[a-z$][a-z0-9./{}:-]{0,8}"
}

fn line() -> impl Strategy<Value = String> {
    let pair =
        (plain(), "[a-z0-9]{0,5}|\"[a-z $']{0,6}\"|'[a-z \"]{0,6}'").prop_map(|(key, value)| format!("{key}={value}"));
    let pairs = prop::collection::vec(pair, 1..4).prop_map(|pairs| pairs.join(" "));
    let strings =
        prop::collection::vec("[ -~]{0,8}", 1..4).prop_map(|strings| serde_json::to_string(&strings).unwrap());
    let command = prop_oneof![strings.clone(), "[a-z][a-z $'\"&|;]{0,20}[a-z]"];
    let flags = prop::sample::subsequence(
        vec!["--link", "--chown=a:b", "--chmod=0755", "--exclude=*.md", "--exclude=\"a b\""],
        0..5,
    )
    .prop_map(|flags| flags.join(" "));
    let mounts = prop::sample::subsequence(
        vec![
            "--mount=type=cache,target=/c,sharing=locked",
            "--mount=type=bind,from=x,target=$T",
            "--mount=type=secret,id=s,env=S",
            "--mount=type=tmpfs,\"target=/a,b\"",
            "--network=none",
            "--security=insecure",
        ],
        0..6,
    )
    .prop_map(|flags| flags.join(" "));
    prop_oneof![
        pairs.clone().prop_map(|pairs| format!("ENV {pairs}")),
        pairs.clone().prop_map(|pairs| format!("LABEL {pairs}")),
        pairs.prop_map(|pairs| format!("ARG {pairs} only")),
        (mounts, command.clone()).prop_map(|(flags, command)| format!("RUN {flags} {command}")),
        command.clone().prop_map(|command| format!("CMD {command}")),
        command.clone().prop_map(|command| format!("HEALTHCHECK --interval=1m30s --retries=3 CMD {command}")),
        (flags, plain(), plain()).prop_map(|(flags, from, to)| format!("COPY {flags} {from} {to}")),
        strings.prop_map(|strings| format!("VOLUME {}", strings.replace("\"\"", "\"x\"").replace("\" ", "\"x"))),
        plain().prop_map(|word| format!("WORKDIR {word}")),
        (1u16..9, 9u16..20).prop_map(|(from, to)| format!("EXPOSE {from}-{to}/udp 80")),
        "[a-z $\n]{0,20}".prop_map(|body| format!("COPY <<X <<\"Y\" /z/\n{body}\nX\n{body}\nY")),
        "[a-z $\n]{0,20}".prop_map(|body| format!("RUN <<X\n{body}\nX")),
        "[a-z $\n]{0,20}".prop_map(|body| format!("RUN cat <<X <<-'Y Z'\n{body}\nX\n\t{body}\n\tY Z")),
        command.prop_map(|command| format!("ONBUILD RUN {command}")),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(parse(&bytes));
    }

    #[test]
    fn any_words_of_a_dockerfile_are_read_or_refused(
        words in prop::collection::vec(prop_oneof![
            prop::sample::select(instruction::NAMES.to_vec()).prop_map(str::to_owned),
            prop::sample::select(vec![
                "\n", "\\\n", " ", "\t", "#", "<<EOF", "<<-'E F'", "EOF\n", "[\"a\", \"b\"]", "[", "--mount=type=cache",
                "--from=", "--", "=", "$x", "${x:-", "}", "\"", "'", "\\", "ü", "\r\n", "# escape=`\n", "`\n", "NONE", "CMD",
            ]).prop_map(str::to_owned),
            "[a-z]{1,4}",
        ], 0..60),
    ) {
        let text = format!("FROM a\n{}", words.concat());
        drop(parse(text.as_bytes()));
        drop(parse(words.join(" ").as_bytes()));
    }

    #[test]
    fn what_is_written_down_is_read_as_the_same(line in line()) {
        let read = |text: &str| parse(format!("FROM a\n{text}\n").as_bytes());
        let Ok(first) = read(&line) else { return Ok(()) };
        let written = first.stages[0].steps[0].instruction.to_string();
        let second = read(&written).map_err(|problem| TestCaseError::fail(format!("{written}\n{problem}")))?;
        prop_assert_eq!(&first.stages[0].steps[0].instruction, &second.stages[0].steps[0].instruction, "{}", written);
    }
}
