//! Stories about variables: who sees which, and who wins.

use proptest::prelude::*;

use super::*;
use crate::build::instruction::Instruction;
use crate::build::parse;

fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    Platform { os: part(), architecture: part(), variant: part() }
}

fn inputs(arguments: &[(&str, &str)]) -> Inputs {
    Inputs {
        arguments: arguments.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        target: None,
        build_platform: platform("linux/amd64"),
        target_platform: platform("linux/arm/v7"),
    }
}

/// The last stage's instructions expanded, or why not; then its environment and arguments, then warnings.
fn build(text: &str, arguments: &[(&str, &str)], base: &[(&str, &str)]) -> String {
    let dockerfile = parse(text.as_bytes()).unwrap();
    let mut out = Vec::new();
    let globals = match Globals::new(&dockerfile, &inputs(arguments)) {
        Ok(globals) => globals,
        Err(problem) => return problem.to_string(),
    };
    let owned =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut scope = Scope::new(&globals, owned(base));
    let mut warnings = Vec::new();
    for step in &dockerfile.stages.last().unwrap().steps {
        match scope.apply(step) {
            Ok(applied) => {
                out.push(applied.instruction.to_string());
                warnings.extend(applied.warnings.iter().map(|warning| format!("! {warning}")));
            }
            Err(problem) => return dockerfile.source.quote(problem).to_string(),
        }
    }
    let show = |(name, value): (&str, &str)| format!("{name}={value}");
    let environment = scope.environment().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    out.push(format!("env {}", environment.map(show).collect::<Vec<_>>().join(" ")));
    out.push(format!("arg {}", scope.arguments().map(show).collect::<Vec<_>>().join(" ")));
    out.extend(warnings);
    out.join("\n")
}

#[test]
fn a_global_argument_is_seen_by_from_and_by_who_declares_it_again() {
    let text = "ARG V=1\nARG W=$V.2\nFROM a:$W\nENV before=$V\nARG V\nARG W=own\nENV after=$V-$W";
    insta::assert_snapshot!(build(text, &[], &[]), @r"
    ENV before=
    ARG V=1
    ARG W=own
    ENV after=1-own
    env before= after=1-own
    arg V=1 W=own
    ! line 4: nothing has set $V; an ARG above FROM must be declared again: ARG V (UndefinedVar)
    ");
    let dockerfile = parse(text.as_bytes()).unwrap();
    let globals = Globals::new(&dockerfile, &inputs(&[("V", "9")])).unwrap();
    assert_eq!(globals.expand(&dockerfile.stages[0].from.base).unwrap().text, "a:9.2");
}

#[test]
fn what_is_given_wins_over_a_default_and_is_nothing_without_an_arg() {
    insta::assert_snapshot!(build("FROM a\nARG A=1\nARG B=${A}2 C=$B\nUSER $A$B$C$D", &[("A", "x"), ("D", "y")], &[]), @r"
    ARG A=x
    ARG B=x2 C=x2
    USER xx2x2
    env 
    arg A=x B=x2 C=x2
    ! line 4: nothing has set $D (UndefinedVar)
    ");
}

#[test]
fn the_environment_wins_over_an_argument_before_or_behind_it() {
    insta::assert_snapshot!(build("FROM a\nARG A=arg\nENV A=env\nARG A=again\nARG P=arg\nUSER $A$P", &[], &[("P", "base")]), @r"
    ARG A=arg
    ENV A=env
    ARG A=again
    ARG P=arg
    USER envbase
    env P=base A=env
    arg 
    ");
}

#[test]
fn values_of_one_env_do_not_see_each_other_and_those_of_one_arg_do() {
    insta::assert_snapshot!(build("FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\nARG x=1 y=$x", &[], &[]), @r"
    ENV abc=hello
    ENV abc=bye def=hello
    ENV ghi=bye
    ARG x=1 y=1
    env abc=bye def=hello ghi=bye
    arg x=1 y=1
    ");
}

#[test]
fn each_instruction_expands_what_docker_expands() {
    let text = r#"FROM a
ENV H=/h P="a b" N=80 L='$N'
RUN --mount=type=cache,target=$H/c echo $H
CMD echo $H
ENTRYPOINT ["$H"]
COPY --chown=$N --chmod=$N --exclude=$N $H/x "$P" /t$N/
ADD --checksum=$N ["$P", "$H"]
VOLUME $H ["x"]
EXPOSE $N $P_${N}1-9000
WORKDIR $H/\$x
USER "$P"
STOPSIGNAL $N
LABEL "k $N"="$P" q='$P'
HEALTHCHECK CMD $H
ONBUILD RUN echo $H
SHELL ["$H"]"#;
    let text = text.replace("$P_${N}1-9000", "${N}1-9000");
    insta::assert_snapshot!(build(&text, &[], &[]));
}

#[test]
fn a_heredoc_is_expanded_for_copy_unless_its_delimiter_is_quoted_and_never_for_run() {
    let text = "FROM a\nENV X=1\nCOPY <<A <<'B' /t/\n\"$X\" \\$X 'q'\nA\n$X\nB\nRUN <<C\necho $X\nC";
    insta::assert_snapshot!(build(text, &[], &[]));
}

#[test]
fn platform_arguments_are_global_and_need_an_arg_in_a_stage() {
    insta::assert_snapshot!(build("FROM a\nARG TARGETPLATFORM\nARG TARGETARCH TARGETVARIANT BUILDPLATFORM\nUSER $TARGETOS.", &[], &[]), @r"
    ARG TARGETPLATFORM=linux/arm/v7
    ARG TARGETARCH=arm TARGETVARIANT=v7 BUILDPLATFORM=linux/amd64
    USER .
    env 
    arg TARGETPLATFORM=linux/arm/v7 TARGETARCH=arm TARGETVARIANT=v7 BUILDPLATFORM=linux/amd64
    ! line 4: nothing has set $TARGETOS; an ARG above FROM must be declared again: ARG TARGETOS (UndefinedVar)
    ");
}

#[test]
fn proxies_need_no_arg_and_are_no_arguments() {
    let dockerfile = parse(b"FROM a").unwrap();
    let globals = Globals::new(&dockerfile, &inputs(&[("http_proxy", "p"), ("X", "y")])).unwrap();
    assert_eq!(globals.proxies().collect::<Vec<_>>(), [("http_proxy", "p")]);
    assert_eq!(Scope::new(&globals, Vec::new()).arguments().count(), 0);
}

#[test]
fn what_cannot_be_expanded_says_where_and_why() {
    insta::assert_snapshot!(build("FROM a\nENV a=1 \\\n    b=\"${c:?set c with --build-arg}\"", &[], &[]), @r#"
    line 3, column 7: cannot expand "${c:?set c with --build-arg}": c: set c with --build-arg
      3 |     b="${c:?set c with --build-arg}"
        |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_value_cannot_double_for_ever() {
    let doubling = "ENV x=$x$x\n".repeat(40);
    let shown = build(&format!("FROM a\nENV x=0123456789\n{doubling}"), &[], &[]);
    assert!(shown.contains("it becomes longer than 131071 bytes"), "{shown}");
    let many: String = (0..VARIABLES_MAX).map(|n| format!("ENV a{n}=1\n")).collect();
    assert!(build(&format!("FROM a\n{many}ENV one=more\n"), &[], &[]).contains("more than 1024 variables"));
    let large: String = (0..20).map(|n| format!("ENV a{n}=$x$x$x$x\n")).collect();
    assert!(
        build(&format!("FROM a\nENV x={}\n{large}", "x".repeat(30_000)), &[], &[])
            .contains("larger than 2097152 bytes")
    );
}

proptest! {
    #[test]
    fn expanding_anything_ends(words in prop::collection::vec("[$ab{}:+?/%# \"'\\\\-]{1,12}", 1..8)) {
        let lines: String = words.iter().map(|word| format!("ENV a=$a{word}\nLABEL b={word}\nCOPY {word} b\nEXPOSE {word}$\n")).collect();
        let Ok(dockerfile) = parse(format!("FROM a\n{lines}").as_bytes()) else { return Ok(()) };
        let globals = Globals::new(&dockerfile, &inputs(&[])).unwrap();
        let mut scope = Scope::new(&globals, Vec::new());
        for step in &dockerfile.stages[0].steps {
            if let Ok(Applied { instruction: Instruction::Env(pairs), .. }) = scope.apply(step) {
                prop_assert!(pairs.iter().all(|pair| pair.value.text.len() <= VALUE_MAX_BYTES));
            }
        }
    }
}
