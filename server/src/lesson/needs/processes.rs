//! A list of processes of which more lines are wanted than a machine has processes.

/// What runs in a machine that nobody has done anything in: its first process, a log, cron, a shell, `ps` itself.
/// A lesson that wants a few lines more than these makes them itself.
const FEW: u32 = 8;

/// How many lines `ps … | head -n 15` wants, where that is more than there will be.
pub fn lines_wanted(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let wanted = lines.flat_map(|line| {
        let stages: Vec<&str> = line.split('|').map(str::trim).collect();
        let piped = stages.windows(2).filter(|pair| is_list_of_all(pair[0])).map(|pair| lines_of_head(pair[1]));
        piped.flatten().collect::<Vec<u32>>()
    });
    wanted.filter(|lines| *lines > FEW).map(|lines| lines.to_string()).collect()
}

/// `ps aux`, `ps -ef --sort=-%cpu`, and not `ps -p 1`.
fn is_list_of_all(stage: &str) -> bool {
    let mut words = stage.split_whitespace().skip_while(|word| *word != "ps").skip(1);
    words.next().is_some_and(|first| {
        let flags = first.trim_start_matches('-');
        !first.starts_with("--") && (flags.contains('x') || (first.starts_with('-') && flags.contains(['e', 'A'])))
    })
}

/// `head -n 15 > file`, `head -15`, `head --lines=15`.
fn lines_of_head(stage: &str) -> Option<u32> {
    let mut words = stage.split_whitespace();
    if words.next() != Some("head") {
        return None;
    }
    let first = words.next()?;
    let number = match first {
        "-n" => words.next()?,
        _ => first.strip_prefix("--lines=").or_else(|| first.strip_prefix("-n")).or_else(|| first.strip_prefix('-'))?,
    };
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::lines_wanted;

    #[test]
    fn only_a_long_list_of_everything_is_more_than_there_is() {
        assert_eq!(lines_wanted("mkdir x\nps aux | head -n 15 > x/y\nwc -l x/y"), ["15"]);
        assert_eq!(lines_wanted("sudo ps -ef --sort=-%cpu | head -20 | tail -1"), ["20"]);
        for enough in
            ["ps aux | head -5", "ps aux | head", "ps -p 1 | head -n 20", "# ps aux | head -n 20", "ls | head -n 20"]
        {
            assert!(lines_wanted(enough).is_empty(), "{enough}");
        }
    }
}
